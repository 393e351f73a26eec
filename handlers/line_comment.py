"""Owns slash commands on lines of a pull request: a note there says by itself which line it is about.

Anything else that is said on lines is for people to read, until a review that asks for changes hands it to the agent.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.core import commands as grammar
from bot.core.actions import Decision
from bot.core.events import LineCommented
from bot.core.ids import said_key
from bot.core.sanitize import strip_hidden
from bot.core.track import Track
from bot.handler import Asked, Handler, TrackReads
from handlers import hearing
from handlers.hearing import Facts, Found


def find(event: LineCommented) -> Found | None:
    """Give the command that is called, or what looks like one; a note is told with the line it is on."""
    found = hearing.find(event.body)
    if isinstance(found, grammar.Invocation) and found.name == "revise" and _says(found.text):
        place = f"{event.path}:{event.line}" if event.line else event.path
        return replace(found, args=(), text=f"{place}: {found.text}")
    return found


def _says(text: str) -> bool:
    return bool(strip_hidden(text)[0].strip())


async def gather(track: Track | None, event: LineCommented, reads: TrackReads) -> Facts:
    """Ask what the author may do; an ordinary comment costs nothing."""
    return await hearing.gather(track, _asked(event), find(event) if track is not None else None, reads)


def decide(track: Track | None, event: LineCommented, facts: Facts, now: datetime) -> Decision:
    """Answer the command, the near miss, or somebody who may not."""
    return hearing.decide(track, _asked(event), facts, now)


def _asked(event: LineCommented) -> Asked:
    return Asked(
        repo=event.repo,
        number=event.number,
        is_pull=True,
        actor=event.author,
        key=said_key("line", event.comment),
    )


HANDLER = Handler(
    event=LineCommented,
    github="pull_request_review_comment",
    actions=("created",),
    permissions={"pull_requests": "write"},
    keys=lambda event: (f"pull:{event.number}",) if find(event) else (),
    sees_hold=True,
    gather=gather,
    decide=decide,
)
