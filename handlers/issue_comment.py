"""Owns slash commands: finds one in a new comment, checks who may, and hands it to its command."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import commands as grammar
from bot.core import life, messages
from bot.core.actions import Decision, React
from bot.core.backlog import Loaded
from bot.core.config import RepoConfig
from bot.core.events import CommentCreated
from bot.core.ids import track_id
from bot.core.roles import allows
from bot.core.sanitize import code
from bot.core.track import Frozen, Track
from bot.core.values import Role
from bot.handler import Command, CommandCall, Handler, TrackReads, Unfinished
from handlers.commands import COMMANDS
from handlers.issues import read_frozen

Found = grammar.Invocation | grammar.NearMiss


@dataclass(frozen=True, slots=True)
class Facts:
    found: Found | None
    role: Role = "none"
    config: RepoConfig | None = None
    frozen: Frozen | None = None
    backlog: Loaded | None = None
    unfinished: tuple[Unfinished, ...] = ()


async def gather(track: Track | None, event: CommentCreated, reads: TrackReads) -> Facts:
    """Ask what the author may do; an ordinary comment costs nothing."""
    found = find(event)
    if found is None or (track is not None and event.comment in track.answered):
        return Facts(None)
    config, _ = await reads.config(event.repo)
    # The bot's own texts are no commands: in token mode it shares the account of a person, who is heard.
    may_command = set(config.bots) - await reads.forge.bot_ids(event.repo)
    if event.author.is_bot and event.author.id not in may_command:
        return Facts(None)
    unsure = track is None or track.heard_until  # nobody, or a lost database, remembers what was answered
    if unsure and await reads.forge.reacted(event.repo, event.comment):
        return Facts(None)
    role = await reads.forge.permission(event.repo, event.author.login)
    command = _command(found)
    if command is None or not allows(role, config.needed_role(command.name, command.needs)):
        return Facts(found, role, config)
    frozen = backlog = None
    if command.begins and track is None:
        frozen = await read_frozen(event.repo, event.number, event.author, reads)
    if command.reads_backlog and track is not None and track.backlog_sha and not track.tasks:
        path = f"{track.folder}/BACKLOG.yaml"
        sha = await reads.forge.branch_sha(event.repo, track.backlog_branch)
        backlog = await reads.backlog(event.repo, sha or track.backlog_sha, path)
    unfinished: tuple[Unfinished, ...] = ()
    if command.reads_unfinished and track is not None:
        unfinished = await reads.unfinished(track.key)
    return Facts(found, role, config, frozen, backlog, unfinished)


def find(event: CommentCreated) -> Found | None:
    return grammar.parse(event.body, tuple(command.name for command in COMMANDS))


def decide(track: Track | None, event: CommentCreated, facts: Facts, now: datetime) -> Decision:
    """Answer the command, the near miss, or somebody who may not."""
    if facts.found is None or facts.config is None:
        return life.nothing(track)
    command = _command(facts.found)
    needed = (
        facts.config.needed_role(command.name, command.needs)
        if command
        else facts.config.needed_role("default")
    )
    if not allows(facts.role, needed):
        return _refused(track, event, facts, command, needed)
    if command is None or isinstance(facts.found, grammar.NearMiss):
        return _answered(track, event, _near(facts.found, track))
    if not command.valid(track):
        return _answered(track, event, _not_now(command, track))
    call = CommandCall(
        invocation=facts.found,
        event=event,
        track=track,
        role=facts.role,
        task=_task(track, event, facts.found),
        commands=COMMANDS,
        now=now,
        backlog=facts.backlog,
        unfinished=facts.unfinished,
        frozen=facts.frozen,
        config=facts.config,
    )
    decision = command.answer(call)
    if command.begins and track is not None and event.round > track.round:
        return decision  # the round that begins acknowledges
    return _acknowledged(decision, event, "eyes")


def _refused(
    track: Track | None, event: CommentCreated, facts: Facts, command: Command | None, needed: Role
) -> Decision:
    if command is None and not allows(facts.role, "triage"):
        return life.nothing(track)  # a stranger's slip of the pen needs no answer
    if track is None and event.round > 1:
        return life.nothing(track)  # the older round answers
    what = f"/agent {command.name}" if command else "/agent"
    return _answered(track, event, f"`{what}` needs the role `{needed}` here; yours is `{facts.role}`.")


def _answered(track: Track | None, event: CommentCreated, text: str) -> Decision:
    id_ = track.id if track else track_id(event.number)
    return _acknowledged(life.answer(track, event, id_, f"comment-{event.comment}", text), event, "confused")


def _not_now(command: Command, track: Track | None) -> str:
    state = (
        f"the state of `{track.id}` is “{messages.STATE_WORDS[track.state]}”"
        if track
        else "nothing is planned here"
    )
    return f"`/agent {command.name}` means nothing now: {state}. Valid now: {_valid(track)}."


def _valid(track: Track | None) -> str:
    return ", ".join(f"`{command.usage}`" for command in COMMANDS if command.valid(track))


def _command(found: Found) -> Command | None:
    if isinstance(found, grammar.NearMiss):
        return None
    return next((command for command in COMMANDS if command.name == found.name), None)


def _near(found: Found, track: Track | None) -> str:
    typed = code(found.typed if isinstance(found, grammar.NearMiss) else found.name)
    maybe = getattr(found, "suggestion", None)
    guess = f" Did you mean {code(maybe)}?" if maybe else ""
    return f"There is no command {typed}.{guess} Valid now: {_valid(track)}."


def _task(track: Track | None, event: CommentCreated, found: grammar.Invocation) -> str | None:
    first = found.args[0].upper() if found.args else ""
    if track is None or track.task(first) is not None or not event.is_pull:
        return first if track and track.task(first) else None
    task = track.task_of(event.number)
    return task.id if task else None


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
