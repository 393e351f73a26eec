"""The command line with a WorktreeManager whose merge has lost its effect: run as `python -m tests.cli.unmerging`."""

from __future__ import annotations

from bot.cli import main
from bot.git.worktrees import WorktreeManager
from bot.ports import Mirror


async def merge(
    _: WorktreeManager, _mirror: Mirror, ours: str, *_rest: object
) -> tuple[str, tuple[str, ...]]:
    """Merge nothing and say that it is merged."""
    return ours, ()


if __name__ == "__main__":
    # No test can reach what a process of its own builds, so this is changed before it begins.
    WorktreeManager.merge = merge  # type: ignore[method-assign, assignment]
    main()
