"""The check of a task's pull request: one run for each head, looked for only where it may be there already."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest

from bot.core.actions import ReportTask
from bot.core.values import Repo, Report
from bot.engine.firsts import note_look
from bot.engine.store import Store
from bot.errors import RetryableError
from bot.jobs.task_check import TaskChecks
from bot.ports import Forge
from tests.core.builders import NOW, REPO, a_task, a_track

A, B = "a" * 40, "b" * 40
TASK = a_task(state="in_review", attempt=1, run=1, pull=20, head_sha=A, branch="agent/issue-12/T-1-a1")


class _Clock:
    def now(self) -> datetime:
        return NOW


@dataclass
class _Forge:
    """Keeps one run for each commit, and how it was asked for."""

    runs: list[str] = field(default_factory=list)  # commits, in the order of their runs
    asked: list[tuple[str, int | None]] = field(default_factory=list)
    cut: bool = False  # the next answer is lost

    def page(self, _repo: Repo) -> str:
        return ""

    async def set_check(
        self, _repo: Repo, sha: str, _report: Report, *, known: int | None = None, again: bool = False
    ) -> int:
        self.asked.append((sha[0], known))
        there = self.runs.index(sha) + 1 if known is None and sha in self.runs else known or 0
        if not there:
            self.runs.append(sha)
        if self.cut:
            self.cut = False
            raise RetryableError("the connection was cut")
        return there or len(self.runs)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", _Clock())
    yield made
    await made.close()


async def shown(store: Store, forge: _Forge, *heads: str) -> list[tuple[str, int | None]]:
    """Write the check of each head, and give what was asked of the forge: the commit, and the run as far as known."""
    for head in heads:
        track = a_track(replace(TASK, head_sha=head))
        await TaskChecks(store, cast(Forge, forge))(track, ReportTask())
    return forge.asked


async def test_a_new_head_needs_no_look_and_one_that_was_there_before_does(store: Store) -> None:
    await note_look(store, REPO.id, 12, ours=False)
    forge = _Forge()
    assert await shown(store, forge, A, A, B, A) == [("a", 0), ("b", 0), ("a", None)]
    assert forge.runs == [A, B]


async def test_after_an_answer_that_was_cut_off_the_run_is_looked_for(store: Store) -> None:
    await note_look(store, REPO.id, 12, ours=False)
    forge = _Forge(cut=True)
    with pytest.raises(RetryableError):
        await shown(store, forge, A)
    assert await shown(store, forge, A) == [("a", 0), ("a", None)]
    assert forge.runs == [A]


async def test_where_the_database_may_have_lost_something_every_head_is_looked_for(store: Store) -> None:
    forge = _Forge(runs=[A])
    assert await shown(store, forge, A, B) == [("a", None), ("b", None)]
    assert forge.runs == [A, B]
