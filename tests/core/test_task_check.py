"""What the check `gitwright/task` says, and that each of its buttons means something where it is shown."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.commands import Invocation
from bot.core.task_check import BUTTONS, over, report
from bot.core.track import TaskState, TaskTrack, Track, TrackState
from bot.core.values import Actor, Usage
from bot.handler import Asked
from handlers.calling import Given, called
from tests.core.builders import NOW, REPO, SHA, a_task, a_track

STATUS = "https://forge.test/acme/greet/issues/12#issuecomment-5"


def opened(**changes: object) -> TaskTrack:
    return a_task(
        **{
            "state": "in_review",
            "attempt": 1,
            "run": 1,
            "pull": 14,
            "head_sha": SHA,
            "verified_sha": SHA,
            "branch": "b",
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("changes", "conclusion", "title"),
    [
        ({"verified": "`pytest` (passed)"}, "success", "Verified by its own tests"),
        ({"verified": "none: this repository has no test command"}, "neutral", "Not verified"),
        ({"verified": ""}, "neutral", "Not verified"),
        ({"state": "running", "run": 2}, None, "An agent works on it: attempt 1, run 2"),
        ({"state": "checking", "rebasing": SHA}, None, "It is put onto main"),
        ({"state": "blocked", "note": "it conflicts"}, "action_required", "Needs you: it conflicts"),
        ({"state": "checking", "waits_for_base": True}, "neutral", "Waits until main moves"),
    ],
)
def test_each_way_that_a_pull_request_stands_has_its_word(
    changes: dict[str, object], conclusion: str | None, title: str
) -> None:
    task = opened(**changes)
    said = report(a_track(task), task, STATUS)
    assert said is not None
    assert (said.conclusion, said.details) == (conclusion, STATUS)
    assert said.title.startswith(title)
    assert f"[Status of the work on #12]({STATUS})" in said.summary


def test_while_ci_runs_it_reads_as_it_does_afterwards() -> None:
    task = opened(verified="`pytest` (passed)")
    running = replace(task, state="checking", note="no check has run yet")
    assert report(a_track(task), task, STATUS) == report(a_track(running), running, STATUS)


@pytest.mark.parametrize("state", ["held", "done", "dropped", "waiting", "todo", "reverted"])
def test_where_nobody_looks_at_a_pull_request_nothing_is_said(state: TaskState) -> None:
    task = opened(state=state)
    assert report(a_track(task), task, STATUS) is None
    assert over(task, SHA).conclusion == "neutral"


def test_what_it_cost_is_told_where_it_is_known() -> None:
    task = opened(usage=Usage(1000, 234, 0.5))
    told = report(a_track(task), task, STATUS)
    lost = report(a_track(task, heard_until="2026-01-01T00:00:00Z"), task, STATUS)
    assert told is not None
    assert lost is not None
    assert "Cost so far: 1,234 tokens, $0.50." in told.summary
    assert "Cost" not in lost.summary


def test_buttons_are_within_githubs_limits() -> None:
    assert len(BUTTONS) == 3
    for button in BUTTONS:
        assert len(button.label) <= 20
        assert len(button.description) <= 40
        assert len(button.identifier) <= 20


@given(
    state=st.sampled_from([s for s in get_args(TrackState) if s not in {"planning", "review"}]),
    task_state=st.sampled_from(get_args(TaskState)),
    rebasing=st.sampled_from(["", SHA]),
    stopped=st.booleans(),
)
def test_a_button_that_is_shown_is_not_refused(
    state: TrackState, task_state: TaskState, rebasing: str, stopped: bool
) -> None:
    task = opened(state=task_state, rebasing=rebasing, stopped=stopped)
    resume_to: TrackState | None = "working" if state in {"paused", "stopped"} else None
    track: Track = a_track(task, state=state, resume_to=resume_to)
    said = report(track, task, STATUS)
    for button in said.buttons if said else ():
        asked = Asked(repo=REPO, number=14, is_pull=True, actor=Actor(3, "dana"), key="k")
        answer = called(track, asked, Invocation(button.identifier), Given(role="write"), NOW)
        assert answer.taken, f"{button.label} is refused: {answer.decision.actions}"
