"""A new head of a task's branch: what was known of the one before, and what waits to replace it, is not said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from inline_snapshot import snapshot

from bot.core import life_pulls, life_push, life_repair, life_work
from bot.core.actions import Decision, PostComment
from bot.core.events import PullPushed, PushAsked, TaskProposed, TaskRebased
from bot.core.messages_push import ways_out
from bot.core.push_gate import PushAsk
from bot.core.snapshot import TaskMore
from bot.core.task_check import report
from bot.core.track import TaskTrack, Track
from tests.core.builders import DANA, NOW, REPO, a_task, a_track

OLD, FIX, NEW, TIP = "a" * 40, "b" * 40, "c" * 40, "d" * 40
PASSED = "`pytest` (passed)"
FIXING = a_task(
    state="running",
    attempt=1,
    run=2,
    pull=20,
    head_sha=OLD,
    from_sha=OLD,
    mode="fix",
    branch="agent/issue-12/T-1-a1",
    trend=(0,),
)
RULED = PushAsk(sha=FIX, files=1, plus=1, minus=0, refused="a rule")
CHANGES = ["pushed", "rebased"]


def the(decision: Decision | str) -> tuple[Track, TaskTrack]:
    assert isinstance(decision, Decision)
    assert decision.track is not None
    task = decision.track.task("T-1")
    assert task is not None
    return decision.track, task


def refused() -> tuple[Track, TaskTrack]:
    event = PushAsked(task="T-1", attempt=1, run=2, ask=RULED, text="a rule refused it")
    return the(life_push.push_asked(a_track(FIXING), event, NOW))


def proposed(verified: str = PASSED) -> tuple[Track, TaskTrack]:
    event = TaskProposed(task="T-1", attempt=1, run=2, pull=20, branch="b", head_sha=OLD, verified=verified)
    return the(life_work.task_proposed(a_track(FIXING), event, NOW))


def the_task(track: Track) -> TaskTrack:
    return track.tasks[0]


def moved(track: Track, how: str, *, ours: bool = False, to: str = NEW) -> tuple[Track, TaskTrack]:
    if how == "rebased":
        return the(
            life_repair.task_rebased(track, TaskRebased(task="T-1", attempt=1, head_sha=to, onto=TIP), NOW)
        )
    event = PullPushed(repo=REPO, number=20, head_branch="b", head_sha=to, actor=DANA)
    return the(life_pulls.pushed(track, the_task(track), event, NOW, ours=ours))


@pytest.mark.parametrize("how", CHANGES)
def test_what_a_rule_refused_is_not_pushed_over_a_newer_head(how: str) -> None:
    track, task = refused()
    assert life_push.pushable(task) is not None
    track, task = moved(track, how)
    blocked, task = the(life_repair.stuck(track, task, "it conflicts", "", NOW))
    assert "/agent push" not in ways_out(task)
    assert life_push.pushable(task) is None
    assert isinstance(life_push.approve(blocked, task, FIX[:7], "dana", NOW), str)


def test_what_a_rule_refused_stays_where_the_head_is_the_same() -> None:
    # It can be pushed as long as it goes on from the head that people see.
    track, task = moved(refused()[0], "rebased", to=OLD)
    assert task.state == "checking"
    assert isinstance(life_push.approve(track, task, FIX[:7], "dana", NOW), Decision)


def test_nothing_is_pushed_while_the_branch_is_being_rebased() -> None:
    track, actions = life_repair.rebase(*refused(), NOW, why="dana asked for it")
    assert actions
    assert life_push.pushable(the_task(track)) is None


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("ours", [False, True])
def test_what_was_tested_is_said_of_the_commit_that_was_tested_only(how: str, ours: bool) -> None:
    track, task = proposed()
    said = report(track, task, "")
    assert said is not None
    assert said.conclusion == "success"
    track, task = moved(track, how, ours=ours)
    said = report(track, task, "")
    assert said is not None
    assert (said.conclusion, said.title) == ("neutral", "Not verified: review it with care")
    assert (
        "**Verification:** nobody ran the tests of this commit before it was pushed; "
        "of the earlier `aaaaaaa`: `pytest` (passed)"
    ) in said.summary.replace("\\", "")


def test_after_a_lost_database_too() -> None:
    _, task = proposed()
    kept = TaskMore.model_validate({name: getattr(task, name) for name in ("verified", "verified_sha")})
    restored = replace(a_task(state="in_review", attempt=1, pull=20, head_sha=NEW), **kept.given())
    said = report(a_track(restored), restored, "")
    assert said is not None
    assert said.conclusion == "neutral"


def test_a_run_whose_tests_did_not_run_on_its_head_verifies_nothing() -> None:
    _, task = proposed(verified="")
    assert (task.verified, task.verified_sha) == ("", "")


def test_a_run_that_came_too_late_is_told_where_people_pushed() -> None:
    event = TaskProposed(task="T-1", attempt=1, run=2, pull=20, branch="b", head_sha=NEW, left_out=True)
    decision = life_work.task_proposed(a_track(FIXING), event, NOW)
    _, task = the(decision)
    assert (task.state, task.head_sha, task.trend) == ("checking", NEW, FIXING.trend)
    (said,) = [action for action in decision.actions if isinstance(action, PostComment)]
    assert said.number == 20
    assert said.body == snapshot("""\
<!-- gitwright:answer track=issue-12 -->
<!-- gitwright-key: T-1-a1-r2-left-out -->
New commits were pushed here while run 2 worked on `T-1`, so what that run made is left out: nothing is written over. `/agent revise <note>` has an agent go on from the commits that are here now.
""")
