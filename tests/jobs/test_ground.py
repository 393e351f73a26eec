"""What a run stands on, and what it clashes with."""

from __future__ import annotations

from typing import cast

from bot.jobs.ground import clashes
from bot.ports import Mirror


class Told:
    """A mirror that says what it is told: these paths conflict, and these the branch changed."""

    def __init__(self, conflicts: tuple[str, ...], changed: tuple[str, ...]) -> None:
        self._conflicts, self._changed = conflicts, changed

    async def merge_tree(self, _ours: str, _theirs: str) -> tuple[str, tuple[str, ...]]:
        return "tree", self._conflicts

    async def diff_stat(self, _base: str, _head: str) -> list[tuple[str, int, int]]:
        return [(path, 1, 0) for path in self._changed]


async def test_a_clash_is_about_what_a_branch_changed_itself() -> None:
    mirror = Told(("a.py", "b.py", "tasks/issue-1/BACKLOG.yaml"), ("a.py", "tasks/issue-1/BACKLOG.yaml"))
    found = await clashes(cast(Mirror, mirror), "base", "head", "other", "tasks")
    # b.py conflicts because the default branch moved, which is nothing between these two.
    assert found == ["a.py"]


async def test_branches_that_merge_do_not_clash() -> None:
    assert await clashes(cast(Mirror, Told((), ("a.py",))), "base", "head", "other", "tasks") == []
