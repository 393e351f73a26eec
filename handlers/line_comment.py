"""Owns slash commands on lines of a pull request: a note there says by itself which line it is about.

Anything else that is said on lines is for people to read, until a review that asks for changes hands it to the agent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import commands as grammar
from bot.core import life
from bot.core.actions import Decision
from bot.core.events import LineCommented
from bot.core.ids import Marker, keyed
from bot.core.track import Track
from bot.handler import Asked, Handler, TrackReads
from handlers import calling
from handlers.calling import Given
from handlers.commands import COMMANDS


@dataclass(frozen=True, slots=True)
class Facts:
    found: grammar.Invocation | None = None
    given: Given | None = None  # None: it is nobody's who is listened to, or was answered before


def find(event: LineCommented) -> grammar.Invocation | None:
    """Give the command that is called; a slip of the pen on a line is left to people."""
    found = grammar.parse(event.body, tuple(command.name for command in COMMANDS))
    return found if isinstance(found, grammar.Invocation) else None


async def gather(track: Track | None, event: LineCommented, reads: TrackReads) -> Facts:
    """Ask what the author may do; an ordinary comment costs nothing."""
    found = find(event)
    if track is None or found is None:
        return Facts()
    if track.heard_until:  # a lost database does not remember what was answered
        marker = keyed(Marker("answer", track.id), f"line-{event.comment}")
        if await reads.forge.find_comment(event.repo, event.number, marker) is not None:
            return Facts()
    command = calling.command_of(found.name)
    return Facts(found, await calling.read_call(track, _asked(event), command, reads))


def decide(track: Track | None, event: LineCommented, facts: Facts, now: datetime) -> Decision:
    """Have the command called; a note is told with the line it is on."""
    if track is None or facts.found is None or facts.given is None:
        return life.nothing(track)
    call = facts.found
    if call.name == "revise" and call.text:
        place = f"{event.path}:{event.line}" if event.line else event.path
        call = replace(call, args=(), text=f"{place}: {call.text}")
    return calling.called(track, _asked(event), call, facts.given, now).decision


def _asked(event: LineCommented) -> Asked:
    return Asked(
        repo=event.repo, number=event.number, is_pull=True, actor=event.author, key=f"line-{event.comment}"
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
