"""Owns slash commands: finds one in a new comment, and has it called."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from bot.core import commands as grammar
from bot.core import life
from bot.core.actions import Decision, React
from bot.core.events import CommentCreated
from bot.core.roles import allows
from bot.core.sanitize import code
from bot.core.track import Track
from bot.handler import Asked, Command, Handler, TrackReads
from handlers import calling
from handlers.calling import Given
from handlers.commands import COMMANDS

Found = grammar.Invocation | grammar.NearMiss


@dataclass(frozen=True, slots=True)
class Facts:
    found: Found | None
    given: Given | None = None  # None: it is nobody's who is listened to, or was answered before
    heard: bool = True  # False: it is by a bot that the settings do not name
    gone: bool = False  # the comment was deleted before it was read


async def gather(track: Track | None, event: CommentCreated, reads: TrackReads) -> Facts:
    """Ask what the author may do; an ordinary comment costs nothing."""
    found = find(event)
    if found is None or (track is not None and event.comment in track.answered):
        return Facts(None)
    asked = _asked(event)
    config, _ = await reads.config(event.repo)
    if not await calling.hears(asked, config, reads):
        ours = event.author.id in await reads.forge.bot_ids(event.repo)
        return Facts(None if ours or _command(found) is None else found, heard=False)
    unsure = track is None or track.heard_until  # nobody, or a lost database, remembers what was answered
    if unsure and await reads.forge.reacted(event.repo, event.comment):
        return Facts(None)
    if await reads.forge.comment(event.repo, event.comment) is None:
        return Facts(found, gone=True)
    return Facts(found, await calling.read_call(track, asked, _command(found), reads))


def find(event: CommentCreated) -> Found | None:
    return grammar.parse(event.body, tuple(command.name for command in COMMANDS))


def _asked(event: CommentCreated) -> Asked:
    return Asked(
        repo=event.repo,
        number=event.number,
        is_pull=event.is_pull,
        actor=event.author,
        key=f"comment-{event.comment}",
        round=event.round,
        comment=event.comment,
        text=event.text,
    )


def decide(track: Track | None, event: CommentCreated, facts: Facts, now: datetime) -> Decision:
    """Answer the command, the near miss, or somebody who may not."""
    if facts.found is None:
        return life.nothing(track)
    if facts.given is None:
        return _withdrawn(track, event, facts.found, now) if facts.gone else _unheard(track, event, facts)
    if _command(facts.found) is None or isinstance(facts.found, grammar.NearMiss):
        return _missed(track, event, facts.found, facts.given)
    call = calling.called(track, _asked(event), facts.found, facts.given, now)
    if call.taken and _begins_anew(event) and track is not None and event.round > track.round:
        return call.decision  # the round that begins acknowledges
    if not call.decision.actions:
        return call.decision  # the older round refuses
    return _acknowledged(call.decision, event, "eyes" if call.taken else "confused")


def _unheard(track: Track | None, event: CommentCreated, facts: Facts) -> Decision:
    """Say once to a bot, and to whoever set it up, what it would need; bots that talk to each other never end."""
    if facts.heard or (track is None and event.round > 1):
        return life.nothing(track)  # the older round answers
    asked = replace(_asked(event), key=f"bot-{event.author.id}")
    text = (
        f"{code(event.author.login)} may not give commands here: {calling.BOTS}; its id is {event.author.id}."
    )
    return _acknowledged(calling.answered(track, asked, text), event, "confused")


def _withdrawn(track: Track | None, event: CommentCreated, found: Found, now: datetime) -> Decision:
    """Leave a command alone whose comment was deleted before it was read."""
    if track is None:
        return life.nothing(track)
    typed = found.typed if isinstance(found, grammar.NearMiss) else f"/agent {found.name}"
    track = replace(track, answered=(*track.answered, event.comment)[-200:])
    return Decision(
        track=track.noting(
            life.stamp(now), f"did not follow {typed}", "the comment was deleted before it was read"
        )
    )


def _missed(track: Track | None, event: CommentCreated, found: Found, given: Given) -> Decision:
    """Guess what was meant; a stranger's slip of the pen needs no answer."""
    needed = calling.needed_role(None, given.config)
    if allows(given.role, needed):
        said = calling.answered(track, _asked(event), _near(found, track))
    elif allows(given.role, "triage"):
        said = calling.refused(track, _asked(event), "/agent", needed, given.role)
    else:
        return life.nothing(track)
    return _acknowledged(said, event, "confused")


def _command(found: Found) -> Command | None:
    return None if isinstance(found, grammar.NearMiss) else calling.command_of(found.name)


def _near(found: Found, track: Track | None) -> str:
    typed = code(found.typed if isinstance(found, grammar.NearMiss) else found.name)
    maybe = getattr(found, "suggestion", None)
    guess = f" Did you mean {code(maybe)}?" if maybe else ""
    return f"There is no command {typed}.{guess} Valid now: {calling.valid_words(track)}."


def _acknowledged(
    decision: Decision, event: CommentCreated, content: Literal["eyes", "confused"]
) -> Decision:
    """Show that a command was seen; one that is done at once is shown to be."""
    track = decision.track
    later = track is not None and any(owed.comment == event.comment for owed in track.promised)
    if track is not None:
        track = replace(track, answered=(*track.answered, event.comment)[-200:])
    seen = React(repo=event.repo, subject="comment", id=event.comment, content=content)
    done = () if later or content == "confused" else (replace(seen, content="rocket"),)
    return replace(decision, track=track, actions=(seen, *decision.actions, *done))


def _keys(event: CommentCreated) -> tuple[str, ...]:
    if find(event) is None:
        return ()
    return (f"pull:{event.number}",) if event.is_pull else (f"issue:{event.number}",)


def _opens(event: CommentCreated) -> int | None:
    # A command on an issue without a track is answered too; one on a stranger's pull request is not ours.
    return None if event.is_pull or find(event) is None else event.number


def _begins_anew(event: CommentCreated) -> bool:
    found = find(event)
    command = _command(found) if found else None
    return command is not None and command.begins


HANDLER = Handler(
    event=CommentCreated,
    github="issue_comment",
    actions=("created",),
    permissions={"issues": "write", "pull_requests": "write"},
    keys=_keys,
    opens=_opens,
    begins_anew=_begins_anew,
    sees_hold=True,
    gather=gather,
    decide=decide,
)
