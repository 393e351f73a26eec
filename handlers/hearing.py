"""Owns hearing a command that somebody wrote, below an issue or on a line: who is heard, what is answered, what shows it.

find(body) -> Found | None, gather(track, asked, found, reads) -> Facts, then decide(track, asked, facts, now) -> Decision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from bot.core import commands as grammar
from bot.core import life
from bot.core.actions import Decision, React
from bot.core.ids import Place, said_in
from bot.core.roles import allows
from bot.core.sanitize import code
from bot.core.track import Track
from bot.handler import Asked, Command, TrackReads
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


def find(body: str) -> Found | None:
    """Give the command that is called, or what looks like one."""
    return grammar.parse(body, tuple(command.name for command in COMMANDS))


def command_of(found: Found) -> Command | None:
    return None if isinstance(found, grammar.NearMiss) else calling.command_of(found.name)


def begins_anew(found: Found | None) -> bool:
    """Tell whether it asks for a round of the issue's own."""
    command = command_of(found) if found else None
    return command is not None and command.begins


async def gather(track: Track | None, asked: Asked, found: Found | None, reads: TrackReads) -> Facts:
    """Ask what the author may do; what is no command costs nothing."""
    place, id_ = _written(asked)
    if found is None or (track is not None and place == "comment" and id_ in track.answered):
        return Facts(None)
    config, _ = await reads.config(asked.repo)
    if not await calling.hears(asked, config, reads):
        ours = asked.actor.id in await reads.forge.bot_ids(asked.repo)
        return Facts(None if ours or command_of(found) is None else found, heard=False)
    unsure = track is None or track.heard_until  # nobody, or a lost database, remembers what was answered
    if unsure and await reads.forge.reacted(asked.repo, id_, place):
        return Facts(None)
    if place == "comment" and await reads.forge.comment(asked.repo, id_) is None:
        return Facts(found, gone=True)
    return Facts(found, await calling.read_call(track, asked, command_of(found), reads))


def decide(track: Track | None, asked: Asked, facts: Facts, now: datetime) -> Decision:
    """Answer the command, the near miss, or somebody who may not."""
    if facts.found is None:
        return life.nothing(track)
    if facts.given is None:
        return _withdrawn(track, asked, facts.found, now) if facts.gone else _unheard(track, asked, facts)
    if command_of(facts.found) is None or isinstance(facts.found, grammar.NearMiss):
        return _missed(track, asked, facts.found, facts.given)
    call = calling.called(track, asked, facts.found, facts.given, now)
    if call.taken and begins_anew(facts.found) and track is not None and asked.round > track.round:
        return call.decision  # the round that begins acknowledges
    if not call.decision.actions:
        return call.decision  # the older round refuses
    return _acknowledged(call.decision, asked, "eyes" if call.taken else "confused")


def _written(asked: Asked) -> tuple[Place, int]:
    place = said_in(asked.key)
    assert place is not None, f"{asked.key} was not written"
    return place


def _unheard(track: Track | None, asked: Asked, facts: Facts) -> Decision:
    """Say once to a bot, and to whoever set it up, what it would need; bots that talk to each other never end."""
    if facts.heard or (track is None and asked.round > 1):
        return life.nothing(track)  # the older round answers
    text = (
        f"{code(asked.actor.login)} may not give commands here: {calling.BOTS}; its id is {asked.actor.id}."
    )
    said = calling.answered(track, replace(asked, key=f"bot-{asked.actor.id}"), text)
    return _acknowledged(said, asked, "confused")


def _withdrawn(track: Track | None, asked: Asked, found: Found, now: datetime) -> Decision:
    """Leave a command alone whose comment was deleted before it was read."""
    if track is None:
        return life.nothing(track)
    typed = found.typed if isinstance(found, grammar.NearMiss) else f"/agent {found.name}"
    return Decision(
        track=_remembering(track, asked).noting(
            life.stamp(now), f"did not follow {typed}", "the comment was deleted before it was read"
        )
    )


def _missed(track: Track | None, asked: Asked, found: Found, given: Given) -> Decision:
    """Guess what was meant; a stranger's slip of the pen needs no answer."""
    needed = calling.needed_role(None, given.config)
    if allows(given.role, needed):
        said = calling.answered(track, asked, _near(found, track))
    elif allows(given.role, "triage"):
        said = calling.refused(track, asked, "/agent", needed, given.role)
    else:
        return life.nothing(track)
    return _acknowledged(said, asked, "confused")


def _near(found: Found, track: Track | None) -> str:
    typed = code(found.typed if isinstance(found, grammar.NearMiss) else found.name)
    maybe = getattr(found, "suggestion", None)
    guess = f" Did you mean {code(maybe)}?" if maybe else ""
    return f"There is no command {typed}.{guess} Valid now: {calling.valid_words(track)}."


def _acknowledged(decision: Decision, asked: Asked, content: Literal["eyes", "confused"]) -> Decision:
    """Show that a command was seen; one that is done at once is shown to be."""
    track = decision.track
    later = track is not None and any(owed.key == asked.key for owed in track.promised)
    place, id_ = _written(asked)
    seen = React(repo=asked.repo, subject=place, id=id_, content=content)
    done = () if later or content == "confused" else (replace(seen, content="rocket"),)
    remembered = _remembering(track, asked) if track is not None else None
    return replace(decision, track=remembered, actions=(seen, *decision.actions, *done))


def _remembering(track: Track, asked: Asked) -> Track:
    """Keep which comments were answered: a sweep finds them again. What is said on lines it does not look for."""
    place, id_ = _written(asked)
    return replace(track, answered=(*track.answered, id_)[-200:]) if place == "comment" else track
