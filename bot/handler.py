"""The shapes of an extension: what reacts to an event, for a track or a repository, and what answers a slash command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from bot.core.actions import Decision
from bot.core.backlog import Loaded
from bot.core.commands import Invocation
from bot.core.config import RepoConfig
from bot.core.events import Event, IssueText
from bot.core.messages_sessions import SessionSeen
from bot.core.repo_actions import RepoAction
from bot.core.track import Frozen, Track
from bot.core.values import Actor, Repo, Role
from bot.ports import ForgeReads, Look

WRITERS: Role = "write"  # who may have words put before agents, whatever the settings say

E = TypeVar("E", bound=Event)
F = TypeVar("F")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An action of a track that has not ended yet."""

    kind: str
    task: str | None = None
    tries: int = 1  # this one included
    until: datetime | None = None  # when it is tried again
    error: str = ""  # why it has to be
    session: bool = False  # an agent is at work on it


class Reads(Protocol):
    """What can be read of a repository: the forge, its settings and files."""

    @property
    def forge(self) -> ForgeReads: ...

    @property
    def unboxed(self) -> bool:
        """Whether the operator has agents and tests run without a sandbox: no repository can say so (bot.core.unboxed)."""

    async def config(self, repo: Repo) -> tuple[RepoConfig, tuple[str, ...]]:
        """Give the settings from the default branch and what is wrong with the file, one sentence each."""

    async def file(self, repo: Repo, sha: str, path: str) -> str | None:
        """Read a text file of the repository at a commit; None where there is none."""

    async def backlog(self, repo: Repo, sha: str, path: str) -> Loaded | None:
        """Read and check a backlog file at a commit; None where there is none."""

    async def paths(self, repo: Repo, sha: str) -> tuple[str, ...]:
        """List the repository's files at a commit."""


class TrackReads(Reads, Protocol):
    """What gathering may look at: the repository, and what is on its way for a track."""

    patience: float  # seconds that good news of checks waits for more, so that one look tells of all

    async def look(self, track: Track) -> Look:
        """Ask for what is as new as the event, the track's other open pull requests beside: their events come together."""

    async def unfinished(self, track: str) -> tuple[Unfinished, ...]:
        """List what a track has had begun and what has not ended, by the track's key."""

    async def sessions(self, track: str) -> tuple[SessionSeen, ...]:
        """List the sessions of a track's agents, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler(Generic[E, F]):
    """One kind of event: how it finds its tracks, what is read for it, and what follows from it."""

    event: type[E]
    github: str | None = None  # the webhook event; None: it comes from our own jobs
    actions: tuple[str, ...] = ()  # of the webhook event; empty: all
    permissions: Mapping[str, str] = field(default_factory=dict)  # what handling it needs, beside metadata
    keys: Callable[[E], tuple[str, ...]] = lambda _: ()
    opens: Callable[[E], int | None] = lambda _: None  # the issue whose track the event may begin
    begins_anew: Callable[[E], bool] = lambda _: False  # whether it asks for a round beside one under way
    sees_hold: bool = False  # it looks at paused tracks as they are; else what it would start is put off
    gather: Callable[[Track | None, E, TrackReads], Awaitable[F]]
    decide: Callable[[Track | None, E, F, datetime], Decision]


async def _nothing_read(_track: Track | None, _event: object, _reads: Reads) -> None:
    """The event carries all that deciding needs."""


def on_open_track(event: type[E], step: Callable[[Track, E, datetime], Decision]) -> Handler[E, None]:
    """Make the handler of an event that carries all that deciding needs, and means nothing to a track that has ended."""

    def decide(track: Track | None, happened: E, _facts: None, now: datetime) -> Decision:
        return Decision(track=track) if track is None or track.ended else step(track, happened, now)

    return Handler(event=event, gather=_nothing_read, decide=decide)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoHandler(Generic[E, F]):
    """What one kind of event means to a whole repository, whether or not it means something to tracks as well."""

    event: type[E]
    webhooks: tuple[str, ...]  # that it comes from: `push`, `installation.created`
    permissions: Mapping[str, str] = field(default_factory=dict)  # what handling it needs, beside metadata
    concerns: Callable[[E], bool] = lambda _: True  # asked on arrival; what is said no to leaves no trace
    only_without_track: bool = False  # what a track hears is none of its
    gather: Callable[[E, Reads], Awaitable[F]]
    decide: Callable[[E, F], tuple[RepoAction, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """By whom and where a command was called: in a comment, by a button of a check run, by a box in one of our texts."""

    repo: Repo
    number: int  # of the issue or the pull request; it is answered there
    is_pull: bool
    actor: Actor
    key: str  # names this call: what follows from it is said once (`ids.said_in` knows where it was written)
    round: int = 1  # of the track that it may begin
    text: IssueText | None = None  # what the issue said then
    intro: str = ""  # says who asked for what, where no comment shows it; in front of the answer, Markdown


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandCall:
    """A command as it was called, with what answering may look at."""

    invocation: Invocation
    asked: Asked
    track: Track | None
    role: Role
    task: str | None  # named, or that of the pull request it was written on
    commands: Sequence[Command]
    now: datetime
    backlog: Loaded | None = None  # under review, for commands that read it
    unfinished: tuple[Unfinished, ...] = ()  # for commands that read it
    sessions: tuple[SessionSeen, ...] = ()  # the same
    frozen: Frozen | None = None  # the issue as it is now, for a command that begins a round
    config: RepoConfig = field(default_factory=RepoConfig)
    config_problems: tuple[str, ...] = ()  # one sentence each

    @property
    def by(self) -> str:
        """Give the login of who asked."""
        return self.asked.actor.login


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxKind:
    """One kind of check box in the bot's texts: ticking it calls a command with what the box is about."""

    command: Command
    # About what it is offered in the status comment now, with its label, Markdown on one line.
    offers: Callable[[Track], Iterable[tuple[str, str]]] = lambda _: ()
    undone: str = ""  # what whoever unticks it is told; nothing where that does no harm


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One slash command; help, the permission check and the docs page come from here."""

    name: str
    usage: str
    summary: str
    example: str
    least: Role = (
        "none"  # that it needs whatever the settings say; WRITERS where agents get words of whoever asks
    )
    valid: Callable[[Track | None], bool] = lambda _: True
    reads_backlog: bool = False  # it is about the tasks of a backlog that is under review
    reads_unfinished: bool = False  # it tells what goes on
    reads_sessions: bool = False  # it tells what became of the agents' sessions
    begins: bool = False  # it begins a round of its own
    starts: bool = True  # an agent or a test may run for it; one that only tells or ends something says False
    answer: Callable[[CommandCall], Decision]
