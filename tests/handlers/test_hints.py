"""Hints of CI beside complete suites: one look follows a crowd of them, and none where they say nothing new."""

from datetime import timedelta
from typing import Any

import pytest

from bot.core.events import ChecksDue, StatusSet, WorkflowEnded
from bot.core.track import Track
from handlers import hints
from tests.core.builders import NOW, REPO, SHA, a_task, a_track

BRANCH = "agent/issue-12/T-1-a1"
STATUS, WORKFLOW = (handler.decide for handler in hints.HANDLERS)


def working(state: str) -> Track:
    return a_track(a_task(state=state, attempt=1, run=1, pull=14, head_sha=SHA, branch=BRANCH))


def looks(track: Track, *, passed: bool, branch: str = BRANCH) -> list[tuple[str, timedelta, bool]]:
    """Give the looks that follow a status and a workflow; they are the same."""
    status = StatusSet(repo=REPO, sha=SHA, branches=("other", branch), passed=passed)
    workflow = WorkflowEnded(repo=REPO, sha=SHA, branch=branch, passed=passed)
    first, second = STATUS(track, status, None, NOW), WORKFLOW(track, workflow, None, NOW)
    assert (first.timers, first.actions) == (second.timers, second.actions)
    return [_timer(each) for each in first.timers]


def _timer(timer: Any) -> tuple[str, timedelta, bool]:
    assert isinstance(timer.event, ChecksDue)
    return timer.id, timer.after, timer.event.hinted


@pytest.mark.parametrize("passed", [True, False])
def test_a_crowd_of_hints_moves_one_look(passed: bool) -> None:
    assert looks(working("checking"), passed=passed) == [("checks:T-1", timedelta(seconds=10), passed)]


def test_where_it_waits_for_review_only_a_failure_is_news() -> None:
    assert looks(working("in_review"), passed=True) == []
    assert looks(working("in_review"), passed=False) == [("checks:T-1", timedelta(seconds=10), False)]


@pytest.mark.parametrize("state", ["blocked", "held", "done"])
def test_what_waits_for_people_is_left_alone(state: str) -> None:
    assert looks(working(state), passed=False) == []


def test_other_branches_and_unknown_tracks_are_nothing() -> None:
    assert looks(working("checking"), passed=False, branch="main") == []
    event = StatusSet(repo=REPO, sha=SHA, branches=(BRANCH,), passed=True)
    assert STATUS(None, event, None, NOW).timers == ()


def test_ci_that_is_quicker_than_the_pull_request_is_remembered() -> None:
    event = WorkflowEnded(repo=REPO, sha=SHA, branch=BRANCH, passed=True)
    after = WORKFLOW(working("running"), event, None, NOW).track
    assert after is not None
    assert after.tasks[0].announced == SHA
