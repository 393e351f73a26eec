"""Owns slash commands: finds one in a new comment, checks who may, and hands it to its command."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import commands as grammar
from bot.core import life
from bot.core.actions import Decision, React
from bot.core.config import RepoConfig
from bot.core.events import CommentCreated
from bot.core.ids import track_id
from bot.core.roles import allows
from bot.core.sanitize import code
from bot.core.track import Track
from bot.core.values import Role
from bot.handler import Command, CommandCall, Handler, Reads
from handlers.commands import COMMANDS

Found = grammar.Invocation | grammar.NearMiss


@dataclass(frozen=True, slots=True)
class Facts:
    found: Found | None
    role: Role = "none"
    config: RepoConfig | None = None


async def gather(track: Track | None, event: CommentCreated, reads: Reads) -> Facts:
    """Ask what the author may do; an ordinary comment costs nothing."""
    found = find(event)
    if found is None or (track is not None and event.comment in track.answered):
        return Facts(None)
    config, _ = await reads.config(event.repo)
    if event.author.id in await reads.forge.bot_ids(event.repo):
        return Facts(None)
    if event.author.is_bot and event.author.id not in config.bots:
        return Facts(None)
    role = await reads.forge.permission(event.repo, event.author.login)
    return Facts(found, role, config)


def find(event: CommentCreated) -> Found | None:
    return grammar.parse(event.body, tuple(command.name for command in COMMANDS))


def decide(track: Track | None, event: CommentCreated, facts: Facts, now: datetime) -> Decision:
    """Answer the command, the near miss, or somebody who may not."""
    if facts.found is None or facts.config is None:
        return life.nothing(track)
    id_ = track.id if track else track_id(event.number)
    key = f"comment-{event.comment}"
    command = _command(facts.found)
    needed = (
        facts.config.needed_role(command.name, command.needs)
        if command
        else facts.config.needed_role("default")
    )
    if not allows(facts.role, needed):
        if command is None and not allows(facts.role, "triage"):
            return life.nothing(track)  # a stranger's slip of the pen needs no answer
        what = f"/agent {command.name}" if command else "/agent"
        text = f"`{what}` needs the role `{needed}` here; yours is `{facts.role}`."
        refusal = life.answer(track, event, id_, key, text)
        return _acknowledged(refusal, event, "confused")
    if command is None or isinstance(facts.found, grammar.NearMiss):
        return _acknowledged(
            life.answer(track, event, id_, key, _near(facts.found, track)), event, "confused"
        )
    call = CommandCall(
        invocation=facts.found,
        event=event,
        track=track,
        role=facts.role,
        task=_task(track, event, facts.found),
        commands=COMMANDS,
        now=now,
    )
    return _acknowledged(command.answer(call), event, "eyes")


def _command(found: Found) -> Command | None:
    if isinstance(found, grammar.NearMiss):
        return None
    return next((command for command in COMMANDS if command.name == found.name), None)


def _near(found: Found, track: Track | None) -> str:
    valid = ", ".join(f"`{command.usage}`" for command in COMMANDS if command.valid(track))
    typed = code(found.typed if isinstance(found, grammar.NearMiss) else found.name)
    maybe = getattr(found, "suggestion", None)
    guess = f" Did you mean {code(maybe)}?" if maybe else ""
    return f"There is no command {typed}.{guess} Valid now: {valid}."


def _task(track: Track | None, event: CommentCreated, found: grammar.Invocation) -> str | None:
    named = next((word.upper() for word in found.args if track and track.task(word.upper())), None)
    if named or track is None or not event.is_pull:
        return named
    return next((task.id for task in track.tasks if task.pull == event.number), None)


def _acknowledged(decision: Decision, event: CommentCreated, content: str) -> Decision:
    track = decision.track
    if track is not None:
        track = replace(track, answered=(*track.answered, event.comment)[-200:])
    seen = React(repo=event.repo, subject="comment", id=event.comment, content=content)  # type: ignore[arg-type]
    return Decision(track=track, actions=(seen, *decision.actions), timers=decision.timers)


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
    gather=gather,
    decide=decide,
)
