"""The performer: what a decision asked for is done once, tried again where that helps, and its failure is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from bot.core.actions import (
    ACTIONS,
    Action,
    CloseTrack,
    IncludeTasks,
    PostComment,
    React,
    ReportTask,
    SyncStatus,
)
from bot.core.events import Closed
from bot.core.ids import identity
from bot.core.track import TRACKS, Track
from bot.core.values import Comment, Issue, Repo
from bot.engine.firsts import note_look
from bot.engine.store import Commit, NewAction, Store
from bot.errors import (
    BotError,
    NoRoomError,
    NotFoundError,
    ParkedError,
    RetryableError,
    SandboxError,
    UserError,
)
from bot.perform import BACKOFF, BOX_TRIES, TRIES, Job, Performer
from bot.ports import Forge
from tests.core.builders import DANA, NOW, REPO, a_task, a_track

KEY = "7/issue-12"


class _Clock:
    def now(self) -> datetime:
        return NOW


@dataclass
class _Forge:
    """Keeps comments and labels of issue 12 as a forge does; it may fail."""

    posted: dict[int, str] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    failure: BotError | None = None
    writes: list[str] = field(default_factory=list)
    looks: int = 0
    at_once: bool = False  # whether a label and an edit are one call
    unanswered: BotError | None = None  # what is made of the answer to a label that was set

    def _write(self, what: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.writes.append(what)

    async def create_comment(self, _repo: Repo, _number: int, body: str, *, first: bool = False) -> int:
        known = (
            [] if first else [id_ for id_, text in self.posted.items() if identity(text) == identity(body)]
        )
        if not known:
            self._write("comment")
            self.posted[len(self.posted) + 1] = body
        return known[0] if known else len(self.posted)

    async def update_comment(self, _repo: Repo, id_: int, body: str) -> None:
        if id_ not in self.posted:
            raise NotFoundError("the comment is gone")
        self._write("edit")
        self.posted[id_] = body

    async def find_comment(self, _repo: Repo, _number: int, marker: str) -> Comment | None:
        self.looks += 1
        found = [Comment(id_, text, DANA) for id_, text in self.posted.items() if text.startswith(marker)]
        return found[0] if found else None

    async def react(self, _repo: Repo, _subject: str, _id: int, content: str) -> bool:
        self._write(content)
        return True

    async def issue(self, _repo: Repo, number: int) -> Issue:
        return Issue(number, "", "", "open", DANA, tuple(self.labels))

    async def show_label(
        self,
        _repo: Repo,
        _issue: int,
        wanted: str | None,
        *,
        ours: Mapping[str, tuple[str, str]],
        before: str | None,
        edit: tuple[int, str] | None,
    ) -> bool:
        off = (self.labels & ours.keys() if before is None else {before} - {""}) - {wanted}
        self._write(" ".join([f"+{wanted}", *(f"-{name}" for name in sorted(off))]))
        self.labels = self.labels - off | ({wanted} if wanted else set())
        if self.unanswered is not None:
            raise self.unanswered
        if edit is None or not self.at_once:
            return False
        self.posted[edit[0]] = edit[1]
        return True


@dataclass
class Desk:
    """A store with one track, a forge, and the performer between them."""

    store: Store
    forge: _Forge = field(default_factory=_Forge)
    job: Job | None = None
    jobs: dict[type[Action], Job] = field(default_factory=dict)
    version: int = 0
    gap: float = 0.0
    edited: dict[str, datetime] = field(default_factory=dict)

    async def decide(self, track: Track, *actions: Action) -> list[str]:
        """Commit a decision as the dispatcher does, and give the ids of its actions."""
        event, self.version = f"e-{self.version}", self.version + 1
        await self.store.add_event(KEY, event, {})
        new = tuple(
            NewAction(f"{KEY}#{event}.{n}", a.kind, ACTIONS.dump_python(a, mode="json"))
            for n, a in enumerate(actions)
        )
        state = TRACKS.dump_python(track, mode="json")
        assert await self.store.commit(
            Commit(track=KEY, event_id=event, expected_version=self.version - 1, state=state, actions=new)
        )
        return [each.id for each in new]

    async def perform(self, id_: str) -> None:
        jobs = {**self.jobs, **({CloseTrack: self.job} if self.job else {})}
        performer = Performer(
            self.store,
            cast(Forge, self.forge),
            jobs,
            lambda _: (("/agent help", ""),),
            _Clock(),
            "`bot.log`",
            edit_gap=self.gap,
            edited=self.edited,
        )
        await performer.run({"action": id_})

    async def do(self, track: Track, *actions: Action) -> list[str]:
        ids = await self.decide(track, *actions)
        for id_ in ids:
            await self.perform(id_)
        return ids

    async def result(self) -> object:
        found = await self.store.next_event(KEY)
        return found.event if found else None


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", _Clock())
    yield Desk(store)
    await store.close()


def a_text(
    body: str = "<!-- gitwright:answer track=issue-12 -->\n<!-- gitwright-key: k -->\nHello",
) -> PostComment:
    return PostComment(repo=REPO, number=12, body=body)


async def test_edits_of_the_status_comment_keep_a_distance_unless_a_person_is_needed(desk: Desk) -> None:
    desk.gap = 10.0
    working = a_track(a_task(), state="working")
    await desk.do(working, SyncStatus())
    (later,) = await desk.do(replace(working, tasks=(a_task(state="running"),)), SyncStatus())
    row = await desk.store.action(later)
    assert row is not None
    assert (row.state, row.not_before) == ("new", NOW + timedelta(seconds=10))
    assert desk.forge.writes.count("edit") == 0
    desk.edited[KEY] = NOW - timedelta(seconds=10)
    await desk.perform(later)
    assert desk.forge.writes.count("edit") == 1
    (urgent,) = await desk.do(replace(working, tasks=(a_task(state="held"),)), SyncStatus())
    done = await desk.store.action(urgent)
    assert done is not None
    assert (done.state, desk.forge.writes.count("edit")) == ("done", 2)


async def test_a_status_comment_is_looked_for_only_where_it_may_be_there(desk: Desk) -> None:
    """A new track's is made at once; after a kill while it was made, and of a lost database, it is looked for."""
    await note_look(desk.store, REPO.id, 12, ours=False)
    await desk.do(a_track(), SyncStatus())
    assert (desk.forge.looks, len(desk.forge.posted)) == (0, 1)
    await desk.store.put_id(f"{KEY}:status-sha256", "")
    await desk.store.put_id(f"{KEY}:status", "77")  # somebody deleted it
    await desk.do(a_track(), SyncStatus())
    assert len(desk.forge.posted) == 1  # it was looked for


async def test_what_may_have_been_said_before_the_data_was_lost_is_looked_for(desk: Desk) -> None:
    await note_look(desk.store, REPO.id, 12, ours=True)
    desk.forge.posted[41] = "<!-- gitwright:status track=issue-12 -->\nof before"
    await desk.do(a_track(), SyncStatus())
    assert (desk.forge.looks, list(desk.forge.posted)) == (1, [41])


async def test_a_text_is_posted_once_however_often_it_is_performed(desk: Desk) -> None:
    (first,) = await desk.do(a_track(), a_text())
    await desk.perform(first)
    await desk.do(a_track(), a_text())
    assert desk.forge.writes == ["comment"]


async def test_a_result_comes_back_as_an_event(desk: Desk) -> None:
    async def close(_track: Track, _action: CloseTrack) -> Closed:
        return Closed(leftovers=("worktree x",))

    desk.job = close
    await desk.do(a_track(), CloseTrack())
    assert await desk.result() == {"kind": "closed", "leftovers": ["worktree x"]}


async def test_what_passes_is_tried_again_later_and_given_up_with_a_word(desk: Desk) -> None:
    desk.forge.failure = RetryableError("502 Server Error")
    (id_,) = await desk.decide(a_track(), a_text())
    waits = []
    for _ in range(TRIES - 1):
        await desk.perform(id_)
        row = await desk.store.action(id_)
        assert row is not None
        assert row.not_before is not None
        waits.append((row.not_before - NOW).total_seconds())
    assert waits == [*BACKOFF, *[BACKOFF[-1]] * (TRIES - 1 - len(BACKOFF))]
    assert await desk.result() is None
    await desk.perform(id_)
    assert await desk.result() == {
        "kind": "action_failed",
        "action": id_,
        "what": "post_comment",
        "error": f"502 Server Error (tried {TRIES} times)",
        "task": None,
        "key": "",
    }


async def test_a_box_that_fails_is_tried_again_a_few_times_only(desk: Desk) -> None:
    runs = 0

    async def close(_track: Track, _action: CloseTrack) -> Closed:
        nonlocal runs
        runs += 1
        raise SandboxError("no box today")

    desk.job = close
    (id_,) = await desk.decide(a_track(), CloseTrack())
    for tried in range(1, BOX_TRIES + 1):
        assert await desk.result() is None
        await desk.perform(id_)
        row = await desk.store.action(id_)
        assert row is not None
        assert (row.state == "failed") == (tried == BOX_TRIES)
    assert runs == BOX_TRIES == 3
    told = await desk.result()
    assert told is not None
    assert told["error"] == "no box today (tried 3 times)"


_PARKED = ParkedError("the provider has no more", 60.0)


@pytest.mark.parametrize(
    "met",
    [
        pytest.param([NoRoomError("room for 7 MiB")] * (BOX_TRIES + 2), id="a full disk"),
        pytest.param([*[_PARKED] * 4, SandboxError("no box today")], id="waits before a box failed"),
    ],
)
async def test_what_passes_counts_as_no_box_that_failed(desk: Desk, met: list[BotError]) -> None:
    ends = [*met]

    async def close(_track: Track, _action: CloseTrack) -> Closed:
        if ends:
            raise ends.pop(0)
        return Closed()

    desk.job = close
    (id_,) = await desk.decide(a_track(), CloseTrack())
    while ends:
        await desk.perform(id_)
        row = await desk.store.action(id_)
        assert row is not None
        assert row.state == "new", row.error
    await desk.perform(id_)
    row = await desk.store.action(id_)
    assert row is not None
    assert row.state == "done"


async def test_the_forges_own_waiting_time_is_kept(desk: Desk) -> None:
    desk.forge.failure = RetryableError("slow down", 77.0)
    (id_,) = await desk.do(a_track(), a_text())
    row = await desk.store.action(id_)
    assert row is not None
    assert row.not_before is not None
    assert (row.not_before - NOW).total_seconds() == 77.0
    desk.forge.failure = None
    await desk.perform(id_)
    assert desk.forge.writes == ["comment"]


async def test_short_waits_of_others_making_do_not_use_up_the_tries_any_faster(desk: Desk) -> None:
    desk.forge.failure = RetryableError("other runs hold the rest of the budget", 30.0)
    (id_,) = await desk.decide(a_track(), a_text())
    waited = 0.0
    while (row := await desk.store.action(id_)) is not None and row.state != "failed":
        await desk.perform(id_)
        waited += (row.not_before - NOW).total_seconds() if row.not_before else 0.0
    assert waited >= sum(BACKOFF) + (TRIES - 1 - len(BACKOFF)) * BACKOFF[-1]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (UserError("Mend the file."), "Mend the file."),
        (
            ZeroDivisionError("division by zero"),
            "internal error (ZeroDivisionError); `bot.log` names it as action {id}",
        ),
    ],
    ids=["ours", "a bug"],
)
async def test_what_does_not_pass_is_said_at_once(desk: Desk, failure: Exception, said: str) -> None:
    async def fail(_track: Track, _action: CloseTrack) -> None:
        raise failure

    desk.job = fail
    (id_,) = await desk.do(a_track(), CloseTrack())
    result = await desk.result()
    assert isinstance(result, dict)
    assert (result["kind"], result["error"]) == ("action_failed", said.format(id=id_))
    await desk.perform(id_)
    assert (await desk.store.action(id_)).state == "failed"  # type: ignore[union-attr]


async def test_a_failure_names_the_call_that_it_was_for(desk: Desk) -> None:
    async def fail(_track: Track, _action: IncludeTasks) -> None:
        raise UserError("Mend the file.")

    desk.jobs = {IncludeTasks: fail}
    await desk.do(a_track(), IncludeTasks(names=("M-1",), by="dana", key="tick-5"))
    result = await desk.result()
    assert isinstance(result, dict)
    assert result["key"] == "tick-5"


async def test_a_comment_without_a_place_is_no_failure(desk: Desk) -> None:
    desk.forge.failure = NotFoundError("the issue was deleted")
    await desk.do(a_track(), a_text())
    assert await desk.result() is None


async def test_a_reaction_is_set(desk: Desk) -> None:
    await desk.do(a_track(), React(repo=REPO, subject="comment", id=5, content="eyes"))
    assert desk.forge.writes == ["eyes"]


async def test_the_sticky_comment_is_edited_in_place_and_only_where_it_changed(desk: Desk) -> None:
    track = a_track()
    await desk.do(track, SyncStatus())
    assert desk.forge.writes == ["+agent:planning", "comment"]
    await desk.do(track, SyncStatus())
    assert len(desk.forge.writes) == 2
    await desk.do(replace(track, state="review", backlog_pull=2), SyncStatus())
    assert desk.forge.writes[2:] == ["+agent:review -agent:planning", "edit"]
    assert len(desk.forge.posted) == 1
    assert "review #2" in desk.forge.posted[1]


async def test_the_last_of_several_wishes_writes_the_status(desk: Desk) -> None:
    await desk.do(a_track(), SyncStatus())
    edits = desk.forge.writes.count("edit")
    older = await desk.decide(a_track(runs=1), SyncStatus())
    newer = await desk.decide(a_track(runs=2), SyncStatus())
    for id_ in (*older, *newer):
        await desk.perform(id_)
    assert desk.forge.writes.count("edit") == edits + 1


@pytest.mark.parametrize("wished", [True, False])
async def test_what_changes_while_the_status_is_written_is_left_to_a_later_wish(
    desk: Desk, *, wished: bool
) -> None:
    await desk.do(a_track(), SyncStatus())
    edits = desk.forge.writes.count("edit")
    later: list[str] = []

    async def meanwhile(_track: Track, _action: Action) -> None:
        if not later:
            later.extend(await desk.decide(a_track(runs=2), *([SyncStatus()] if wished else [])) or ["none"])

    desk.jobs[ReportTask] = meanwhile
    await desk.do(a_track(runs=1), SyncStatus())
    assert desk.forge.writes.count("edit") == edits + (1 if wished else 2)  # else nobody would tell of it
    if wished:
        await desk.perform(later[0])
    assert desk.forge.writes.count("edit") == edits + 2


async def test_a_status_comment_that_somebody_deleted_is_posted_anew(desk: Desk) -> None:
    await desk.do(a_track(), SyncStatus())
    desk.forge.posted.clear()
    await desk.do(a_track(runs=1), SyncStatus())
    assert len(desk.forge.posted) == 1
    assert await desk.result() is None


async def test_label_and_comment_are_written_at_once_where_the_forge_can(desk: Desk) -> None:
    desk.forge.at_once = True
    await desk.do(a_track(), SyncStatus())
    await desk.do(a_track(state="done"), SyncStatus())
    assert desk.forge.writes == ["+agent:planning", "comment", "+agent:done -agent:planning"]
    assert desk.forge.labels == {"agent:done"}
    assert "done" in desk.forge.posted[1]


async def test_the_status_label_of_people_is_replaced_and_their_others_stay(desk: Desk) -> None:
    desk.forge.labels = {"bug", "agent:done", "agent:plan"}
    await desk.do(a_track(), SyncStatus())
    assert desk.forge.labels == {"bug", "agent:plan", "agent:planning"}


async def test_a_label_that_was_set_without_the_bots_knowing_is_replaced_by_the_next(desk: Desk) -> None:
    """As where the bot is killed after the forge took the label, and the track has moved on until it is back."""
    await desk.do(a_track(), SyncStatus())
    desk.forge.unanswered = RetryableError("the answer is lost")
    await desk.do(a_track(state="working"), SyncStatus())
    assert desk.forge.labels == {"agent:working"}
    desk.forge.unanswered = None
    await desk.do(a_track(state="done"), SyncStatus())
    assert desk.forge.labels == {"agent:done"}
