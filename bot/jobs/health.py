"""Owns looking whether planning and work can succeed: what is seen here is judged by the core."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from bot import process
from bot.core.actions import CheckHealth
from bot.core.config import NO_TEST, RepoConfig
from bot.core.dependencies import SetUp
from bot.core.events import HealthChecked
from bot.core.health import (
    InstrumentationChecker,
    Probes,
    Standing,
    TestResult,
    canary,
    differing,
    runner_of,
    worst,
)
from bot.core.programs import probe, programs, read_probe
from bot.core.setups import NO_SETUP
from bot.core.testing import canary_for, commands_for, setup_for
from bot.core.track import Track
from bot.errors import BotError, ForgeError, GitError, RetryableError, SandboxError
from bot.jobs.repository import Repositories
from bot.jobs.verify import Verifier
from bot.ports import Mirror, Sandbox, Worktrees

REMEMBERED = 64  # test commands on commits whose result is kept
_REFUSED = re.compile(
    r"could not read (Username|Password)|Authentication failed|Permission .* denied|error: 40[134]|not found"
)
Proof = TestResult | Literal["unproved"]


@dataclass(frozen=True, slots=True)
class Tests:
    """What the tests showed: on the base, with a test that must fail, and what went before them."""

    __test__ = False  # pytest collects classes by this name

    baseline: TestResult | None = None
    proof: Proof | None = None
    differing: tuple[str, ...] | None = None
    setup: SetUp | None = None
    programs: Mapping[str, str] = field(default_factory=dict)

    @property
    def lasting(self) -> bool:
        """Whatever else it was may have been this machine's fault."""
        return self.baseline is not None and self.baseline.state in {"green", "red"}

    def of(self, probes: Probes, command: str) -> Probes:
        """Add what a command's tests showed to what else was seen."""
        return replace(
            probes,
            test=command,
            programs=self.programs,
            setup=self.setup,
            baseline=self.baseline,
            canary=self.proof,
            differing=self.differing,
        )


class Seen:
    """Remembers what was seen of a commit: the same is not run twice. The oldest is forgotten first."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[int, str, str, str | None], Tests] = OrderedDict()

    def get(self, key: tuple[int, str, str, str | None]) -> Tests | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: tuple[int, str, str, str | None], tests: Tests) -> None:
        self._kept[key] = tests
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)


@dataclass(frozen=True, slots=True)
class HealthJob:
    """Runs the probes: git, disk, token, model, worktree, sandbox, the baseline's tests and a canary among them."""

    repositories: Repositories
    worktrees: Worktrees
    verifier: Verifier
    sandbox: Sandbox
    data_dir: Path
    models: Callable[[RepoConfig], Mapping[str, str]]  # model -> what is wrong with its configuration
    agents: Callable[[RepoConfig], Mapping[str, tuple[str, str]]]  # agent -> what is wrong, what to do
    checker: Callable[[Literal["planning", "work"]], InstrumentationChecker] = InstrumentationChecker
    seen: Seen = field(default_factory=Seen)

    async def __call__(self, track: Track, action: CheckHealth) -> HealthChecked:
        host = Probes(
            git_version=await _git_version(), disk=_writing(self.data_dir), disk_free=_free(self.data_dir)
        )
        reached = await self._reach(track, host)
        if isinstance(reached, Probes):
            return self._early(track, action, reached)
        mirror, standing = reached
        base = await mirror.resolve(track.repo.default_branch)
        if base is None:
            raise RetryableError(f"the branch {track.repo.default_branch} cannot be found")
        config, problems = await self.repositories.config(track.repo)
        files = [file.path for file in await mirror.files(base)]
        commands = commands_for(config, files)
        try:
            seen = [await self._seen(track, mirror, base, files, command, config) for command in commands]
        except SandboxError as error:  # it held when the bot started; the machine has changed since
            return self._early(track, action, replace(host, token="", standing=standing, sandbox=str(error)))
        ran = any(tests.baseline for tests in seen)
        probes = replace(
            host,
            tools=self.agents(config),
            token="",
            standing=standing,
            models=self.models(config),
            worktree="" if ran or not commands else await self._worktree(track, mirror, base),
            boxes=_kind(self.sandbox),
            test=NO_TEST if config.test == NO_TEST else None,
            known_failing=config.known_failing,
        )
        if commands:
            suites = [tests.of(probes, command) for command, tests in zip(commands, seen, strict=True)]
            # Of several commands the one that is worst off is told.
            probes = max(suites, key=lambda suite: worst(self.checker("work").findings(suite)))
        return HealthChecked(
            findings=self.checker(action.before).findings(probes),
            base_sha=base,
            tests=commands,
            known_failing=config.known_failing,
            config=config,
            config_problems=problems,
            before=action.before,
        )

    async def _reach(self, track: Track, host: Probes) -> tuple[Mirror, Standing] | Probes:
        """Fetch the repository and ask what may be done there; the probes alone where nothing can be looked at."""
        if host.disk:
            return host
        try:
            mirror = await self.repositories.fresh(track.repo)  # a token that fetches is a token that works
            return mirror, await self.repositories.forge.standing(track.repo)
        except ForgeError as error:
            # What can pass is another kind of error; this one a person has to mend.
            return replace(host, token=str(error))
        except GitError as error:
            refused = _REFUSED.search(str(error))
            return replace(host, token=str(error)) if refused else replace(host, worktree=str(error))

    def _early(self, track: Track, action: CheckHealth, probes: Probes) -> HealthChecked:
        """Say what keeps everything else from being looked at; what was known before stays known."""
        found = self.checker(action.before).findings(replace(probes, test=NO_TEST))
        return HealthChecked(
            findings=tuple(finding for finding in found if finding.code != "BASELINE"),
            base_sha=track.base_sha or "",
            tests=track.tests,
            known_failing=track.known_failing,
            config=track.config,
            config_problems=track.config_problems,
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

    async def _seen(
        self, track: Track, mirror: Mirror, base: str, files: list[str], command: str, config: RepoConfig
    ) -> Tests:
        """Run the baseline and see a failing test fail, or remember that."""
        key = (track.repo.id, base, command, setup_for(config, command))
        found = self.seen.get(key) or await self._look(track, mirror, base, files, command, config)
        if found.lasting:
            self.seen.put(key, found)
        return found

    async def _look(
        self, track: Track, mirror: Mirror, base: str, files: list[str], command: str, config: RepoConfig
    ) -> Tests:
        id_ = f"{track.key.replace('/', '-')}-baseline"
        setup = setup_for(config, command)
        folder = config.tasks_dir
        seen = await self.verifier.run(mirror, id_, base, command, setup=setup, tasks_dir=folder)
        tests = Tests(seen.result, "unproved", setup=seen.set_up)
        if not tests.lasting:
            return replace(tests, programs=await self._programs(mirror, id_, base, command, setup))
        configured = canary_for(config, command)
        if configured is not None:
            shown = await self.verifier.run(
                mirror, f"{id_}-canary", base, configured, setup=setup, tasks_dir=folder
            )
            return replace(tests, proof=shown.result)
        package = await mirror.read(base, "package.json") if "package.json" in files else None
        runner = runner_of(command, (package or b"").decode(errors="replace"))
        planted = canary(runner, files, command)
        if planted is None:
            return tests
        extra = {planted.path: planted.text}
        shown = await self.verifier.run(
            mirror, f"{id_}-canary", base, command, extra, setup, tasks_dir=folder
        )
        unlike = None if planted.path in files else differing(seen.result, shown.result)
        return replace(tests, proof=_proof(seen.result, shown.result), differing=unlike)

    async def _programs(
        self, mirror: Mirror, id_: str, base: str, command: str, setup: str | None
    ) -> Mapping[str, str]:
        """Ask each program for its version; only where the tests did not run, else they were seen at work."""
        names = programs([*([setup] if setup and setup != NO_SETUP else []), command])
        if not names:
            return {}
        asked = await self.verifier.run(mirror, f"{id_}-programs", base, probe(names), setup=NO_SETUP)
        return read_probe(names, asked.output)


def _proof(before: TestResult, after: TestResult) -> Proof:
    if after.state == "red" and before.failed and set(after.failed) <= set(before.failed):
        return "unproved"  # red before and red after: the planted test was not seen
    return after


def _kind(sandbox: Sandbox) -> str:
    return "none" if sandbox.level == "none" else f"{sandbox.level}, {sandbox.name}"


def _writing(folder: Path) -> str:
    """Try to write; empty where that works."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
            file.flush()
    except OSError as error:
        return f"{error.strerror or error}"
    return ""


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


async def _git_version() -> str:
    done = await process.run(["git", "--version"], env=process.inherited("PATH"), timeout=60)
    return done.stdout.decode(errors="replace").strip() or f"nothing on {sys.platform}"
