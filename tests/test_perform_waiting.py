"""The performer where the forge says "not now" or "not here": nothing is given up over it, and people are told why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bot import urgency
from bot.core import waiting
from bot.core.actions import Action, AssessTask, CheckHealth, CloseTrack, PostComment, SyncStatus
from bot.core.values import Repo
from bot.engine.store import Store
from bot.errors import ArchivedError, LimitedError, LockedError, UnreachableError
from bot.perform import BACKOFF, TRIES
from tests.core.builders import NOW, REPO, a_task, a_track
from tests.test_perform import Desk, _Clock, _Forge

TEXT = "<!-- gitwright:answer track=issue-12 -->\n<!-- gitwright-key: k -->\nHello\n"


@dataclass
class Locked(_Forge):
    """A forge on which some conversations are locked."""

    locked: frozenset[int] = frozenset()
    asked: tuple[int, ...] = ()

    async def create_comment(self, repo: Repo, number: int, body: str, *, first: bool = False) -> int:
        self.asked += (number,)
        if number in self.locked:
            raise LockedError("POST: 403 Unable to create comment because issue is locked.", 403)
        return await super().create_comment(repo, number, body, first=first)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", _Clock())
    yield Desk(store)
    await store.close()


def failing(error: Exception) -> object:
    async def fail(_track: object, _action: object) -> None:
        raise error

    return fail


async def test_a_limit_is_waited_for_exactly_and_said(desk: Desk) -> None:
    desk.job = failing(LimitedError("GET /x: 412 of 5,000 calls are left", 1800.0))  # type: ignore[assignment]
    (id_,) = await desk.do(a_track(), CloseTrack())
    row = await desk.store.action(id_)
    assert row is not None
    assert (row.state, row.try_, row.not_before) == ("new", 2, NOW + timedelta(minutes=30))
    assert waiting.waits_for(row.error) == waiting.LIMIT
    result = await desk.result()
    assert isinstance(result, dict)
    assert result["kind"] == "step_waits"
    await desk.do(a_track(), SyncStatus())
    assert [line for line in desk.forge.posted[1].splitlines() if "limit" in line] == snapshot(
        ["**Waits for GitHub's rate limit** until 12:30 UTC. Nothing is lost, and it goes on by itself."]
    )


async def test_a_moment_is_not_worth_a_word_and_a_comment_that_waits_does_not_tell_of_itself(
    desk: Desk,
) -> None:
    desk.job = failing(LimitedError("a moment", 2.0))  # type: ignore[assignment]
    await desk.do(a_track(), CloseTrack())
    desk.forge.failure = LimitedError("for long", 1800.0)
    await desk.do(a_track(runs=1), SyncStatus())
    assert await desk.result() is None


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (LimitedError("limited", 60.0), 60.0),
        (UnreachableError("no token", "the App's installation is suspended", 900.0), 900.0),
    ],
)
async def test_what_others_let_it_wait_for_is_never_given_up(
    desk: Desk, error: LimitedError | UnreachableError, wait: float
) -> None:
    desk.job = failing(error)  # type: ignore[assignment]
    (id_,) = await desk.decide(a_track(), CloseTrack())
    for _ in range(TRIES + 2):
        await desk.perform(id_)
    row = await desk.store.action(id_)
    assert row is not None
    assert row.state == "new"
    assert row.not_before == NOW + timedelta(seconds=max(wait, 0 if wait == 60 else BACKOFF[-1]))


async def test_where_the_issue_is_locked_the_newest_pull_request_is_told(desk: Desk) -> None:
    desk.forge = Locked(locked=frozenset({12, 14}))
    tasks = (a_task("T-1", pull=13), a_task("T-2", pull=14), a_task("T-3", pull=15, state="done"))
    track = a_track(state="working", backlog_pull=2, tasks=tasks)
    await desk.do(track, PostComment(repo=REPO, number=12, body=TEXT))
    assert desk.forge.asked == (12, 14, 13)
    assert list(desk.forge.posted.values()) == snapshot(
        [
            """\
<!-- gitwright:answer track=issue-12 -->
<!-- gitwright-key: k -->
Hello

*The conversation of #12 is locked, so this is said here.*
"""
        ]
    )
    assert await desk.result() is None


async def test_where_everything_is_locked_nobody_asks_again(desk: Desk) -> None:
    desk.forge = Locked(locked=frozenset({12}))
    (id_, status) = await desk.do(a_track(), PostComment(repo=REPO, number=12, body=TEXT), SyncStatus())
    assert desk.forge.asked == (12, 12)
    assert [(await desk.store.action(each)).state for each in (id_, status)] == ["done", "done"]  # type: ignore[union-attr]
    assert desk.forge.labels == {"agent:planning"}, "the label says how it stands"
    await desk.do(a_track(), SyncStatus())
    assert desk.forge.asked == (12, 12), "the same is not tried again"


async def test_an_archived_repository_blocks_with_words_and_without_a_chain_of_comments(desk: Desk) -> None:
    archived = ArchivedError("PUT /x: 403 Repository was archived so is read-only. Unarchive it", 403)
    desk.forge.failure = archived
    await desk.do(a_track(), PostComment(repo=REPO, number=12, body=TEXT))
    assert await desk.result() is None
    desk.job = failing(archived)  # type: ignore[assignment]
    (id_,) = await desk.do(a_track(), CloseTrack())
    result = await desk.result()
    assert isinstance(result, dict)
    assert (result["kind"], result["error"]) == ("action_failed", str(archived))
    assert (await desk.store.action(id_)).state == "failed"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("action", "can"),
    [
        (CloseTrack(), False),
        (CheckHealth(before="work"), True),
        (AssessTask(task="T-1", attempt=1, head_sha="a" * 40), False),
        (AssessTask(task="T-1", attempt=1, head_sha="a" * 40, only_conflicts=True), True),
    ],
)
async def test_what_nobody_waits_for_can_wait(desk: Desk, action: Action, can: bool) -> None:
    seen = []

    async def look(_track: object, _action: object) -> None:
        seen.append(urgency.waits())

    desk.jobs = {type(action): look}
    await desk.do(a_track(), action)
    assert seen == [can]


async def test_the_first_status_is_urgent_and_its_edits_can_wait_but_for_the_one_that_says_why(
    desk: Desk,
) -> None:
    desk.forge = Noting()
    await desk.do(a_track(), SyncStatus())
    await desk.do(a_track(runs=1, state="paused"), SyncStatus())
    desk.job = failing(LimitedError("limited", 1800.0))  # type: ignore[assignment]
    await desk.do(a_track(), CloseTrack())
    await desk.do(a_track(runs=2), SyncStatus())
    await desk.do(a_track(runs=3, state="paused"), SyncStatus())
    assert desk.forge.could_wait == [False, True, False, True]


@dataclass
class Noting(_Forge):
    """A forge that notes of each write of the comment whether it could wait."""

    could_wait: tuple[bool, ...] | list[bool] = ()

    def _write(self, what: str) -> None:
        if what in {"comment", "edit"}:
            self.could_wait = [*self.could_wait, urgency.waits()]
        super()._write(what)
