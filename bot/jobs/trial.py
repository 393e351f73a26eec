"""Owns judging a commit by its tests: on exactly that commit, a failure once more, and on the base too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.core import ecosystems
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
        """Run every command that verifies the task; the first that stays red tells, else all that were red once."""
        files = [file.path for file in await self.mirror.files(sha)]
        of_repository = commands_for(self.track.config, files, written.scope.paths)
        commands = tuple(dict.fromkeys(c for c in (written.test, *of_repository) if c))
        if not commands:
            return Tried(_unverified(self.track.config))
        said: list[str] = []
        flaky: list[Tried] = []
        for command in commands:
            seen = await self._run(sha, command, base)
            if not self._fails(seen):
                said.append(f"`{command}` ({summary(seen.result)}){_refused(seen)}")
                continue
            again = await self._run(sha, command, base)
            tried = self._twice(command, seen, again)
            if self._fails(again):
                before = await self._on_base(command, base, known=command in of_repository)
                return replace(tried, fails_on_base=tuple(n for n in tried.failing if n in before))
            said.append(tried.said)
            flaky.append(tried)
        return _together(said, flaky)

    async def _run(self, sha: str, command: str, base: str) -> Verification:
        setup, folder = setup_for(self.track.config, command), self.track.config.tasks_dir
        return await self.verifier.run(
            self.mirror, self.id, sha, command, setup=setup, base=base, tasks_dir=folder
        )

    def _fails(self, seen: Verification) -> bool:
        if seen.result.state == "green":
            return False
        # Verdicts are relative to the baseline.
        known = seen.result.state == "red" and seen.result.failed and not self._new(seen)
        return not known

    def _new(self, seen: Verification) -> tuple[str, ...]:
        return tuple(newly_failing(seen.result, self.track.known_failing))

    def _twice(self, command: str, seen: Verification, again: Verification) -> Tried:
        """Say what two runs on the same commit showed; the first was red."""
        first = self._new(seen) or (command,)
        second = (self._new(again) or (command,)) if self._fails(again) else ()
        # Where the second run broke off nobody saw what would have passed.
        passed = () if second == (command,) else tuple(name for name in first if name not in second)
        state = seen.result.state.replace("_", " ")
        names = ": " + ", ".join(first[:5]) if first != (command,) else ""
        output = redact(seen.output)[-EVIDENCE:]
        return Tried(
            said=f"`{command}` ({state}, then {summary(again.result)} on the same commit){_refused(again)}",
            red=True,
            failing=tuple(dict.fromkeys((*first, *second))),
            flaky=passed,
            text=_not_set_up(seen) or f"`{command}` is {state} after its work{names}",
            details=fence(output),
            output=output,
        )

    async def _on_base(self, command: str, base: str, *, known: bool) -> set[str]:
        """Name what fails on the base as well; the base that the baseline was measured on is known to be good.

        That a task's own test fails as a whole before the task is done (not `known` to pass) excuses nothing.
        """
        if base == self.track.base_sha:
            return set()
        seen = await self._run(base, command, base)
        return set(self._new(seen) or ((command,) if known else ())) if self._fails(seen) else set()


def _not_set_up(seen: Verification) -> str:
    made = seen.set_up
    if made is None or not made.wrong or made.detected:
        return ""
    return f"the repository cannot be set up any more after its work: {made.wrong}{_refused(seen)}"


def _refused(seen: Verification) -> str:
    hosts = seen.set_up.refused if seen.set_up else ()
    known = ecosystems.advice(hosts)
    return (
        f", set up without {', '.join(hosts[:5])}, which it was refused{known and f': {known}'}"
        if hosts
        else ""
    )


def _together(said: Sequence[str], flaky: Sequence[Tried]) -> Tried:
    """Say of a commit of which nothing stays red what was red once; both outcomes are kept."""
    names = tuple(dict.fromkeys(name for tried in flaky for name in tried.failing))
    return Tried(
        said="; ".join(said),
        red=bool(flaky),
        failing=names,
        flaky=names,
        text="; ".join(tried.text for tried in flaky),
        details="\n\n".join(tried.details for tried in flaky),
        output="\n".join(tried.output for tried in flaky)[-EVIDENCE:],
    )


def _unverified(config: RepoConfig) -> str:
    off = config.test == NO_TEST
    return "none: tests are switched off" if off else "none: this repository has no test command"
