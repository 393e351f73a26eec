"""When a command counts as done: what it asked for has happened, or cannot happen any more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.core.actions import Decision, React
from bot.core.events import (
    ActionFailed,
    BacklogEdited,
    BacklogRevised,
    Event,
    LeasesFreed,
    TaskProposed,
    TasksIncluded,
)
from bot.core.messages_status import status
from bot.core.plans import MergedPlan, PlannedTask
from bot.core.promises import kept, promised
from bot.core.restoring import Remains, rebuilt
from bot.core.snapshot import read_block
from bot.core.track import Promise, Until
from tests.core.builders import NOW, SHA, a_task, a_track

NEWS = LeasesFreed()  # any event: the state of the track is what counts
PLAN = MergedPlan(tasks=(PlannedTask(key="a", title="Say hello"),))


def outcome(
    until: Until, event: Event = NEWS, task: dict[str, Any] | None = None, **track: Any
) -> str | None:
    """Give the reaction to a command, None while it is open."""
    owed = Promise(key="comment-5", until=until, task="T-1" if until in {"pull", "branch"} else "", attempt=1)
    tasks = (a_task(**{"attempt": 1, **task}),) if task is not None else ()
    decision = kept(Decision(track=a_track(*tasks, promised=(owed,), **track)), event)
    reactions = [action.content for action in decision.actions if isinstance(action, React)]
    assert decision.track is not None
    assert len(reactions) + len(decision.track.promised) == 1
    return reactions[0] if reactions else None


@pytest.mark.parametrize(
    ("track", "wanted"),
    [
        ({}, None),
        ({"plan": PLAN}, "rocket"),
        ({"state": "blocked"}, "confused"),
        ({"state": "blocked", "plan": MergedPlan()}, "confused"),
        ({"state": "paused"}, None),
        ({"state": "cancelled"}, "confused"),
        ({"state": "superseded"}, "confused"),
    ],
)
def test_a_plan_is_done_when_it_is_posted(track: dict[str, Any], wanted: str | None) -> None:
    assert outcome("plan", **track) == wanted


@pytest.mark.parametrize(
    ("task", "wanted"),
    [
        ({"state": "running", "attempt": 2}, None),
        ({"state": "waiting"}, None),
        ({"state": "checking", "pull": 14}, None),
        ({"state": "checking", "pull": 15, "attempt": 2}, "rocket"),
        ({"state": "running", "pull": 15, "attempt": 2}, "rocket"),
        ({"state": "blocked", "attempt": 2}, "confused"),
        ({"state": "held", "attempt": 2}, "confused"),
        ({"state": "dropped"}, "confused"),
        ({"state": "done", "attempt": 2}, "rocket"),
    ],
)
def test_another_attempt_is_done_when_its_pull_request_is_open(
    task: dict[str, Any], wanted: str | None
) -> None:
    assert outcome("pull", task=task) == wanted


@pytest.mark.parametrize(
    ("task", "wanted"),
    [
        ({"state": "checking", "rebasing": SHA, "head_sha": SHA}, None),
        ({"state": "checking", "rebasing": SHA, "head_sha": "b" * 40}, "rocket"),
        ({"state": "in_review", "head_sha": SHA}, "rocket"),
        ({"state": "checking", "head_sha": SHA, "waits_for_base": True}, None),
        ({"state": "running"}, None),
        ({"state": "blocked"}, "confused"),
        ({"state": "dropped"}, "confused"),
        ({"state": "done"}, "rocket"),
    ],
)
def test_a_branch_is_done_when_it_rests_where_it_was_to_be(task: dict[str, Any], wanted: str | None) -> None:
    assert outcome("branch", task={"pull": 14, **task}) == wanted


@pytest.mark.parametrize(("task", "wanted"), [("T-1", "confused"), ("T-2", None)])
def test_what_was_left_out_for_peoples_commits_was_not_done(task: str, wanted: str | None) -> None:
    event = TaskProposed(task=task, attempt=1, run=2, pull=14, branch="b", head_sha=SHA, left_out=True)
    state = "checking" if task == "T-1" else "running"
    assert outcome("branch", event, task={"pull": 14, "state": state}) == wanted


def test_a_task_that_is_gone_cannot_be_worked_on() -> None:
    assert outcome("pull") == outcome("branch") == "confused"


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        (NEWS, None),
        (BacklogEdited(key="comment-5", changed=("T-1",)), "rocket"),
        (BacklogEdited(key="line-5", changed=("T-1",)), None),
        (BacklogRevised(key="comment-5", head_sha=SHA, text="", changed=("T-1",)), "rocket"),
        (BacklogRevised(key="comment-5", head_sha=SHA, text=""), "confused"),
        (TasksIncluded(key="comment-5", text="", changed=(("M-1", "T-2"),)), "rocket"),
        (TasksIncluded(key="comment-5", text=""), "confused"),
        (ActionFailed(action="a", what="edit_backlog", error="gone", key="comment-5"), "confused"),
        (ActionFailed(action="a", what="edit_backlog", error="gone"), None),
    ],
)
def test_a_change_of_the_file_is_done_when_it_stands_there(event: Event, wanted: str | None) -> None:
    assert outcome("file", event) == wanted
    assert outcome("file", NEWS, state="cancelled") == "confused"


def test_each_command_is_acknowledged_for_itself_and_once() -> None:
    decision = promised(Decision(track=a_track(a_task(state="running", attempt=2))), "line-5", "plan")
    decision = promised(decision, "comment-5", "pull", a_task(attempt=1))
    assert kept(decision, NEWS) == decision
    assert decision.track is not None
    opened = replace(decision, track=replace(decision.track, plan=PLAN))
    after = kept(opened, NEWS)
    assert after.track is not None
    assert [owed.key for owed in after.track.promised] == ["comment-5"]
    assert [(a.subject, a.id) for a in after.actions if isinstance(a, React)] == [("line", 5)]
    assert kept(replace(after, actions=()), NEWS) == replace(after, actions=())


def test_what_was_not_written_in_a_comment_gets_no_reaction() -> None:
    decision = Decision(track=a_track())
    assert promised(decision, "box-7-rebase-T-1-0", "plan") == decision
    assert promised(Decision(track=None), "comment-5", "plan") == Decision(track=None)


def test_the_status_comment_remembers_what_is_owed_and_whose_turn_each_box_has() -> None:
    owed = (
        Promise(key="comment-5", until="plan"),
        Promise(key="line-6", until="pull", task="T-1", attempt=2),
    )
    track = a_track(a_task(), promised=owed, ticks=(("rebase T-1", 2),))
    block = read_block(status(track, ()))
    assert block is not None
    assert block.promised == (("comment-5", "plan", "", 0), ("line-6", "pull", "T-1", 2))
    remains = Remains(
        repo=track.repo, issue=12, block=block, written_at="", config=track.config, frozen=track.frozen
    )
    again = rebuilt(remains, NOW)
    assert (again.promised, again.ticks) == (owed, track.ticks)


def test_a_block_of_before_named_comments_by_their_numbers() -> None:
    text = status(a_track(promised=(Promise(key="comment-5", until="plan"),)), ())
    block = read_block(text.replace('"comment-5"', "5"))
    assert block is not None
    assert block.promises() == (Promise(key="comment-5", until="plan"),)
