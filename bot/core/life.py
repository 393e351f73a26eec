"""Owns what every step of a track's life shares: leaving it alone, answering, blocking it, ending it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.core import messages
from bot.core.actions import CloseTrack, Decision, PostComment, ProposeRecord, SyncStatus
from bot.core.events import Closed, RecordProposed
from bot.core.track import Track
from bot.core.values import Repo


def nothing(track: Track | None) -> Decision:
    """Leave everything as it is."""
    return Decision(track=track)


def answer(track: Track | None, repo: Repo, number: int, track_id: str, key: str, text: str) -> Decision:
    """Say something once on an issue or a pull request, and leave the track as it is."""
    said = PostComment(repo=repo, number=number, body=messages.answer(track_id, key, text))
    return Decision(track=track, actions=(said,))


def finish(track: Track, now: datetime) -> Decision:
    """Every task is settled: record what nobody's pull request carries, post the receipt, close the issue."""
    track = track.noting(stamp(now), "every task is merged or dropped")
    left = not track.config.keep_records or any(task.skipped for task in track.tasks)
    return Decision(track=track, actions=(ProposeRecord() if left else CloseTrack(),))


def record_proposed(track: Track, event: RecordProposed, now: datetime) -> Decision:
    """Wait until people merge the record; where nothing was left to record this is the end."""
    if event.pull == 0:
        return Decision(track=track, actions=(CloseTrack(),))
    if track.record_pull == event.pull:
        return nothing(track)
    track = replace(track, record_pull=event.pull).noting(stamp(now), f"opened #{event.pull}: the record")
    return Decision(track=track, actions=(SyncStatus(),))


def closed(track: Track, event: Closed, now: datetime) -> Decision:
    """The receipt stands: the track is done."""
    why = ", ".join(event.leftovers) or "nothing left behind"
    track = replace(track, state="done", problem="").noting(stamp(now), "done", why)
    return Decision(track=track, actions=(SyncStatus(),))


def block(track: Track, key: str, why: str, text: str, now: datetime) -> Decision:
    """Block the track and say why: in a few plain words in its history, at length in `text`, which is Markdown."""
    track = replace(track, state="blocked", problem=text).noting(stamp(now), "blocked", why)
    return say(track, key, text, now)


def say(track: Track, key: str, text: str, now: datetime) -> Decision:
    """Tell of a problem once, and bring the status up to date; `text` is Markdown."""
    return Decision(
        track=track,
        actions=(
            PostComment(
                repo=track.repo,
                number=track.issue,
                body=messages.answer(track.id, f"{key}-{moment(now)}", text, "problem"),
            ),
            SyncStatus(),
        ),
    )


def stamp(now: datetime) -> str:
    """Write a time as GitHub does."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(now: datetime) -> str:
    """Write a time so finely that two texts about the same thing within a second stay two."""
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
