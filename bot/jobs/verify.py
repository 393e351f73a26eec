"""Owns running a repository's tests on a commit: in a fresh worktree, in a fresh sandbox, nothing left behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import structlog

from bot.core.health import TestResult, read_test_output, runner_of
from bot.git.worktrees import task_policy
from bot.ports import Completed, Mirror, Sandbox, SandboxPolicy, Worktree, Worktrees

_log = structlog.get_logger(__name__)

TEST_TIMEOUT = 900.0  # seconds


@dataclass(frozen=True, slots=True)
class Verification:
    """What a test run showed, and the end of what it printed."""

    result: TestResult
    output: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Verifier:
    """Runs test commands; `path` is the PATH whose programs a sandbox shows."""

    worktrees: Worktrees
    sandbox: Sandbox
    path: str

    async def run(
        self, mirror: Mirror, id_: str, sha: str, command: str, extra: dict[str, str] | None = None
    ) -> Verification:
        """Run `sh -c command` on a clean checkout of `sha`, with `extra` files written into it first."""
        worktree = await self.worktrees.create(mirror, id_, sha)
        try:
            for path, text in (extra or {}).items():
                _write(worktree.path, path, text)
            done = await self._in_box(worktree, mirror, command)
        finally:
            left = await self.worktrees.cleanup(id_)
            if left:
                _log.error("worktree_left_behind", worktree=id_, left=left)
        return Verification(
            read_test_output(runner_of(command), done.code, done.output), done.output, done.seconds
        )

    async def _in_box(self, worktree: Worktree, mirror: Mirror, command: str) -> Completed:
        async with self.sandbox.open(policy(worktree, mirror, self.path)) as box:
            return await box.run(["sh", "-c", command], timeout=TEST_TIMEOUT)


def policy(worktree: Worktree, mirror: Mirror, path: str) -> SandboxPolicy:
    """Show a worktree and the programs of PATH, and nothing else of the host."""
    return task_policy(worktree, mirror, path=path, env={"CI": "true", "PYTHONDONTWRITEBYTECODE": "1"})


def _write(root: Path, path: str, text: str) -> None:
    # Only names that the bot makes itself, in a checkout that no agent has touched.
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("a", encoding="utf-8") as file:
        file.write(text)
