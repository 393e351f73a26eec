"""What comes of a job that was given up: only what it was for is undone."""

from __future__ import annotations

from typing import Any

from bot.core import life_review
from bot.core.actions import Decision, SyncPlan
from bot.core.events import ActionFailed, TasksIncluded
from bot.core.track import Track
from handlers.outcomes import HANDLERS
from tests.core.builders import NOW, SHA, a_track

HANDLE: dict[type, Any] = {handler.event: handler for handler in HANDLERS}


def after(decision: Decision) -> Track:
    assert decision.track is not None
    return decision.track


def asked_for(*names: str) -> Track:
    track = a_track(state="review", backlog_pull=13, backlog_sha=SHA)
    for name in names:
        track = after(life_review.include(track, name, "dana", f"key-{name}", NOW))
    return track


def happens(track: Track, event: ActionFailed | TasksIncluded) -> Decision:
    decided: Decision = HANDLE[type(event)].decide(track, event, None, NOW)
    return decided


def test_one_failed_inclusion_leaves_the_others_under_way() -> None:
    failed = ActionFailed(action="7/x#1", what="include_tasks", error="no", key="key-M-1")
    decision = happens(asked_for("M-1", "M-2"), failed)
    assert [each.name for each in after(decision).included] == ["M-2"]
    assert SyncPlan() in decision.actions
    made = TasksIncluded(key="key-M-2", text="Done.", head_sha=SHA, changed=(("M-2", "T-4"),))
    track = after(happens(after(decision), made))
    assert [(each.name, each.by, each.task) for each in track.included] == [("M-2", "dana", "T-4")]
    assert track.history[-1].why == "dana asked for it"


def test_what_is_in_the_file_already_stays_known() -> None:
    made = TasksIncluded(key="key-M-1", text="Done.", head_sha=SHA, changed=(("M-1", "T-4"),))
    track = after(happens(asked_for("M-1"), made))
    failed = ActionFailed(action="7/x#2", what="include_tasks", error="no", key="key-M-1")
    assert after(happens(track, failed)).included == track.included
