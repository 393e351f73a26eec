"""Owns slash commands below issues and pull requests: finds one in a new comment, and has it heard."""

from __future__ import annotations

from datetime import datetime

from bot.core.actions import Decision
from bot.core.events import CommentCreated
from bot.core.ids import said_key
from bot.core.track import Track
from bot.handler import Asked, Handler, TrackReads
from handlers import hearing
from handlers.hearing import Facts, Found


def find(event: CommentCreated) -> Found | None:
    return hearing.find(event.body)


async def gather(track: Track | None, event: CommentCreated, reads: TrackReads) -> Facts:
    """Ask what the author may do; an ordinary comment costs nothing."""
    return await hearing.gather(track, _asked(event), find(event), reads)


def decide(track: Track | None, event: CommentCreated, facts: Facts, now: datetime) -> Decision:
    """Answer the command, the near miss, or somebody who may not."""
    return hearing.decide(track, _asked(event), facts, now)


def _asked(event: CommentCreated) -> Asked:
    return Asked(
        repo=event.repo,
        number=event.number,
        is_pull=event.is_pull,
        actor=event.author,
        key=said_key("comment", event.comment),
        round=event.round,
        text=event.text,
    )


def _keys(event: CommentCreated) -> tuple[str, ...]:
    if find(event) is None:
        return ()
    return (f"pull:{event.number}",) if event.is_pull else (f"issue:{event.number}",)


def _opens(event: CommentCreated) -> int | None:
    # A command on an issue without a track is answered too; one on a stranger's pull request is not ours.
    return None if event.is_pull or find(event) is None else event.number


HANDLER = Handler(
    event=CommentCreated,
    github="issue_comment",
    actions=("created",),
    permissions={"issues": "write", "pull_requests": "write"},
    keys=_keys,
    opens=_opens,
    begins_anew=lambda event: hearing.begins_anew(find(event)),
    sees_hold=True,
    gather=gather,
    decide=decide,
)
