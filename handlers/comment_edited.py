"""Owns comments that are edited into commands: a comment is read once, as it was written, and whoever edits one is told so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.core import commands as grammar
from bot.core import life
from bot.core.actions import Decision
from bot.core.events import CommentEdited
from bot.core.roles import allows
from bot.core.track import Track
from bot.handler import Asked, Handler, TrackReads
from handlers import calling
from handlers.commands import COMMANDS


@dataclass(frozen=True, slots=True)
class Facts:
    told: bool = False  # there is somebody to tell


def command_in(event: CommentEdited) -> str | None:
    """Name the command that an edit wrote; None where it wrote none, or left the one of before."""
    verbs = tuple(command.name for command in COMMANDS)
    before, now = (grammar.parse(body, verbs) for body in (event.before, event.body))
    return now.name if isinstance(now, grammar.Invocation) and now != before else None


async def gather(_track: Track | None, event: CommentEdited, reads: TrackReads) -> Facts:
    """Ask whether it is one of those who are answered."""
    if command_in(event) is None:
        return Facts()
    config, _ = await reads.config(event.repo)
    if not await calling.hears(_asked(event), config, reads):
        return Facts()
    return Facts(allows(await reads.forge.permission(event.repo, event.actor.login), "triage"))


def decide(track: Track | None, event: CommentEdited, facts: Facts, _now: datetime) -> Decision:
    """Say how a command is given."""
    name = command_in(event)
    if not facts.told or name is None:
        return life.nothing(track)
    text = (
        "A comment is read once, as it was written: this edit changes nothing. "
        f"To give the command, write a new comment that begins with `/agent {name}`."
    )
    return calling.answered(track, _asked(event), text)


def _asked(event: CommentEdited) -> Asked:
    return Asked(
        repo=event.repo,
        number=event.number,
        is_pull=event.is_pull,
        actor=event.actor,
        key=f"edited-{event.comment}",
    )


def _keys(event: CommentEdited) -> tuple[str, ...]:
    if command_in(event) is None:
        return ()
    return (f"pull:{event.number}",) if event.is_pull else (f"issue:{event.number}",)


HANDLER = Handler(
    event=CommentEdited,
    github="issue_comment",
    actions=("edited",),
    permissions={"issues": "write", "pull_requests": "write"},
    keys=_keys,
    opens=lambda event: None if event.is_pull or command_in(event) is None else event.number,
    sees_hold=True,
    gather=gather,
    decide=decide,
)
