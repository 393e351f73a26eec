"""A head's checks, announced in any order or not at all."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

import pytest

from bot.core.actions import AssessTask, Decision, SyncStatus
from bot.core.events import ChecksCompleted, ChecksDue, TaskAssessed, TaskProposed
from bot.core.life_repair import task_assessed
from bot.core.life_work import task_proposed
from bot.core.push_gate import PushAsk
from bot.core.rebasing import RebaseEngine, Situation
from bot.core.task_check import report
from bot.core.track import Track
from bot.core.values import Check, Pull, PullState, Repo
from bot.handler import TrackReads
from bot.ports import Look
from handlers import checks
from tests.core.builders import NOW, REPO, SHA, a_check, a_task, a_track

BRANCH = "agent/issue-12/T-1-a1"
NEWER = "b" * 40
OPEN = Pull(3, "open", "T-1", "", BRANCH, SHA, "main", "c" * 40)


@dataclass
class _World:
    """A forge with one pull request."""

    pulled: Pull = OPEN
    patience: float = 0.0
    ran: dict[str, list[Check]] = field(default_factory=lambda: {SHA: [a_check()], NEWER: [a_check()]})

    @property
    def forge(self) -> "_World":
        return self

    async def look(self, _track: Track) -> Look:
        return Look(0.0)

    async def pull_state(self, _repo: Repo, _number: int, _look: Look) -> PullState:
        return PullState(self.pulled, tuple(self.ran.get(self.pulled.head_sha, ())))

    async def checks(self, _repo: Repo, sha: str) -> list[Check]:
        return self.ran.get(sha, [])


def working(**changes: Any) -> Track:
    task: dict[str, Any] = {
        "state": "checking",
        "attempt": 1,
        "run": 1,
        "pull": 3,
        "head_sha": SHA,
        "branch": BRANCH,
    }
    return a_track(a_task(**{**task, **changes}))


async def announce(
    track: Track, world: _World | None = None, *, ours: bool = False, passed: bool = False
) -> Decision:
    event = ChecksCompleted(repo=REPO, sha=SHA, branch=BRANCH, ours=ours, passed=passed)
    facts = await checks.gather_completed(track, event, cast(TrackReads, world or _World()))
    return checks.decide_completed(track, event, facts, NOW)


def task_of(decision: Decision) -> tuple[str, str | None, str]:
    assert decision.track is not None
    task = decision.track.tasks[0]
    return task.state, task.head_sha, task.note


async def test_green_waits_for_review_and_red_is_assessed() -> None:
    assert task_of(await announce(working())) == ("in_review", SHA, "")
    red = await announce(working(), _World(ran={SHA: [a_check(conclusion="failure")]}))
    assert task_of(red) == ("checking", SHA, "failed: ci")
    assert AssessTask(task="T-1", attempt=1, head_sha=SHA) in red.actions


async def test_good_news_waits_for_more_and_is_read_once() -> None:
    patient = _World(patience=10.0)
    told = await announce(working(), patient, passed=True)
    assert task_of(told) == ("checking", SHA, "")
    assert told.actions == ()
    (timer,) = told.timers
    assert timer.after == timedelta(seconds=10)
    assert isinstance(timer.event, ChecksDue)
    facts = await checks.gather_due(working(), timer.event, cast(TrackReads, patient))
    assert task_of(checks.decide_due(working(), timer.event, facts, NOW)) == ("in_review", SHA, "")
    early = await announce(working(state="running", pull=None), patient, passed=True)
    assert early.track == working(state="running", pull=None)  # the look after it is opened finds it
    merged = working(state="done")  # people were faster: nothing is left to read
    assert await checks.gather_due(merged, timer.event, cast(TrackReads, patient)) == checks.Facts()


async def test_bad_news_and_news_of_another_head_are_read_at_once() -> None:
    red = _World(patience=10.0, ran={SHA: [a_check(conclusion="failure")]})
    assert task_of(await announce(working(), red)) == ("checking", SHA, "failed: ci")
    pushed = _World(patience=10.0, pulled=replace(OPEN, head_sha=NEWER))
    assert task_of(await announce(working(head_sha=NEWER), pushed, passed=True))[0] == "in_review"
    waits = working(state="blocked", note="checks failed")
    assert (await announce(waits, _World(patience=10.0), passed=True)).timers == ()


async def test_a_blocked_pull_request_goes_on_when_people_pushed_a_fix() -> None:
    fixed = _World(pulled=replace(OPEN, head_sha=NEWER))
    decision = await announce(working(state="blocked", note="failed: ci"), fixed)
    assert task_of(decision) == ("in_review", NEWER, "")


async def test_a_second_red_head_is_assessed_as_well_and_the_same_is_not() -> None:
    red = _World(ran={SHA: [a_check(conclusion="failure")], NEWER: [a_check(conclusion="failure")]})
    first = await announce(working(), red)
    assert first.track is not None
    assert (await announce(first.track, red)).actions == ()
    red.pulled = replace(OPEN, head_sha=NEWER)
    second = await announce(first.track, red)
    assert [a.head_sha for d in (first, second) for a in d.actions if isinstance(a, AssessTask)] == [
        SHA,
        NEWER,
    ]


async def test_checks_that_end_before_the_pull_request_is_open_are_looked_at_when_it_is() -> None:
    decision = await announce(working(state="running", pull=None, head_sha=None))
    assert decision.actions == ()
    assert decision.track is not None
    opened = TaskProposed(task="T-1", attempt=1, run=1, pull=3, branch=BRANCH, head_sha=SHA)
    (look,) = task_proposed(decision.track, opened, NOW).timers
    assert look.after.total_seconds() == 0
    (later,) = task_proposed(working(state="running", pull=None), opened, NOW).timers
    assert later.after.total_seconds() > 1


async def test_the_bots_own_checks_and_branches_of_others_say_nothing() -> None:
    assert (await announce(working(), ours=True)).actions == ()
    assert (await announce(a_track())).actions == ()


async def test_a_look_finds_what_nobody_told_of() -> None:
    track = working()
    due = ChecksDue(task="T-1", head_sha=SHA, waited=0)
    closed = _World(pulled=replace(OPEN, state="closed"))
    facts = await checks.gather_due(track, due, cast(TrackReads, closed))
    decision = checks.decide_due(track, due, facts, NOW)
    assert task_of(decision)[0] == "held"
    assert SyncStatus() in decision.actions


async def test_what_people_pushed_is_not_called_verified_by_what_was_tested_before() -> None:
    decision = await announce(
        working(verified="12 tests passed", verified_sha=SHA),
        _World(pulled=replace(OPEN, head_sha=NEWER)),
    )
    assert decision.track is not None
    task = decision.track.tasks[0]
    said = report(decision.track, task, "")
    assert said is not None
    assert (task.head_sha, said.conclusion) == (NEWER, "neutral")


async def test_a_head_that_may_be_our_own_rebases_is_left_to_it() -> None:
    track = working(rebasing=SHA, verified="12 tests passed")
    decision = await announce(track, _World(pulled=replace(OPEN, head_sha=NEWER)))
    assert decision.track == track


async def test_a_look_for_an_older_head_is_nothing() -> None:
    track = working(head_sha=NEWER)
    due = ChecksDue(task="T-1", head_sha=SHA, waited=0)
    facts = await checks.gather_due(track, due, cast(TrackReads, _World()))
    assert checks.decide_due(track, due, facts, NOW).actions == ()


GREEN_NOW = _World(ran={SHA: [a_check()]})
RED_NOW = _World(ran={SHA: [a_check(conclusion="failure")]})


@pytest.mark.parametrize("world", [GREEN_NOW, RED_NOW])
@pytest.mark.parametrize(
    "blocked",
    [
        {
            "note": "the push was refused by a rule",
            "ask": PushAsk(sha=NEWER, files=1, plus=1, minus=0),
        },
        {"note": "it changes a protected path"},
        {"note": "its run before the push was red", "trend": (0, 3)},
        {"note": "mended once, and then it needs a person", "judged": f"{NEWER} red ci"},
    ],
)
async def test_checks_of_the_head_that_it_was_blocked_at_for_something_else_change_nothing(
    blocked: dict[str, Any], world: _World
) -> None:
    track = working(state="blocked", **blocked)
    decision = await announce(track, world)
    assert decision == Decision(track=track)


async def test_a_task_that_is_blocked_for_its_checks_goes_on_when_they_are_run_again() -> None:
    engine = RebaseEngine()
    for blocks in ({"red": True, "failing": ("ci",)}, {"conflicts": ("a.py",), "conflict_persists": True}):
        red = await announce(working(regenerations=2, fixes=2), RED_NOW if "red" in blocks else _World())
        assert red.track is not None
        seen = TaskAssessed(
            task="T-1",
            attempt=1,
            run=1,
            head_sha=SHA,
            tip=NEWER,
            situation=Situation(where="after_push", **blocks),
            text="it is wrong",
        )
        blocked = task_assessed(red.track, seen, NOW, engine)
        assert task_of(blocked)[0] == "blocked"
        assert blocked.track is not None
        assert task_of(await announce(blocked.track, GREEN_NOW)) == ("in_review", SHA, "")
