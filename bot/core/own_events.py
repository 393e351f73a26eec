"""Owns what our own jobs and timers report: the results of actions, as events of their track."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bot.core.config import RepoConfig
from bot.core.given import FilesGiven
from bot.core.health import Finding
from bot.core.planning import MergedPlan
from bot.core.push_gate import PushAsk
from bot.core.rebasing import Situation
from bot.core.values import Repo, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChecked:
    findings: tuple[Finding, ...]
    base_sha: str
    tests: tuple[str, ...] = ()
    known_failing: tuple[str, ...] = ()
    config: RepoConfig  # as it is on the default branch now
    config_problems: tuple[str, ...] = ()  # why it is the default
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
    verified: str = ""  # what the tests of this commit showed
    usage: Usage = field(default_factory=Usage)
    notes: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()  # files outside the scope that it changed, leased with it
    unheard: tuple[str, ...] = ()  # people's notes that came when the agent had ended
    left_out: bool = (
        False  # people pushed to the branch while it worked: theirs stands, and what it made does not
    )
    kind: Literal["task_proposed"] = "task_proposed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAsked:
    """A run's work is fit to be shown, and waits for a person: asked for an OK first, or refused by the forge."""

    task: str
    attempt: int
    run: int
    ask: PushAsk
    text: str = ""  # one sentence: why the forge refused it
    details: str = ""  # what people read about it, Markdown: the diff, or what the forge said
    usage: Usage = field(default_factory=Usage)
    kind: Literal["push_asked"] = "push_asked"


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
    key: str  # of the call that asked for it
    text: str
    changed: tuple[str, ...] = ()  # ids of tasks
    usage: Usage = field(default_factory=Usage)
    kind: Literal["backlog_revised"] = "backlog_revised"


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogEdited:
    """A task's status stands in the backlog under review, as a command asked."""

    key: str  # of the call that asked for it
    changed: tuple[str, ...]  # ids of tasks
    kind: Literal["backlog_edited"] = "backlog_edited"


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksIncluded:
    """Tasks of the plan's minority stand in the backlog under review; `text` says which, or why none does."""

    key: str  # of the call that asked for it
    text: str
    head_sha: str = ""
    changed: tuple[tuple[str, str], ...] = ()  # M-1 and the id that it has now
    kind: Literal["tasks_included"] = "tasks_included"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWaits:
    """An action waits for the forge's rate limit, or does so no more: the status comment is to say so."""

    kind: Literal["step_waits"] = "step_waits"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFailed:
    """An action was given up after its tries."""

    action: str
    what: str
    error: str
    task: str | None = None
    key: str = ""  # of the call that it was for, where it has one
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
    hinted: bool = False  # a single result was good: no news where the checks have been read as good since
    kind: Literal["checks_due"] = "checks_due"


OwnEvent = (
    HealthChecked
    | PlanMade
    | PlanFailed
    | BacklogProposed
    | TaskProposed
    | PushAsked
    | TaskFailed
    | TaskAssessed
    | TaskRebased
    | LeasesFreed
    | RecordProposed
    | PullBack
    | BacklogRevised
    | BacklogEdited
    | TasksIncluded
    | StepWaits
    | ActionFailed
    | Closed
    | ChecksDue
    | TrackLost
    | TrackSwept
    | FilesGiven
)
