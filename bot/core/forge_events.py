"""Owns what the forge tells, in our words: one class for each kind of webhook that means something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.core.check_events import (
    ButtonPressed,
    CheckAskedAgain,
    ChecksCompleted,
    StatusSet,
    SuiteAskedAgain,
    WorkflowEnded,
)
from bot.core.repo_events import RepositoryChanged
from bot.core.values import Actor, Repo


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueText:
    """What an issue said when something happened, as the delivery shows it; people may have edited it since."""

    title: str
    body: str
    at: str  # the forge's time of what happened, ISO 8601, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueLabeled:
    """A label was set; `round` is the number of the track that it would begin."""

    repo: Repo
    issue: int
    label: str
    actor: Actor
    round: int = 1
    at: str = ""  # the forge's time of it, ISO 8601, UTC
    text: IssueText | None = None  # None: nobody knows what it said then
    kind: Literal["issue_labeled"] = "issue_labeled"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentCreated:
    """A new comment on an issue or, when `is_pull`, on a pull request; `round` is that of a track that it may begin."""

    repo: Repo
    number: int
    is_pull: bool
    comment: int
    body: str
    author: Actor
    round: int = 1
    text: IssueText | None = None  # of the issue; None on a pull request
    kind: Literal["comment_created"] = "comment_created"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentEdited:
    """A comment reads otherwise than before."""

    repo: Repo
    number: int
    is_pull: bool
    comment: int
    before: str
    body: str
    actor: Actor  # who edited it
    kind: Literal["comment_edited"] = "comment_edited"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCommented:
    """Somebody said something on a line of a pull request, alone or in a review; `line` is None where it is gone."""

    repo: Repo
    number: int
    comment: int
    path: str
    line: int | None
    body: str
    author: Actor
    head_branch: str = ""
    kind: Literal["line_commented"] = "line_commented"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxesTicked:
    """Boxes in a comment that looks like one of ours were ticked, or unticked; they are written as `Box` writes itself."""

    repo: Repo
    number: int
    comment: int
    track: str
    author: Actor  # of the comment
    actor: Actor  # who ticked
    ticked: tuple[str, ...]
    unticked: tuple[str, ...] = ()
    kind: Literal["boxes_ticked"] = "boxes_ticked"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullClosed:
    repo: Repo
    number: int
    head_branch: str
    head_sha: str
    base_branch: str
    merged: bool
    merge_sha: str | None
    actor: Actor
    kind: Literal["pull_closed"] = "pull_closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A branch moved; `after` is None where it was deleted."""

    repo: Repo
    branch: str
    before: str | None
    after: str | None
    actor: Actor
    settings: bool = False  # whether it may have changed the settings file
    kind: Literal["pushed"] = "pushed"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueUnlabeled:
    repo: Repo
    issue: int
    label: str
    actor: Actor
    at: str = ""  # the forge's time of it, ISO 8601, UTC
    labels: tuple[str, ...] | None = None  # of the issue, as far as the delivery tells
    kind: Literal["issue_unlabeled"] = "issue_unlabeled"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueEdited:
    repo: Repo
    issue: int
    actor: Actor
    labels: tuple[str, ...] | None = None  # of the issue, as far as the delivery tells
    kind: Literal["issue_edited"] = "issue_edited"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueClosed:
    repo: Repo
    issue: int
    actor: Actor
    at: str = ""  # the forge's time of it, ISO 8601, UTC
    labels: tuple[str, ...] | None = None  # of the issue, as far as the delivery tells
    kind: Literal["issue_closed"] = "issue_closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueReopened:
    repo: Repo
    issue: int
    actor: Actor
    at: str = ""  # the forge's time of it, ISO 8601, UTC
    labels: tuple[str, ...] | None = None  # of the issue, as far as the delivery tells
    kind: Literal["issue_reopened"] = "issue_reopened"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueGone:
    """The issue was deleted, or moved to another repository: there is no place left to answer in."""

    repo: Repo
    issue: int
    how: Literal["deleted", "transferred"]
    actor: Actor
    labels: tuple[str, ...] | None = None  # of the issue, as far as the delivery tells
    kind: Literal["issue_gone"] = "issue_gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReopened:
    repo: Repo
    number: int
    head_branch: str
    actor: Actor
    head_sha: str = ""
    kind: Literal["pull_reopened"] = "pull_reopened"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullOffered:
    """A pull request shows what no track knows: it was opened, or it comes from a fork and shows new commits."""

    repo: Repo
    number: int
    head_branch: str
    head_sha: str
    actor: Actor
    kind: Literal["pull_offered"] = "pull_offered"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryAdded:
    """The bot was installed on a repository, as the `place`-th of those that were added together."""

    repo: Repo
    place: int = 1
    kind: Literal["repository_added"] = "repository_added"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoriesAdded:
    """One delivery that tells of many repositories, each of which has an event of its own."""

    repos: tuple[Repo, ...]

    def each(self) -> tuple[RepositoryAdded, ...]:
        return tuple(RepositoryAdded(repo=repo, place=place) for place, repo in enumerate(self.repos, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PullEdited:
    """A pull request's title, text or base branch was changed."""

    repo: Repo
    number: int
    head_branch: str
    base_branch: str
    actor: Actor
    kind: Literal["pull_edited"] = "pull_edited"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullPushed:
    """A pull request's branch got new commits (`synchronize`)."""

    repo: Repo
    number: int
    head_branch: str
    head_sha: str
    actor: Actor
    kind: Literal["pull_pushed"] = "pull_pushed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewSubmitted:
    """A person reviewed a pull request; `state` is approved, changes_requested or commented."""

    repo: Repo
    number: int
    review: int
    state: str
    body: str
    author: Actor
    head_branch: str = ""
    at: str = ""  # the forge's time of it, ISO 8601, UTC
    kind: Literal["review_submitted"] = "review_submitted"


ForgeEvent = (
    IssueLabeled
    | IssueUnlabeled
    | IssueEdited
    | IssueClosed
    | IssueReopened
    | IssueGone
    | CommentCreated
    | CommentEdited
    | BoxesTicked
    | PullClosed
    | PullReopened
    | PullEdited
    | PullPushed
    | ReviewSubmitted
    | ChecksCompleted
    | StatusSet
    | WorkflowEnded
    | ButtonPressed
    | CheckAskedAgain
    | SuiteAskedAgain
    | Pushed
    | PullOffered
    | RepositoryAdded
    | RepositoryChanged
    | LineCommented
)
