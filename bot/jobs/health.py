"""Owns looking whether planning and work can succeed: what is seen here is judged by the core."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bot import process
from bot.core.actions import CheckHealth
from bot.core.config import NO_TEST, RepoConfig
from bot.core.events import HealthChecked
from bot.core.health import InstrumentationChecker, Probes, TestResult, canary, runner_of
from bot.core.runners import CanaryFile
from bot.core.testing import commands_for
from bot.core.track import Track
from bot.errors import BotError, RetryableError
from bot.jobs.repository import Repositories
from bot.jobs.verify import Verifier
from bot.ports import Mirror, Sandbox, Worktrees


@dataclass(frozen=True, slots=True)
class HealthJob:
    """Runs the probes: git, disk, token, model, worktree, sandbox, the baseline's tests and a canary among them."""

    repositories: Repositories
    worktrees: Worktrees
    verifier: Verifier
    sandbox: Sandbox
    data_dir: Path
    models: Callable[[RepoConfig], Mapping[str, str]]  # model -> what is wrong with its configuration
    agents: Callable[[RepoConfig], Mapping[str, str]]  # the same for the coding agent
    checker: Callable[[Literal["planning", "work"]], InstrumentationChecker] = InstrumentationChecker
    # A baseline is a property of a commit and a command: the same is not run twice.
    seen: dict[tuple[str, str], tuple[TestResult, TestResult | Literal["unproved"]]] = field(
        default_factory=dict
    )

    async def __call__(self, track: Track, action: CheckHealth) -> HealthChecked:
        mirror = await self.repositories.fresh(track.repo)  # a token that fetches is a token that works
        base = await mirror.resolve(track.repo.default_branch)
        if base is None:
            raise RetryableError(f"the branch {track.repo.default_branch} cannot be found")
        config, _ = await self.repositories.config(track.repo)
        files = [file.path for file in await mirror.files(base)]
        commands = commands_for(config, files)
        baseline, proof = await self._tests(track, mirror, base, files, commands)
        probes = Probes(
            git_version=await _git_version(),
            tools=self.agents(config),
            token="",
            models=self.models(config),
            disk_free=shutil.disk_usage(self.data_dir).free,
            worktree="" if baseline or not commands else await self._worktree(track, mirror, base),
            sandbox="" if self.sandbox.level != "none" else None,
            test=NO_TEST if config.test == NO_TEST else commands[0] if commands else None,
            baseline=baseline,
            known_failing=config.known_failing,
            canary=proof,
        )
        return HealthChecked(
            findings=self.checker(action.before).findings(probes),
            base_sha=base,
            tests=commands,
            known_failing=config.known_failing,
            config=config,
            before=action.before,
        )

    async def _worktree(self, track: Track, mirror: Mirror, base: str) -> str:
        id_ = f"{track.key.replace('/', '-')}-probe"
        try:
            await self.worktrees.create(mirror, id_, base)
            left = await self.worktrees.cleanup(id_)
        except (BotError, OSError) as error:
            return str(error)
        return f"left {left[0]} behind" if left else ""

    async def _tests(
        self, track: Track, mirror: Mirror, base: str, files: list[str], commands: tuple[str, ...]
    ) -> tuple[TestResult | None, TestResult | Literal["unproved"] | None]:
        """Run the baseline and see a failing test fail; the first command that is not green tells."""
        baseline: TestResult | None = None
        proof: TestResult | Literal["unproved"] | None = None
        for command in commands:
            result, shown = self.seen.get((base, command)) or await self._baseline(
                track, mirror, base, files, command
            )
            if result.state in {"green", "red"}:  # whatever else it was may have been this machine's fault
                self.seen[base, command] = result, shown
            if baseline is None or baseline.state == "green":
                baseline, proof = result, shown
        return baseline, proof

    async def _baseline(
        self, track: Track, mirror: Mirror, base: str, files: list[str], command: str
    ) -> tuple[TestResult, TestResult | Literal["unproved"]]:
        id_ = f"{track.key.replace('/', '-')}-baseline"
        seen = await self.verifier.run(mirror, id_, base, command)
        planted = _canary_for(command, files)
        if planted is None or seen.result.state not in {"green", "red"}:
            return seen.result, "unproved"
        shown = await self.verifier.run(mirror, f"{id_}-canary", base, command, {planted.path: planted.text})
        if (
            shown.result.state == "red"
            and set(shown.result.failed) <= set(seen.result.failed)
            and seen.result.failed
        ):
            return seen.result, "unproved"  # red before and red after: the planted test was not seen
        return seen.result, shown.result


def _canary_for(command: str, files: list[str]) -> CanaryFile | None:
    """Plant the failing test where the command looks: in a file that it names, else beside the existing tests."""
    made = canary(runner_of(command), files)
    if made is None:
        return None
    named = next(
        (word for word in command.split() if word in files and word.endswith(Path(made.path).suffix)), None
    )
    return CanaryFile(named, f"\n\n{made.text}") if named else made


async def _git_version() -> str:
    done = await process.run(["git", "--version"], env=process.inherited("PATH"), timeout=10)
    return done.stdout.decode(errors="replace").strip() or f"nothing on {sys.platform}"
