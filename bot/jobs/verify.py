"""Owns running a repository's tests on a commit: in a fresh worktree, in a fresh sandbox, nothing left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from bot.core.health import TestResult, read_test_output, runner_of
from bot.git.worktrees import task_policy
from bot.ports import Completed, Mirror, Sandbox, SandboxPolicy, Worktree, Worktrees

_log = structlog.get_logger(__name__)

TEST_TIMEOUT = 900.0  # seconds
_PACKAGE = 100_000  # characters of a package.json that are looked at


@dataclass(frozen=True, slots=True)
class Verification:
    """What a test run showed, and the end of what it printed."""

    result: TestResult
    output: str
    seconds: float
    set_up: bool = True  # whether what goes before the tests succeeded


@dataclass(frozen=True, slots=True)
class Verifier:
    """Runs test commands; `path` is the PATH whose programs a sandbox shows."""

    worktrees: Worktrees
    sandbox: Sandbox
    path: str

    async def run(
        self,
        mirror: Mirror,
        id_: str,
        sha: str,
        command: str,
        extra: Mapping[str, str] | None = None,
        setup: str | None = None,
    ) -> Verification:
        """Run `sh -c command` on a clean checkout of `sha`, with `extra` files written into it first.

        `setup` goes before it in the same sandbox; where that fails nothing else is run, and the result is `broken`.
        """
        worktree = await self.worktrees.create(mirror, id_, sha)
        try:
            for path, text in (extra or {}).items():
                _write(worktree.path, path, text)
            runner = runner_of(command, _package_json(worktree.path))
            done, ready = await self._in_box(worktree, mirror, command, setup)
        finally:
            left = await self.worktrees.cleanup(id_)
            if left:
                _log.error("worktree_left_behind", worktree=id_, left=left)
        result = read_test_output(runner, done.code, done.output) if ready else TestResult("broken")
        return Verification(result, done.output, done.seconds, set_up=ready)

    async def _in_box(
        self, worktree: Worktree, mirror: Mirror, command: str, setup: str | None
    ) -> tuple[Completed, bool]:
        """Give how the command ended, or the set-up that failed before it, and whether it was set up."""
        async with self.sandbox.open(policy(worktree, mirror, self.path)) as box:
            if setup is not None:
                done = await box.run(["sh", "-c", setup], timeout=TEST_TIMEOUT)
                if done.code != 0:
                    return done, False
            return await box.run(["sh", "-c", command], timeout=TEST_TIMEOUT), True


def policy(worktree: Worktree, mirror: Mirror, path: str) -> SandboxPolicy:
    """Show a worktree and the programs of PATH, and nothing else of the host."""
    return task_policy(worktree, mirror, path=path, env={"CI": "true", "PYTHONDONTWRITEBYTECODE": "1"})


def _package_json(root: Path) -> str:
    """Read what tells the runner behind `npm test`; empty where there is none. A link could lead out of the checkout."""
    path = root / "package.json"
    if path.is_symlink() or not path.is_file():
        return ""
    return path.read_text(encoding="utf-8", errors="replace")[:_PACKAGE]


def _write(root: Path, path: str, text: str) -> None:
    # Only names that the bot makes itself, in a checkout that no agent has touched.
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("a", encoding="utf-8") as file:
        file.write(text)
