"""Owns running a repository's tests on a commit: in a fresh worktree, in a fresh sandbox, nothing left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from bot import files
from bot.core.dependencies import SetUp
from bot.core.health import TestResult, read_test_output, runner_of
from bot.core.setups import NO_SETUP
from bot.errors import OutOfRoomError, UserError
from bot.git.worktrees import task_policy
from bot.jobs.dependencies import Commit, Dependencies, Ready
from bot.ports import Completed, Mirror, SandboxPolicy, Worktree

_log = structlog.get_logger(__name__)

TEST_TIMEOUT = 900.0  # seconds
_PACKAGE = 1 << 20  # bytes of a package.json that are looked at


@dataclass(frozen=True, slots=True)
class Verification:
    """What a test run showed, the end of what it printed, and how the repository was set up before; None: not at all."""

    result: TestResult
    output: str
    seconds: float
    set_up: SetUp | None = None


@dataclass(frozen=True, slots=True)
class Verifier:
    """Runs test commands, each where the dependencies that it needs were laid before."""

    dependencies: Dependencies

    async def run(
        self,
        mirror: Mirror,
        id_: str,
        sha: str,
        command: str,
        extra: Mapping[str, str] | None = None,
        setup: str | None = None,
        *,
        base: str = "",
        tasks_dir: str = "tasks",
    ) -> Verification:
        """Run `sh -c command` on a clean checkout of `sha`, with `extra` files written into it first.

        `base` is the commit of the default branch that `sha` stands on, `sha` itself where none is given. Where `setup`
        fails nothing else is run, and the result is `broken`. Without one (None) what is detected is set up where the
        tests cannot run for want of packages; where that fails, their result without stands.
        """
        commit = Commit(mirror, sha, base or sha, tasks_dir)
        if setup is not None and setup != NO_SETUP:
            ready = await self.dependencies.ready(commit, setup)
            return await self._once(commit, id_, command, extra or {}, ready)
        known = await self.dependencies.known(commit) if setup is None else None
        seen = await self._once(commit, id_, command, extra or {}, known)
        if setup is not None or known is not None or seen.result.state == "green":
            return seen
        found = await self.dependencies.wanted(commit, seen.output)
        if found is None:
            return seen
        again = await self._once(commit, id_, command, extra or {}, found)
        failed = again.set_up is not None and again.set_up.wrong
        return replace(seen, set_up=again.set_up) if failed else again

    async def _once(
        self, commit: Commit, id_: str, command: str, extra: Mapping[str, str], ready: Ready | None
    ) -> Verification:
        if ready is not None and ready.made.wrong:
            return _not_set_up(ready.made)
        worktrees = self.dependencies.worktrees
        worktree = await worktrees.create(commit.mirror, id_, commit.sha)
        made = None
        try:
            if ready is not None:
                made = await self.dependencies.lay(ready, commit.mirror, worktree, worktree.home)
                if made.wrong:
                    return _not_set_up(made)
            for path, text in extra.items():
                _write(worktree.path, path, text)
            runner = runner_of(command, _package_json(worktree.path))
            done = await self._in_box(worktree, commit.mirror, command, ready)
        except OutOfRoomError as error:
            return Verification(TestResult("broken"), str(error), 0.0, made)
        finally:
            left = await worktrees.cleanup(id_)
            if left:
                _log.error("worktree_left_behind", worktree=id_, left=left)
        result = read_test_output(runner, done.code, done.output)
        return Verification(result, done.output, done.seconds, made)

    async def _in_box(
        self, worktree: Worktree, mirror: Mirror, command: str, ready: Ready | None
    ) -> Completed:
        shown = policy(worktree, mirror, self.dependencies.path)
        if ready is not None:
            more = self.dependencies.environment(ready, worktree, worktree.home)
            shown = replace(shown, env={**shown.env, **more})
        async with self.dependencies.sandbox.open(shown) as box:
            return await box.run(["sh", "-c", command], timeout=TEST_TIMEOUT)


def _not_set_up(made: SetUp) -> Verification:
    return Verification(TestResult("broken"), made.output, made.seconds, made)


def policy(worktree: Worktree, mirror: Mirror, path: str) -> SandboxPolicy:
    """Show a worktree and the programs of PATH, and nothing else of the host."""
    return task_policy(worktree, mirror, path=path, env={"CI": "true", "PYTHONDONTWRITEBYTECODE": "1"})


def _package_json(root: Path) -> str:
    """Read what tells the runner behind `npm test`; empty where there is none. A link could lead out of the checkout."""
    return (files.read_beneath(root, "package.json", _PACKAGE) or b"").decode("utf-8", "replace")


def _write(root: Path, path: str, text: str) -> None:
    """Write a file of the bot into a checkout; UserError where the repository has a symlink in its place."""
    try:
        files.append_beneath(root, path, text.encode())
    except OSError as error:
        raise UserError(f"`{path}` cannot be written: {error.strerror}") from error
