"""Owns pausing, stopping and resuming a track: what came due meanwhile is put off, never lost.

held(track, step) lets something happen to a held track; pause, stop and resume answer to people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bot.core import messages
from bot.core.actions import (
    ACTIONS,
    Action,
    AssessTask,
    CancelRuns,
    CheckHealth,
    ClosePull,
    Decision,
    MakePlan,
    ProposeBacklog,
    RebaseTask,
    ReopenPull,
    RunTask,
    SyncStatus,
)
from bot.core.life import moment, nothing, stamp
from bot.core.life_repair import look
from bot.core.life_work import start_ready
from bot.core.track import HELD, OPEN_PULL, SETTLED, TaskTrack, Track

STARTS = (CheckHealth, MakePlan, ProposeBacklog, RunTask, AssessTask, RebaseTask)


def held(track: Track, step: Callable[[Track], Decision]) -> Decision:
    """Decide as if the track were not held, and put off what that would start."""
    decision = step(replace(track, state=track.resume_to or "working", resume_to=None))
    after = decision.track
    if after is None or after.ended:
        return decision
    put_off = [ACTIONS.dump_json(a).decode() for a in decision.actions if isinstance(a, STARTS)]
    after = replace(
        after,
        state=track.state,
        resume_to=after.state,
        put_off=tuple(dict.fromkeys((*track.put_off, *put_off))),
    )
    actions = tuple(action for action in decision.actions if not isinstance(action, STARTS))
    return Decision(track=after, actions=actions, timers=decision.timers)


def pause(track: Track, now: datetime, why: str) -> Decision:
    """Start nothing any more; what runs may finish."""
    if track.ended or track.state in HELD:
        return nothing(track)
    track = replace(track, state="paused", resume_to=track.state).noting(stamp(now), "paused", why)
    return Decision(track=track, actions=(SyncStatus(),))


def stop(track: Track, now: datetime, why: str) -> Decision:
    """Kill what runs and close what is open; branches stay, and resuming opens and starts it again."""
    if track.ended or track.state == "stopped":
        return nothing(track)
    resume_to = track.resume_to if track.state == "paused" else track.state
    closing = close_pulls(
        track,
        f"stopped-{moment(now)}",
        f"Stopped ({why}). `/agent resume` opens this again; its branch is kept.",
    )
    track = replace(
        track,
        state="stopped",
        resume_to=resume_to,
        tasks=tuple(_stopped(task) for task in track.tasks),
        put_off=from_the_start(track),
    ).noting(stamp(now), "stopped", why)
    return Decision(track=track, actions=(CancelRuns(), *closing, SyncStatus()))


def _stopped(task: TaskTrack) -> TaskTrack:
    if task.state in SETTLED or task.state == "held":
        return task
    if task.asks and task.pull is None:
        return task  # nothing of it runs or is open; it waits for the same OK afterwards
    if task.reopened or task.asks or task.rests or (task.pull is not None and task.state == "running"):
        return replace(task, state="held", note="stopped", stopped=True, reopened=False, judged="")
    return replace(task, state="todo", note="") if task.state in {"running", "waiting"} else task


def from_the_start(track: Track) -> tuple[str, ...]:
    """Name the step to begin with again: whatever was under way is killed."""
    step: Action
    if track.tasks:
        step = CheckHealth(before="work")
        return () if track.healthy else (ACTIONS.dump_json(step).decode(),)
    if (track.resume_to or track.state) != "planning":
        return ()
    step = ProposeBacklog() if track.plan and track.plan.tasks else CheckHealth(before="planning")
    return (ACTIONS.dump_json(step).decode(),)


def close_pulls(track: Track, key: str, text: str) -> tuple[ClosePull, ...]:
    """Close every pull request of the track that may be open, with these words; branches are kept."""
    pulls = [task.pull for task in track.tasks if task.pull is not None and task.state not in SETTLED]
    if track.backlog_pull is not None and not track.tasks:
        pulls.append(track.backlog_pull)
    if track.record_pull:
        pulls.append(track.record_pull)
    body = messages.answer(track.id, key, text)
    return tuple(ClosePull(number=number, body=body) for number in dict.fromkeys(pulls))


def resume(track: Track, now: datetime, why: str) -> Decision:
    """Go on where the track was paused or stopped."""
    if track.state not in HELD:
        return nothing(track)
    was_stopped = track.state == "stopped"
    put_off = [ACTIONS.validate_json(text) for text in track.put_off]
    track = replace(track, state=track.resume_to or "working", resume_to=None, put_off=())
    track = track.noting(stamp(now), "resumed", why)
    track, runs = start_ready(track, now)
    back = _back(track) if was_stopped else ()
    # Whatever was announced meanwhile was not followed: every open pull request is looked at.
    looks = tuple(
        replace(look(task, 0), after=timedelta())
        for task in track.tasks
        if task.pull is not None and task.state in OPEN_PULL
    )
    return Decision(track=track, actions=(*_valid(track, put_off), *runs, *back, SyncStatus()), timers=looks)


def _valid(track: Track, put_off: Sequence[Action]) -> list[Action]:
    """Leave out what people made needless meanwhile: a task that they dropped or that began anew."""
    kept = []
    for action in put_off:
        task = track.task(getattr(action, "task", ""))
        if isinstance(action, RunTask) and (
            task is None
            or task.state != "running"
            or (task.attempt, task.run) != (action.attempt, action.run)
        ):
            continue
        kept.append(action)
    return kept


def _back(track: Track) -> tuple[ReopenPull, ...]:
    """Open again what the stop closed; each task goes on when that has been heard of."""
    pulls = [ReopenPull(number=t.pull, task=t.id) for t in track.tasks if t.stopped and t.pull is not None]
    if track.state == "review" and track.backlog_pull is not None:
        pulls.append(ReopenPull(number=track.backlog_pull))
    return tuple(pulls)
