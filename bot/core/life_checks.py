"""Owns what the checks of a pull request's head mean for its task, announced or looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.core.actions import AssessTask, Decision, SyncStatus, Timer
from bot.core.base_wait import owes_work
from bot.core.checks import Rollup
from bot.core.life import nothing, stamp
from bot.core.life_repair import LOOK_AGAIN, look
from bot.core.life_work import assessed
from bot.core.track import TaskTrack, Track


def checks_announced_early(track: Track, task: TaskTrack, sha: str) -> Decision:
    """A quick CI was done before the pull request was open: it is looked at as soon as that is there."""
    return Decision(track=track.with_task(replace(task, announced=sha)))


def checks_read(track: Track, task: TaskTrack, seen: Rollup, waited: int | None, now: datetime) -> Decision:
    """Follow a head's checks; `waited` is None when they were announced, else how often they were looked at."""
    if task.head_sha is None or not task.rests or _needs_more(track, task):
        return nothing(track)
    again: tuple[Timer, ...] = ()
    if seen.verdict in {"missing", "running", "awaiting_approval"}:
        again = (look(task, min((waited or 0) + 1, len(LOOK_AGAIN) - 1)),)
    names = ", ".join(seen.names)
    task = replace(task, passed=tuple(dict.fromkeys([*task.passed, *seen.passed])))
    if seen.verdict in {"red", "conflicted"}:
        return _wrong(track, task, seen, now)
    if owes_work(task):
        return _still_owed(track, task, again)
    states: dict[str, tuple[str, str]] = {
        "green": ("in_review", ""),
        "no_ci": ("in_review", "this repository has no checks"),
        "running": ("checking", ""),
        "missing": ("checking", "no check has run yet" if waited else ""),
        "awaiting_approval": ("checking", f"somebody has to approve the run of {names}"),
    }
    state, note = states[seen.verdict]
    if seen.verdict == "green" and task.trend[-1:] != (0,):
        task = replace(task, trend=(*task.trend, 0))
    changed = replace(task, state=state, note=note, waits_for_base=False, judged="")  # type: ignore[arg-type]  # TaskStates
    before = track.task(task.id)
    track = track.with_task(changed)
    if before is not None and (before.state, before.note, before.head_sha) == (state, note, task.head_sha):
        return Decision(track=track, timers=again)
    track = assessed(track).noting(
        stamp(now), f"checks of #{task.pull} are {seen.verdict.replace('_', ' ')}", names, task.id
    )
    return Decision(track=track, actions=(SyncStatus(),), timers=again)


def _needs_more(track: Track, task: TaskTrack) -> bool:
    """Tell whether a task is blocked for something that no check of this head can settle: a person acts, or pushes."""
    before = track.task(task.id)
    if task.state != "blocked" or before is None or before.head_sha != task.head_sha:
        return False
    return task.ask is not None or not task.judged.startswith(f"{task.head_sha} ")


def _still_owed(track: Track, task: TaskTrack, again: tuple[Timer, ...]) -> Decision:
    """Leave what waits with work for the default branch: checks of the head before that work do not end the wait."""
    told = task.note or f"waits until {track.repo.default_branch} moves, and is worked on then"
    tell = () if told == task.note else (SyncStatus(),)
    return Decision(track=track.with_task(replace(task, note=told)), actions=tell, timers=again)


def _wrong(track: Track, task: TaskTrack, seen: Rollup, now: datetime) -> Decision:
    """Find out what decides about a red or conflicted head, once for each head and verdict."""
    judged = f"{task.head_sha} {seen.verdict} {' '.join(seen.names)}".strip()
    if judged == task.judged:
        return Decision(track=track.with_task(task))
    names = ", ".join(seen.names)
    note = f"failed: {names}" if seen.verdict == "red" else "conflicts with the default branch"
    task = replace(task, state="checking", note=note, judged=judged)
    track = assessed(track.with_task(task)).noting(
        stamp(now), f"checks of #{task.pull} are {seen.verdict}", names, task.id
    )
    assess = AssessTask(task=task.id, attempt=task.attempt, head_sha=task.head_sha or "")
    return Decision(track=track, actions=(assess, SyncStatus()))
