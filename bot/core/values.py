"""Owns the plain values that events, facts, actions and ports share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Role = Literal["none", "read", "triage", "write", "maintain", "admin"]
ROLES: tuple[Role, ...] = ("none", "read", "triage", "write", "maintain", "admin")


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository as its last event named it; `id` is the identity, names can change."""

    id: int
    owner: str
    name: str
    default_branch: str
    private: bool
    installation: int | None = None
    archived: bool = False
    fork: bool = False

    @property
    def slug(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something; `login` is for reading, `id` for comparing (0: a deleted account)."""

    id: int
    login: str
    is_bot: bool = False


@dataclass(frozen=True, slots=True)
class Comment:
    id: int
    body: str
    author: Actor
    created_at: str = ""
    updated_at: str = ""
    insider: bool = False  # a hint of the forge: it may be wrong both ways, and permits nothing


@dataclass(frozen=True, slots=True)
class ReviewComment:
    """What a review says of a line of a file; `line` is None for the whole file, or where it is gone."""

    path: str
    line: int | None
    body: str


@dataclass(frozen=True, slots=True)
class Issue:
    number: int
    title: str
    body: str
    state: str
    author: Actor
    labels: tuple[str, ...] = ()
    is_pull: bool = False


@dataclass(frozen=True, slots=True)
class Pull:
    number: int
    state: str
    title: str
    body: str
    head_branch: str
    head_sha: str
    base_branch: str
    base_sha: str
    merged: bool = False
    merge_sha: str | None = None
    mergeable: bool | None = None
    draft: bool = False
    author: Actor = Actor(0, "ghost")


@dataclass(frozen=True, slots=True)
class Check:
    """One check run or commit status on a sha; `ours` when this App made it."""

    name: str
    done: bool
    conclusion: str | None  # success, failure, neutral, cancelled, skipped, timed_out, action_required, ...
    ours: bool
    url: str = ""
    summary: str = ""
    text: str = ""  # what it says at length, such as the end of a test run
    job: int = 0  # that it is in GitHub Actions, whose log says what the check itself does not


@dataclass(frozen=True, slots=True)
class PullState:
    """A pull request with the checks of its head; of one that is not open they are not read."""

    pull: Pull
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Annotation:
    path: str
    line: int
    level: Literal["notice", "warning", "failure"]
    message: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Button:
    """A button of a check run: what it is called (at most 20 characters), what it does (40), and its command (20)."""

    label: str
    description: str
    identifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check of the bot says on a commit; without a conclusion it is in progress."""

    name: str
    conclusion: str | None  # success, neutral, failure, action_required
    title: str
    summary: str  # Markdown
    annotations: tuple[Annotation, ...] = ()
    buttons: tuple[Button, ...] = ()
    details: str = ""  # the address that people are led to


@dataclass(frozen=True, slots=True)
class TreeChange:
    """A path that two trees hold differently; a mode and sha are empty where it is not there."""

    path: str
    old_mode: str = ""
    new_mode: str = ""
    old_sha: str = ""
    new_sha: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run cost; money in US dollars."""

    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    requests: int = 0
    estimated: int = 0  # of the requests: nobody heard the provider's own count

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.usd + other.usd,
            self.requests + other.requests,
            self.estimated + other.estimated,
        )


@dataclass(frozen=True, slots=True)
class TreeFile:
    """One blob of a tree: repository path with '/', mode as git writes it, size in bytes."""

    path: str
    mode: str
    sha: str
    size: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a commit is by."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """One commit of a history; e-mail addresses as they are written in it."""

    sha: str
    parents: tuple[str, ...]
    author: str
    committer: str
    when: datetime
    tree: str = ""
