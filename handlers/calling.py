"""Owns calling a command, whatever was used for it: a comment, a button of a check run, a box in one of our texts.

read_call(track, asked, command, reads) -> Given | None, then called(track, asked, invocation, given, now) -> Called.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from bot.core import life, messages, unboxed
from bot.core.actions import Decision
from bot.core.backlog import Loaded
from bot.core.commands import Invocation
from bot.core.config import RepoConfig
from bot.core.ids import track_id
from bot.core.messages_sessions import SessionSeen
from bot.core.roles import allows
from bot.core.track import Frozen, Track
from bot.core.values import Role
from bot.handler import Asked, Command, CommandCall, Reads, TrackReads, Unfinished
from handlers.commands import COMMANDS
from handlers.freezing import read_frozen

BOTS = "a bot is heard only where its id stands in `bots` of `.github/gitwright.yml`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What was read for a call; what only the command needs is left out where the role does not do."""

    role: Role
    config: RepoConfig = field(default_factory=RepoConfig)
    config_problems: tuple[str, ...] = ()
    frozen: Frozen | None = None
    backlog: Loaded | None = None
    unfinished: tuple[Unfinished, ...] = ()
    sessions: tuple[SessionSeen, ...] = ()
    unboxed: bool = False  # agents and tests run without a sandbox


@dataclass(frozen=True, slots=True)
class Called:
    """What follows from a call; where it was not `taken`, the decision only says why."""

    decision: Decision
    taken: bool


def command_of(name: str) -> Command | None:
    return next((command for command in COMMANDS if command.name == name), None)


async def hears(asked: Asked, config: RepoConfig, reads: Reads) -> bool:
    """Say whether somebody is listened to at all: every person, and bots that the settings name by id.

    The bot itself never is; in token mode it shares the account of a person, who is.
    """
    if not asked.actor.is_bot:
        return True
    return asked.actor.id in set(config.bots) - await reads.forge.bot_ids(asked.repo)


async def read_call(
    track: Track | None, asked: Asked, command: Command | None, reads: TrackReads
) -> Given | None:
    """Ask the forge for the role, and read what the command looks at; None where nobody listens."""
    config, problems = await reads.config(asked.repo)
    if not await hears(asked, config, reads):
        return None
    role = await reads.forge.permission(asked.repo, asked.actor.login)
    if command is None or not allows(role, needed_role(command, config)):
        return Given(role=role, config=config)
    frozen = backlog = None
    if command.begins and track is None:
        frozen = await read_frozen(asked.repo, asked.number, asked.actor, reads, asked.text)
    if command.reads_backlog and track is not None and track.backlog_sha and not track.tasks:
        path = f"{track.folder}/BACKLOG.yaml"
        sha = await reads.forge.branch_sha(asked.repo, track.backlog_branch)
        backlog = await reads.backlog(asked.repo, sha or track.backlog_sha, path)
    unfinished: tuple[Unfinished, ...] = ()
    if command.reads_unfinished and track is not None:
        unfinished = await reads.unfinished(track.key)
    sessions: tuple[SessionSeen, ...] = ()
    if command.reads_sessions and track is not None:
        sessions = await reads.sessions(track.key)
    return Given(
        role=role,
        config=config,
        config_problems=problems,
        frozen=frozen,
        backlog=backlog,
        unfinished=unfinished,
        sessions=sessions,
        unboxed=reads.unboxed,
    )


def needed_role(command: Command | None, config: RepoConfig) -> Role:
    """Give the role that a command needs in this repository; None: what commands need if nothing else is said."""
    return config.needed_role(command.name, command.least) if command else config.needed_role("default")


def called(track: Track | None, asked: Asked, invocation: Invocation, given: Given, now: datetime) -> Called:
    """Have a known command answer, or say who may use it or what means something now."""
    command = command_of(invocation.name)
    assert command is not None, f"there is no command {invocation.name}"
    needed = needed_role(command, given.config)
    if not allows(given.role, needed):
        return Called(refused(track, asked, f"/agent {command.name}", needed, given.role), False)
    if not command.valid(track):
        return Called(answered(track, asked, _not_now(command, track)), False)
    if given.unboxed and command.starts and (why := unboxed.refusal(asked.repo, given.role)):
        return Called(answered(track, asked, why), False)
    call = CommandCall(
        invocation=invocation,
        asked=asked,
        track=track,
        role=given.role,
        task=_task(track, asked, invocation),
        commands=COMMANDS,
        now=now,
        backlog=given.backlog,
        unfinished=given.unfinished,
        sessions=given.sessions,
        frozen=given.frozen,
        config=given.config,
        config_problems=given.config_problems,
    )
    decision = command.answer(call)
    return Called(decision, not decision.refused)


def refused(track: Track | None, asked: Asked, what: str, needed: Role, role: Role) -> Decision:
    """Say which role something needs and which one the person has."""
    if track is None and asked.round > 1:
        return life.nothing(track)  # the older round answers
    return answered(track, asked, f"`{what}` needs the role `{needed}` here; yours is `{role}`.")


def answered(track: Track | None, asked: Asked, text: str) -> Decision:
    """Say something once where it was asked."""
    id_ = track.id if track else track_id(asked.number)
    return life.answer(track, asked.repo, asked.number, id_, asked.key, asked.intro + text)


def _not_now(command: Command, track: Track | None) -> str:
    state = (
        f"the state of `{track.id}` is “{messages.STATE_WORDS[track.state]}”"
        if track
        else "nothing is planned here"
    )
    return f"`/agent {command.name}` means nothing now: {state}. Valid now: {valid_words(track)}."


def valid_words(track: Track | None) -> str:
    """List the commands that mean something now, for people."""
    return ", ".join(f"`{command.usage}`" for command in COMMANDS if command.valid(track))


def _task(track: Track | None, asked: Asked, invocation: Invocation) -> str | None:
    """Give the task that is named, or that of the pull request where it was asked."""
    first = invocation.args[0].upper() if invocation.args else ""
    if track is None or track.task(first) is not None or not asked.is_pull:
        return first if track and track.task(first) else None
    task = track.task_of(asked.number)
    return task.id if task else None
