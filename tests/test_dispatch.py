"""The dispatcher: events find their tracks, in order, and none ends in silence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.core.actions import Decision
from bot.core.events import EVENTS, ChecksDue, CommentCreated, ForgeEvent, IssueLabeled, Pushed, TaskProposed
from bot.core.life_work import start_ready
from bot.core.track import TRACKS, Track
from bot.dispatch import PARK, TRIES, Dispatcher
from bot.engine.small_ids import made_key
from bot.engine.store import Commit, Delivery, NewAction, SeenLeases, Store
from bot.errors import BotError, RetryableError, UserError
from bot.handler import Handler, Reads
from tests.core.builders import DANA, NOW, REPO, a_task, a_track

UNREAD = SimpleNamespace(forge=None, config=None, file=None, backlog=None, paths=None, unboxed=False)
LABELED = IssueLabeled(repo=REPO, issue=12, label="agent:plan", actor=DANA)
PUSHED = Pushed(repo=REPO, branch="main", before=None, after="b" * 40, actor=DANA)


@dataclass
class _Clock:
    time: datetime = NOW

    def now(self) -> datetime:
        return self.time


@dataclass
class _Heard:
    """A handler that notes the events it is asked to decide, and may fail while it gathers."""

    failures: list[BotError] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    meanwhile: Any = None

    async def gather(self, _track: Track | None, _event: Any, _reads: Reads) -> None:
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        if self.failures:
            raise self.failures.pop(0)

    def decide(self, track: Track | None, event: Any, _facts: None, _now: datetime) -> Decision:
        self.seen.append(event.kind)
        track = track or a_track()
        return Decision(track=replace(track, runs=track.runs + 1))

    def table(self) -> tuple[Handler[Any, Any], ...]:
        def one(event: type[Any], **more: Any) -> Handler[Any, Any]:
            return Handler(event=event, gather=self.gather, decide=self.decide, **more)

        return (
            one(IssueLabeled, opens=lambda event: event.issue),
            one(CommentCreated, keys=lambda event: (f"issue:{event.number}",)),
            one(Pushed, keys=lambda event: (f"branch:{event.branch}",)),
            one(ChecksDue),
            one(TaskProposed),
        )


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: _Clock) -> AsyncIterator[Store]:
    made = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", clock)
    yield made
    await made.close()


def dispatcher(
    store: Store, heard: _Heard, event: ForgeEvent | None = None, clock: _Clock | None = None
) -> Dispatcher:
    return Dispatcher(store, cast(Reads, UNREAD), heard.table(), lambda _: event, clock or _Clock())


def a_delivery(id_: str = "d-1") -> Delivery:
    return Delivery(id_, "any", {}, b"{}", NOW)


async def with_track(store: Store, track: Track) -> None:
    """Store a track as a decision would."""
    await store.add_event(track.key, f"seed-{track.id}", {})
    state = TRACKS.dump_python(track, mode="json")
    await store.commit(
        Commit(
            track=track.key,
            event_id=f"seed-{track.id}",
            expected_version=0,
            state=state,
            status=track.state,
            open=not track.ended,
            keys=track.keys(),
        )
    )


async def tell(store: Store, count: int = 1) -> None:
    for number in range(1, count + 1):
        due = {"kind": "checks_due", "task": "T-1", "head_sha": "a", "waited": number}
        await store.add_event("7/issue-12", f"e-{number}", due)


async def routed(store: Store, event: ForgeEvent | None) -> list[tuple[str, int]]:
    found = await dispatcher(store, _Heard(), event).route(a_delivery())
    return [(each.track, each.event.get("round", 0)) for each in found]


async def test_an_event_concerns_no_track_one_or_several(store: Store) -> None:
    assert await routed(store, None) == []
    assert await routed(store, PUSHED) == []
    for issue in (12, 13):
        await with_track(store, a_track(id=f"issue-{issue}", issue=issue))
    assert await routed(store, PUSHED) == [("7/issue-12", 0), ("7/issue-13", 0)]


async def test_a_label_opens_the_first_round_and_after_an_ended_track_the_next(store: Store) -> None:
    assert await routed(store, LABELED) == [("7/issue-12", 1)]
    await with_track(store, a_track())
    assert await routed(store, LABELED) == [("7/issue-12", 1)]
    await with_track(store, a_track(id="issue-12-r2", round=2, state="done"))
    # The older one hears of it too.
    assert await routed(store, LABELED) == [("7/issue-12-r2", 3), ("7/issue-12-r3", 3)]


async def test_a_label_waits_for_what_happened_to_the_track_before(store: Store) -> None:
    """Taken off and set again at once: what the first does decides about a new round."""
    await with_track(store, a_track())
    await tell(store)
    with pytest.raises(RetryableError):
        await routed(store, LABELED)
    await dispatcher(store, _Heard()).drain({"track": "7/issue-12"})
    assert await routed(store, LABELED) == [("7/issue-12", 1)]


async def test_what_happened_to_a_track_is_decided_in_order(store: Store) -> None:
    await with_track(store, a_track())
    await tell(store, 3)
    heard = _Heard()
    await dispatcher(store, heard).drain({"track": "7/issue-12"})
    assert heard.seen == ["checks_due"] * 3
    stored = await store.load("7/issue-12")
    assert stored is not None
    assert stored.state["runs"] == 3
    assert await store.next_event("7/issue-12") is None


TRACK = "7/issue-12"


async def drained(store: Store, heard: _Heard, clock: _Clock, tries: int) -> list[float]:
    """Drain as the runner does, each time when it is due, and give the waits between."""
    waits = []
    for _ in range(tries):
        await dispatcher(store, heard, clock=clock).drain({"track": TRACK})
        parked = await store.parked(TRACK)
        if parked is not None:
            waits.append((parked.until - clock.time).total_seconds())
            assert await store.tracks_with_events() == []
            clock.time = parked.until
    return waits


class _Why(_Heard):
    """A handler that notes what it reads of what is under way."""

    async def gather(self, track: Track | None, _event: Any, reads: Any) -> None:
        assert track is not None
        self.seen += [
            f"{each.kind} {each.task} {each.tries} {each.error}" for each in await reads.unfinished(track.key)
        ]


async def test_what_a_run_made_is_let_go_of_once_the_track_knows_its_pull_request(store: Store) -> None:
    await with_track(store, a_track(a_task(state="running", attempt=1, run=2)))
    for run in (1, 2):
        await store.put_id(made_key("7/issue-12", "T-1", 1, run), "{}")
    proposed = TaskProposed(task="T-1", attempt=1, run=2, pull=20, branch="b", head_sha="a" * 40)
    await store.add_event("7/issue-12", "e", EVENTS.dump_python(proposed, mode="json"))
    await dispatcher(store, _Heard()).drain({"track": "7/issue-12"})
    assert [await store.get_id(made_key("7/issue-12", "T-1", 1, run)) for run in (1, 2)] == ["{}", None]


async def test_a_handler_sees_what_is_tried_again_and_what_has_ended_no_more(
    store: Store, clock: _Clock
) -> None:
    await with_track(store, a_track(a_task()))
    await store.add_event("7/issue-12", "seed", {})
    run = {"kind": "run_task", "task": "T-1", "attempt": 1, "run": 1}
    actions = tuple(NewAction(id_, "run_task", run | {"task": id_}) for id_ in ("T-1", "T-2"))
    stored = await store.load("7/issue-12")
    assert stored is not None
    await store.commit(
        Commit(
            track="7/issue-12",
            event_id="seed",
            expected_version=stored.version,
            state=stored.state,
            status="working",
            actions=actions,
        )
    )
    await store.retry_action("T-1", NOW, "the forge is away")
    await store.finish_action("T-2", None)
    await tell(store)
    why = _Why()
    await dispatcher(store, why, clock=clock).drain({"track": "7/issue-12"})
    assert why.seen == ["run_task T-1 2 the forge is away", "checks_due"]


async def test_what_cannot_be_decided_now_is_tried_again_later_and_waits_longer_each_time(
    store: Store, clock: _Clock
) -> None:
    await with_track(store, a_track())
    await tell(store, 2)
    heard = _Heard([RetryableError("down"), RetryableError("down"), RetryableError("slow down", 42.0)])
    assert await drained(store, heard, clock, 3) == [PARK[0], PARK[1], 42.0]
    assert heard.seen == []
    marks = [mark for _, mark in await store.tracks_with_events()]
    assert [mark.rpartition("p")[2] for mark in marks] == ["3"]
    assert await drained(store, heard, clock, 1) == []
    assert heard.seen == ["checks_due"] * 2


async def test_nothing_is_tried_before_the_forge_allows_it_whatever_happens_meanwhile(
    store: Store, clock: _Clock
) -> None:
    await with_track(store, a_track())
    await tell(store)
    heard = _Heard([RetryableError("slow down", 3600.0)])
    made = dispatcher(store, heard, clock=clock)
    await made.drain({"track": TRACK})
    await tell(store, 2)  # something else happens to the track
    for _ in range(3):
        clock.time += timedelta(seconds=1100)
        assert await store.tracks_with_events() == []
        await made.drain({"track": TRACK})  # a job that was submitted before
    assert heard.seen == []
    clock.time += timedelta(seconds=300)
    assert [track for track, _ in await store.tracks_with_events()] == [TRACK]
    await made.drain({"track": TRACK})
    assert heard.seen == ["checks_due"] * 2


async def test_each_event_has_its_own_tries(store: Store, clock: _Clock) -> None:
    await with_track(store, a_track())
    await tell(store, 2)
    down = RetryableError("down")
    heard = _Heard([down] * (TRIES - 1))
    waits = await drained(store, heard, clock, TRIES - 1)
    assert len(waits) == TRIES - 1
    heard.failures = []
    heard.meanwhile = None
    await dispatcher(store, _Heard([], heard.seen), clock=clock).drain({"track": TRACK})
    assert heard.seen == ["checks_due"] * 2
    assert await store.open_actions(TRACK) == []
    await tell(store, 3)
    assert await drained(store, _Heard([down] * 2), clock, 2) == [PARK[0], PARK[1]]


async def test_what_cannot_be_handled_is_said_and_the_next_event_goes_on(store: Store) -> None:
    await with_track(store, a_track())
    await tell(store, 2)
    heard = _Heard([UserError("The file @all is *broken*.")])
    await dispatcher(store, heard).drain({"track": TRACK})
    assert heard.seen == ["checks_due"]
    said = [row.action for row in await store.open_actions(TRACK)]
    assert [(a["kind"], a["number"]) for a in said] == [("post_comment", 12)]
    assert said[0]["body"].startswith("<!-- gitwright:problem track=issue-12 -->\n")
    assert "This could not be handled: " in said[0]["body"]
    assert "file @all" not in said[0]["body"]


async def test_an_event_that_nobody_can_read_holds_nothing_up_and_is_said(store: Store) -> None:
    await with_track(store, a_track())
    await store.add_event("7/issue-12", "odd", {"kind": "of a later version"})
    await tell(store)
    heard = _Heard()
    await dispatcher(store, heard).drain({"track": "7/issue-12"})
    assert heard.seen == ["checks_due"]
    (said,) = await store.open_actions("7/issue-12")
    assert "could not be handled" in said.action["body"]


async def test_what_never_can_be_decided_is_said_after_its_tries(store: Store, clock: _Clock) -> None:
    await with_track(store, a_track())
    await tell(store, 2)
    heard = _Heard([RetryableError("no answer")] * (TRIES + 1))
    assert len(await drained(store, heard, clock, TRIES + 1)) == TRIES
    assert heard.seen == ["checks_due"]
    assert ["no answer" in row.action["body"] for row in await store.open_actions(TRACK)] == [True]


async def test_a_decision_made_from_an_old_version_is_made_again(store: Store) -> None:
    await with_track(store, a_track())
    await tell(store)

    async def somebody_else() -> None:
        await store.add_event("7/issue-12", "other", {})
        state = TRACKS.dump_python(a_track(runs=10), mode="json")
        stored = await store.commit(
            Commit(track="7/issue-12", event_id="other", expected_version=1, state=state, status="planning")
        )
        assert stored

    heard = _Heard(meanwhile=somebody_else)
    await dispatcher(store, heard).drain({"track": "7/issue-12"})
    stored = await store.load("7/issue-12")
    assert stored is not None
    assert stored.state["runs"] == 11
    assert heard.seen == ["checks_due"] * 2


class Raced(Store):
    """Lets something happen between looking at others' leases and storing what was decided on them."""

    async def others_leases(self, track: str) -> SeenLeases:
        seen = await super().others_leases(track)
        if (meanwhile := getattr(self, "meanwhile", None)) is not None:
            self.meanwhile = None
            await meanwhile()
        return seen


@dataclass
class _Starting(_Heard):
    """Starts what can start, and counts how often it gathered."""

    gathered: int = 0

    async def gather(self, _track: Track | None, _event: Any, _reads: Reads) -> None:
        self.gathered += 1

    def decide(self, track: Track | None, event: Any, _facts: None, now: datetime) -> Decision:
        assert track is not None
        self.seen.append(event.kind)
        moved, runs = start_ready(track, now)
        return Decision(track=moved, actions=runs)


async def test_of_two_tracks_that_take_the_same_files_at_once_one_waits_for_the_other(store: Store) -> None:
    mine = a_track(a_task(scope=("src/a.py",)))
    theirs = a_track(a_task(scope=("src/",)), id="issue-13", issue=13)
    for track in (mine, theirs):
        await with_track(store, track)
    await tell(store)
    await store.add_event(
        theirs.key, "e-13", {"kind": "checks_due", "task": "T-1", "head_sha": "a", "waited": 1}
    )
    store.__class__ = Raced
    first, second = _Starting(), _Starting()
    store.meanwhile = lambda: dispatcher(store, second).drain({"track": theirs.key})  # type: ignore[attr-defined]
    await dispatcher(store, first).drain({"track": mine.key})

    states = {}
    for key in (mine.key, theirs.key):
        stored = await store.load(key)
        assert stored is not None
        track = TRACKS.validate_python(stored.state)
        assert track.foreign == (), "what others hold is not stored"
        states[key] = (track.tasks[0].state, track.tasks[0].note)
    assert states[theirs.key] == ("running", "")
    assert states[mine.key] == ("waiting", "its files are in use by issue-13/T-1: src/a.py")
    assert len(first.seen) == 2, "it was decided again"
    assert first.gathered == 1, "from the same facts, which may have cost calls of the API"
    assert [row.kind for row in await store.open_actions(mine.key)] == []
    # And when the other gives its files back, it is told.
    await store.add_event(theirs.key, "end", {})
    stored = await store.load(theirs.key)
    assert stored is not None
    over = TRACKS.dump_python(replace(theirs, state="done"), mode="json")
    change = Commit(
        theirs.key, "end", stored.version, over, "done", open=False, freed={"kind": "leases_freed"}
    )
    assert await store.commit(change)
    event = await store.next_event(mine.key)
    assert event is not None
    assert event.event == {"kind": "leases_freed"}
