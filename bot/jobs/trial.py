"""Owns judging a commit by its tests: on exactly that commit, a failure once more, and on the base too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.backlog import BacklogTask
from bot.core.config import NO_TEST, RepoConfig
from bot.core.health import newly_failing
from bot.core.sanitize import fence, redact
from bot.core.testing import commands_for, setup_for, summary
from bot.core.track import Track
from bot.jobs.verify import Verification, Verifier
from bot.ports import Mirror

EVIDENCE = 3_000  # characters of a test run's end that people and the next run are shown


@dataclass(frozen=True, slots=True)
class Tried:
    """What the tests of a commit showed."""

    said: str  # for the pull request
    red: bool = False
    failing: tuple[str, ...] = ()  # newly failing test ids; the command where the runner names none
    flaky: tuple[str, ...] = ()  # of failing: passed when run again on the same commit
    fails_on_base: tuple[str, ...] = ()  # of failing
    text: str = ""
    details: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """Runs a task's tests, and the repository's."""

    verifier: Verifier
    track: Track
    mirror: Mirror
    id: str  # names the worktrees

    async def run(self, written: BacklogTask, sha: str, base: str) -> Tried:
        """Run every command that verifies the task; the first that is red tells."""
        files = [file.path for file in await self.mirror.files(sha)]
        commands = verifying(self.track.config, written, files)
        if not commands:
            return Tried(_unverified(self.track.config))
        said = []
        for command in commands:
            seen = await self._run(sha, command)
            if self._fails(seen):
                return await self._red(command, seen, sha, base)
            said.append(f"`{command}` ({summary(seen.result)})")
        return Tried("; ".join(said))

    async def _run(self, sha: str, command: str) -> Verification:
        setup = setup_for(self.track.config, command)
        return await self.verifier.run(self.mirror, self.id, sha, command, setup=setup)

    def _fails(self, seen: Verification) -> bool:
        if seen.result.state == "green":
            return False
        # Verdicts are relative to the baseline.
        known = seen.result.state == "red" and seen.result.failed and not self._new(seen)
        return not known

    def _new(self, seen: Verification) -> tuple[str, ...]:
        return tuple(newly_failing(seen.result, self.track.known_failing))

    async def _red(self, command: str, seen: Verification, sha: str, base: str) -> Tried:
        """Look at a failure from all sides: does it stay, and was it there before?"""
        failing = self._new(seen) or (command,)
        again = await self._run(sha, command)
        still = set(self._new(again) or (command,)) if self._fails(again) else set()
        before = set() if base == self.track.base_sha else await self._on_base(command, base)
        names = ", ".join(failing[:5])
        state = seen.result.state.replace("_", " ")
        output = redact(seen.output[-EVIDENCE:])
        return Tried(
            said=f"`{command}` ({state}, then {summary(again.result)} on the same commit)",
            red=True,
            failing=failing,
            flaky=tuple(name for name in failing if name not in still),
            fails_on_base=tuple(name for name in failing if name in before),
            text=f"`{command}` is {state} after its work" + (f": {names}" if failing != (command,) else ""),
            details=fence(output),
            output=output,
        )

    async def _on_base(self, command: str, base: str) -> set[str]:
        """Name what fails on the base as well; the base that the baseline was measured on is known to be good."""
        seen = await self._run(base, command)
        return set(self._new(seen) or (command,)) if self._fails(seen) else set()


def verifying(config: RepoConfig, written: BacklogTask, files: Sequence[str]) -> tuple[str, ...]:
    """Give what verifies a task: its own test and the repository's."""
    of_repository = commands_for(config, files, written.scope.paths)
    return tuple(dict.fromkeys(c for c in (written.test, *of_repository) if c))


def _unverified(config: RepoConfig) -> str:
    off = config.test == NO_TEST
    return "none: tests are switched off" if off else "none: this repository has no test command"
