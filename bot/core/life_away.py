"""Owns a track whose repository is out of reach: it waits without losing anything, and goes on when that is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.core.actions import ACTIONS, CancelRuns, Decision, SyncStatus
from bot.core.life import nothing, stamp
from bot.core.life_hold import from_the_start, resume
from bot.core.life_repair import run_again
from bot.core.repo_events import Away, How
from bot.core.track import HELD, Track

WORDS: dict[Away, str] = {
    "archived": "the repository was archived: nothing can be written there",
    "suspended": "the App's installation was suspended",
    "removed": "the App was taken off the repository",
}


def away(track: Track, why: Away, now: datetime) -> Decision:
    """Kill what runs and put it off; there is no place left to say so but the log, until the repository is back."""
    if track.ended or track.away:
        return nothing(track)
    track = replace(track, away=why).noting(stamp(now), "waits", WORDS[why])
    if track.state in HELD:
        return Decision(track=track, actions=(CancelRuns(),))
    put_off = [*track.put_off, *from_the_start(track)]
    for task in track.tasks:
        if task.state == "running":
            track, again = run_again(track, task, now)
            put_off.append(ACTIONS.dump_json(again).decode())
    waiting = replace(track, state="paused", resume_to=track.state, put_off=tuple(put_off), away_only=True)
    return Decision(track=waiting, actions=(CancelRuns(),))


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
