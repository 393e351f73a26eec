"""Owns a track whose repository is out of reach: it waits without losing anything, and goes on when that is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.core.actions import ACTIONS, Action, CancelRuns, Decision, RunTask, SyncStatus
from bot.core.life import nothing, stamp
from bot.core.life_hold import from_the_start, resume
from bot.core.life_repair import rebase, run_again
from bot.core.repo_events import Away, How
from bot.core.track import HELD, OPEN_PULL, TaskTrack, Track

WORDS: dict[Away, str] = {
    "archived": "the repository was archived: nothing can be written there",
    "suspended": "the App's installation was suspended",
    "removed": "the App was taken off the repository",
}


def away(track: Track, why: Away, now: datetime) -> Decision:
    """Kill what runs and put it off; there is no place left to say so but the log, until the repository is back."""
    if track.ended or track.away:
        return nothing(track)
    track = _put_off(replace(track, away=why).noting(stamp(now), "waits", WORDS[why]), now)
    if track.state not in HELD:
        track = replace(track, state="paused", resume_to=track.state, away_only=True)
    return Decision(track=track, actions=(CancelRuns(),))


def _put_off(track: Track, now: datetime) -> Track:
    """Put off whatever is killed, so that it begins again; what a person's pause had put off already does not run."""
    waits = [ACTIONS.validate_json(text) for text in track.put_off]
    again = [] if waits else list(from_the_start(track))
    for task in track.tasks:
        if task.state == "running" and not any(_is_of(each, task) for each in waits):
            track, run = run_again(track, task, now)
            again.append(ACTIONS.dump_json(run).decode())
        elif task.state in OPEN_PULL and task.moving:
            track, moves = rebase(track, task, now, why="what was under way is put off")
            again += [ACTIONS.dump_json(move).decode() for move in moves]
        elif task.state in OPEN_PULL:
            # Who was finding out what decides about it is killed as well; the next look has that done again.
            track = track.with_task(replace(task, judged=""))
    return replace(track, put_off=tuple(dict.fromkeys((*track.put_off, *again))))


def _is_of(waits: Action, task: TaskTrack) -> bool:
    return isinstance(waits, RunTask) and (waits.task, waits.run) == (task.id, task.run)


def back(track: Track, over: Away, now: datetime) -> Decision:
    """Go on where it was; what a person had paused or stopped stays so."""
    if track.away != over or track.ended:
        return nothing(track)
    held_by_person = not track.away_only
    track = replace(track, away="", away_only=False)
    if held_by_person:
        return Decision(track=track, actions=(SyncStatus(),))
    return resume(track, now, f"no more so: {WORDS[over]}")


def gone(track: Track, now: datetime) -> Decision:
    """End it: there is nothing left to work on, and nobody to tell."""
    if track.ended:
        return nothing(track)
    track = replace(track, state="cancelled", gone=True, put_off=(), resume_to=None, away="", problem="")
    return Decision(
        track=track.noting(stamp(now), "cancelled", "the repository was deleted"), actions=(CancelRuns(),)
    )


def moved(track: Track, how: How, now: datetime) -> Decision:
    """Follow the new name, which every event brings with it; the texts point to it from now on."""
    if track.ended:
        return nothing(track)
    track = track.noting(stamp(now), f"the repository was {how}", f"it is {track.repo.slug} now")
    return Decision(track=track, actions=(SyncStatus(),))
