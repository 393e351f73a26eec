"""A track whose repository is out of reach: whatever was under way is put off, whoever had paused it before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.core import life_away, life_checks, life_hold, life_repair
from bot.core.actions import AssessTask, CancelRuns, CheckHealth, Decision, MakePlan, RebaseTask, RunTask
from bot.core.checks import Rollup
from bot.core.life_repair import BEING_REBASED
from bot.core.push_gate import PushAsk
from bot.core.track import Track
from tests.core.builders import NOW, a_task, a_track

HEAD, FIX = "a" * 40, "b" * 40
RUNNING = a_task(state="running", attempt=1, run=1, branch="b1")
RED = a_task(state="checking", attempt=1, run=1, pull=20, head_sha=HEAD, judged=f"{HEAD} red ci", trend=(0,))
BY_A_PERSON = pytest.mark.parametrize("paused", [False, True])


def after(decision: Decision) -> Track:
    assert decision.track is not None
    return decision.track


def away_and_back(track: Track, *, paused: bool) -> Decision:
    """Pause the track if a person is to have done so, take its repository away and give it back, and resume."""
    if paused:
        track = after(life_hold.pause(track, NOW, "dana"))
    gone = life_away.away(track, "archived", NOW)
    assert CancelRuns() in gone.actions
    back = life_away.back(after(gone), "archived", NOW)
    if not paused:
        return back
    assert after(back).state == "paused"
    assert not [action for action in back.actions if isinstance(action, life_hold.STARTS)]
    return life_hold.resume(after(back), NOW, "dana")


@BY_A_PERSON
def test_a_run_that_is_killed_is_begun_again(paused: bool) -> None:
    back = away_and_back(a_track(RUNNING), paused=paused)
    assert RunTask(task="T-1", attempt=1, run=2) in back.actions
    assert (after(back).state, after(back).tasks[0].run) == ("working", 2)


@BY_A_PERSON
def test_planning_that_is_killed_is_begun_again_once(paused: bool) -> None:
    back = away_and_back(a_track(), paused=paused)
    assert [a for a in back.actions if isinstance(a, life_hold.STARTS)] == [CheckHealth(before="planning")]


def test_what_a_pause_had_put_off_already_was_not_killed() -> None:
    track = after(life_hold.pause(a_track(), NOW, "dana"))
    planning = MakePlan(base_sha=HEAD)
    track = after(life_hold.held(track, lambda awake: Decision(track=awake, actions=(planning,))))
    gone = after(life_away.away(track, "archived", NOW))
    resumed = life_hold.resume(after(life_away.back(gone, "archived", NOW)), NOW, "dana")
    assert [a for a in resumed.actions if isinstance(a, life_hold.STARTS)] == [planning]


@BY_A_PERSON
def test_a_verdict_whose_look_is_killed_is_looked_at_again(paused: bool) -> None:
    back = away_and_back(a_track(RED), paused=paused)
    task = after(back).tasks[0]
    assert [timer.id for timer in back.timers] == ["checks:T-1"]
    again = life_checks.checks_read(after(back), task, Rollup("red", ("ci",)), 0, NOW)
    assert AssessTask(task="T-1", attempt=1, head_sha=HEAD) in again.actions


@BY_A_PERSON
def test_a_rebase_that_is_killed_is_begun_again(paused: bool) -> None:
    track, _ = life_repair.rebase(a_track(RED), RED, NOW, why="dana asked for it")
    back = away_and_back(track, paused=paused)
    assert [a for a in back.actions if isinstance(a, RebaseTask)] == [
        RebaseTask(task="T-1", attempt=1, head_sha=HEAD)
    ]
    assert (after(back).tasks[0].note, after(back).tasks[0].rebasing) == (BEING_REBASED, HEAD)


@BY_A_PERSON
def test_a_push_that_is_killed_pushes_the_very_commit_that_was_let_through(paused: bool) -> None:
    ask = PushAsk(sha=FIX, files=1, plus=1, minus=0)
    back = away_and_back(a_track(replace(RUNNING, ask=ask, approved=FIX)), paused=paused)
    assert [a for a in back.actions if isinstance(a, RunTask)] == [
        RunTask(task="T-1", attempt=1, run=1, mode="publish", head=FIX)
    ]
    assert after(back).tasks[0].ask == ask


def test_a_stopped_track_had_nothing_left_to_kill() -> None:
    track = after(life_hold.stop(a_track(RUNNING), NOW, "dana"))
    gone = after(life_away.away(track, "archived", NOW))
    assert (gone.tasks, gone.put_off, gone.state) == (track.tasks, track.put_off, "stopped")
