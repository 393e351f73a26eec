"""Owns what can happen, in our words: webhooks become these, and so do the results of our own jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Discriminator, TypeAdapter

from bot.core.config import RepoConfig
from bot.core.given import FilesGiven
from bot.core.health import Finding
from bot.core.planning import MergedPlan
from bot.core.rebasing import Situation
from bot.core.values import Actor, Repo, Usage

# --- from the forge ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueLabeled:
    """A label was set; `round` is the number of the track that it would begin."""

    repo: Repo
    issue: int
    label: str
    actor: Actor
    round: int = 1
    at: str = ""  # the forge's time of it, ISO 8601, UTC
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
    kind: Literal["comment_created"] = "comment_created"


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
class ChecksCompleted:
    """Some suite on this sha is complete: a hint to read the state of the current head."""

    repo: Repo
    sha: str
    branch: str | None
    ours: bool = False
    kind: Literal["checks_completed"] = "checks_completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A branch moved; `after` is None where it was deleted."""

    repo: Repo
    branch: str
    before: str | None
    after: str | None
    actor: Actor
    kind: Literal["pushed"] = "pushed"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueUnlabeled:
    repo: Repo
    issue: int
    label: str
    actor: Actor
    at: str = ""  # the forge's time of it, ISO 8601, UTC
    kind: Literal["issue_unlabeled"] = "issue_unlabeled"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueEdited:
    repo: Repo
    issue: int
    actor: Actor
    kind: Literal["issue_edited"] = "issue_edited"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueClosed:
    repo: Repo
    issue: int
    actor: Actor
    at: str = ""  # the forge's time of it, ISO 8601, UTC
    kind: Literal["issue_closed"] = "issue_closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueReopened:
    repo: Repo
    issue: int
    actor: Actor
    at: str = ""  # the forge's time of it, ISO 8601, UTC
    kind: Literal["issue_reopened"] = "issue_reopened"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueGone:
    """The issue was deleted, or moved to another repository: there is no place left to answer in."""

    repo: Repo
    issue: int
    how: Literal["deleted", "transferred"]
    actor: Actor
    kind: Literal["issue_gone"] = "issue_gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReopened:
    repo: Repo
    number: int
    head_branch: str
    actor: Actor
    kind: Literal["pull_reopened"] = "pull_reopened"


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


# --- from our own jobs ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChecked:
    findings: tuple[Finding, ...]
    base_sha: str
    tests: tuple[str, ...] = ()
    known_failing: tuple[str, ...] = ()
    config: RepoConfig  # as it is on the default branch now
    before: Literal["planning", "work"] = "planning"
    kind: Literal["health_checked"] = "health_checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMade:
    plan: MergedPlan
    usage: Usage
    failures: tuple[str, ...] = ()  # one sentence for each planner that gave nothing
    kind: Literal["plan_made"] = "plan_made"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFailed:
    failures: tuple[str, ...]
    usage: Usage = field(default_factory=Usage)
    kind: Literal["plan_failed"] = "plan_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogProposed:
    pull: int
    branch: str
    head_sha: str
    tasks: int
    notes: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    kind: Literal["backlog_proposed"] = "backlog_proposed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskProposed:
    """An attempt's pull request is open at `head_sha`, for the first time or again."""

    task: str
    attempt: int
    run: int
    pull: int
    branch: str
    head_sha: str
    usage: Usage = field(default_factory=Usage)
    notes: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()  # files outside the scope that it changed, leased with it
    kind: Literal["task_proposed"] = "task_proposed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailed:
    """A run ended without a pull request; `reason` is one word, `text` a sentence, `details` fenced evidence."""

    task: str
    attempt: int
    run: int
    reason: str
    text: str
    details: str = ""
    usage: Usage = field(default_factory=Usage)
    kind: Literal["task_failed"] = "task_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAssessed:
    """What is wrong with a run's work, or with an open pull request, with all that decides what to do about it."""

    task: str
    attempt: int
    run: int
    head_sha: str  # the commit that was looked at
    tip: str  # head of the default branch that it was compared with
    situation: Situation
    text: str  # one sentence for people
    details: str = ""  # fenced evidence
    output: str = ""  # the same for the next run, redacted, without fence
    outside: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    kind: Literal["task_assessed"] = "task_assessed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRebased:
    """A branch was rebased without an agent; `head_sha` is its new head."""

    task: str
    attempt: int
    head_sha: str
    onto: str
    kind: Literal["task_rebased"] = "task_rebased"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasesFreed:
    """Another track of the repository gave paths back: what waited for them is looked at again."""

    kind: Literal["leases_freed"] = "leases_freed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordProposed:
    """A pull request carries what no task's pull request could record; 0: nothing was left to record."""

    pull: int
    kind: Literal["record_proposed"] = "record_proposed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullBack:
    """A pull request that was closed is open again, by our own doing."""

    pull: int
    kind: Literal["pull_back"] = "pull_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogRevised:
    """The backlog under review was revised by a person's note; `text` says what changed, or why nothing did."""

    head_sha: str
    comment: int
    text: str
    changed: tuple[str, ...] = ()  # ids of tasks
    usage: Usage = field(default_factory=Usage)
    kind: Literal["backlog_revised"] = "backlog_revised"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFailed:
    """An action was given up after its tries."""

    action: str
    what: str
    error: str
    task: str | None = None
    kind: Literal["action_failed"] = "action_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The issue carries its receipt and is closed, and what the track left behind was looked for."""

    leftovers: tuple[str, ...] = ()
    kind: Literal["closed"] = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackLost:
    """A status comment of ours tells of a track that the database does not know: it is taken up again."""

    repo: Repo
    issue: int
    comment: int
    kind: Literal["track_lost"] = "track_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSwept:
    """Time to see whether a track stands still, and whether its repository has another name by now."""

    repo: Repo
    kind: Literal["track_swept"] = "track_swept"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksDue:
    """Time to look at a task's checks, whatever was or was not announced."""

    task: str
    head_sha: str
    waited: int  # how many times it has been looked at in vain
    kind: Literal["checks_due"] = "checks_due"


ForgeEvent = (
    IssueLabeled
    | IssueUnlabeled
    | IssueEdited
    | IssueClosed
    | IssueReopened
    | IssueGone
    | CommentCreated
    | PullClosed
    | PullReopened
    | PullEdited
    | PullPushed
    | ReviewSubmitted
    | ChecksCompleted
    | Pushed
)
OwnEvent = (
    HealthChecked
    | PlanMade
    | PlanFailed
    | BacklogProposed
    | TaskProposed
    | TaskFailed
    | TaskAssessed
    | TaskRebased
    | LeasesFreed
    | RecordProposed
    | PullBack
    | BacklogRevised
    | ActionFailed
    | Closed
    | ChecksDue
    | TrackLost
    | TrackSwept
    | FilesGiven
)
Event = ForgeEvent | OwnEvent

EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Discriminator("kind")])
