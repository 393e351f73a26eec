"""Owns what the bot still owes to whoever gave a command: 🚀 when the thing asked for has happened, 😕 where it cannot.

promised(decision, key, until, task) notes it, kept(decision, event) looks after each event what has come of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from bot.core.actions import Decision, React
from bot.core.events import ActionFailed, BacklogEdited, BacklogRevised, Event, TaskProposed, TasksIncluded
from bot.core.ids import said_in
from bot.core.track import OPEN_PULL, STUCK, Promise, TaskTrack, Track, Until

Outcome = Literal["rocket", "confused"]


def promised(decision: Decision, key: str, until: Until, task: TaskTrack | None = None) -> Decision:
    """Note that a command is done later, and what its being done means; one that was not written gets no reaction."""
    track = decision.track
    if track is None or said_in(key) is None:
        return decision
    owed = Promise(
        key=key,
        until=until,
        task=task.id if task else "",
        attempt=task.attempt if task else 0,
    )
    return replace(decision, track=replace(track, promised=(*track.promised, owed)))


def acknowledged(track: Track, owed: Promise, outcome: Outcome) -> tuple[React, ...]:
    """Show whoever gave a command what has become of it, where they wrote it."""
    said = said_in(owed.key)
    return () if said is None else (React(repo=track.repo, subject=said[0], id=said[1], content=outcome),)


def kept(decision: Decision, event: Event) -> Decision:
    """Acknowledge what has been done by now, or cannot be done any more."""
    track = decision.track
    if track is None or not track.promised:
        return decision
    outcomes = {owed: _outcome(track, owed, event) for owed in track.promised}
    reactions = tuple(
        react
        for owed, outcome in outcomes.items()
        if outcome is not None
        for react in acknowledged(track, owed, outcome)
    )
    if not reactions:
        return decision
    open_ = tuple(owed for owed, outcome in outcomes.items() if outcome is None)
    return replace(decision, track=replace(track, promised=open_), actions=(*decision.actions, *reactions))


def _outcome(track: Track, owed: Promise, event: Event) -> Outcome | None:
    """Say what has become of one command; None while that is open."""
    if owed.until == "plan":
        found = _planned(track)
    elif owed.until == "file":
        found = _written(owed, event)
    else:
        found = _worked(track, owed, event)
    return "confused" if found is None and track.ended else found


def _planned(track: Track) -> Outcome | None:
    if track.plan is not None and track.plan.tasks:
        return "rocket"
    return "confused" if track.state == "blocked" else None


def _written(owed: Promise, event: Event) -> Outcome | None:
    """The backlog's file says what was asked for, or people were told why not."""
    if isinstance(event, ActionFailed):
        return "confused" if event.key == owed.key else None
    if not isinstance(event, BacklogRevised | BacklogEdited | TasksIncluded) or event.key != owed.key:
        return None
    return "rocket" if event.changed else "confused"


def _worked(track: Track, owed: Promise, event: Event) -> Outcome | None:
    """The next attempt has its pull request, or the branch is where it was to be brought."""
    task = track.task(owed.task)
    if isinstance(event, TaskProposed) and event.left_out and event.task == owed.task:
        return "confused"  # people pushed meanwhile, and were told so
    if task is None or task.state == "dropped" or task.state in STUCK:
        return "confused"
    if task.state == "done":
        return "rocket"
    if owed.until == "pull":
        return "rocket" if task.attempt > owed.attempt and task.pull is not None else None
    rests = task.state in OPEN_PULL and not task.waits_for_base
    return "rocket" if rests and not task.moving else None
