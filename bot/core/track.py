"""Owns a track: one issue on its way to done, its tasks, and the keys by which events find it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import TypeAdapter

from bot.core.backlog_model import BacklogTask, Scope, Status
from bot.core.config import RepoConfig
from bot.core.evidence import Evidence
from bot.core.health import Finding
from bot.core.ids import TrackId
from bot.core.leases import Lease
from bot.core.planning import Estimate, Kind, MergedPlan, Priority
from bot.core.push_gate import PushAsk
from bot.core.repo_events import Away
from bot.core.values import Repo, Usage

TrackState = Literal[
    "planning", "review", "working", "paused", "stopped", "blocked", "done", "cancelled", "superseded"
]
TaskState = Literal[
    "todo",
    "waiting",
    "running",
    "checking",
    "in_review",
    "held",
    "blocked",
    "reverted",
    "done",
    "dropped",
]

ENDED: frozenset[TrackState] = frozenset({"done", "cancelled", "superseded"})
SETTLED: frozenset[TaskState] = frozenset({"done", "dropped"})
HELD: frozenset[TrackState] = frozenset({"paused", "stopped"})
RunMode = Literal["fresh", "fix", "conflict", "publish"]
Until = Literal["plan", "file", "pull", "branch"]  # what a command is done with

STARTABLE: frozenset[TaskState] = frozenset({"todo", "waiting"})  # the next run begins by itself
STUCK: frozenset[TaskState] = frozenset({"blocked", "held", "reverted"})  # only a person gets it going again
OPEN_PULL: frozenset[TaskState] = frozenset({"checking", "in_review"})
HISTORY = 60  # entries kept for /agent why


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """The issue as it was at the label: the only text that agents ever see."""

    title: str
    body: str
    comments: tuple[str, ...]
    sha256: str
    by: str  # login of who asked
    by_id: int = 0  # their account; 0: not known
    hidden: tuple[str, ...] = ()  # kinds of hidden text that were taken out
    strangers: int = 0  # comments left out because their authors may not write
    late: int = 0  # comments left out because they are of after somebody asked, or were edited then
    unasked: int = 0  # comments left out because too many people commented later to ask the role of everybody
    labels: tuple[str, ...] = ()  # of the issue, as the track begins
    closed: bool = False
    guessed: bool = False  # nobody knows what the issue said then: these are its words of when it was read
    edited: bool = False  # the issue was edited between being asked for and being read


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of the track's history: what was decided and from what."""

    at: str  # ISO 8601, UTC
    what: str
    why: str = ""
    task: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A command that was taken and is not done yet: its call, what it is done with, and of which task."""

    key: str
    until: Until
    task: str = ""
    attempt: int = 0  # of the task when it was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Included:
    """A task of the plan's minority that a person takes in; `task` is empty until it stands in the file."""

    name: str  # M-1
    by: str
    key: str  # of the call that asked for it
    task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTrack:
    """One task as people merged it, and how far it is."""

    id: str
    title: str
    kind: Kind = "complex"
    priority: Priority = "medium"
    estimate: Estimate = "M"
    votes: int = 0
    depends_on: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    acceptance: tuple[str, ...] = ()
    state: TaskState = "todo"
    attempt: int = 0
    run: int = 0  # over all attempts
    branch: str = ""
    pull: int | None = None
    head_sha: str | None = None
    announced: str = ""  # sha whose checks were announced before the pull request was there
    note: str = ""  # why it is where it is, for people
    mode: RunMode = "fresh"  # of the run that is under way, or was the last
    from_sha: str = ""  # what that run started from, where it is not the default branch's head
    fixes: int = 0  # fix-forwards in this attempt that nobody asked for
    regenerations: int = 0  # attempts begun from an improved spec
    trend: tuple[int, ...] = ()  # how many failures each verdict of this attempt counted
    conflict_given: tuple[str, ...] = ()  # conflicted paths that were given to the agent in this attempt
    onto: str = ""  # head of the default branch that this attempt was last rebased onto
    rebasing: str = ""  # head that is being rebased; another one says that this is over
    leased: tuple[str, ...] = ()  # files outside the scope that the attempt changed and holds as well
    reviewed: bool = False  # somebody reviewed the pull request: it is not rewritten without need
    passed: tuple[str, ...] = ()  # checks that passed on head_sha before; one that fails there now is flaky
    reruns: int = 0  # of checks on head_sha that were red again
    judged: str = ""  # head and verdict that were assessed last, so that the same is not assessed again
    waits_for_base: bool = False  # the same fails on the default branch: nothing starts before that moves
    feedback: str = ""  # what the next run is told: failed checks, conflicts, people's notes
    evidence: tuple[Evidence, ...] = ()  # what the spec is improved from at the next attempt
    replaced: tuple[int, ...] = ()  # pull requests of earlier attempts
    decisions: tuple[str, ...] = ()  # what was decided about it after a failure, oldest first
    skipped: bool = False  # dropped by a command; its line in the file may still say otherwise
    stopped: bool = False  # its pull request was closed by `/agent stop`, and `/agent resume` opens it again
    reopened: bool = False  # its pull request is open again and waits for its lease
    verified: str = (
        ""  # what the bot's own tests of `verified_sha` showed, for people; "" where nobody ran any
    )
    verified_sha: str = ""  # it may be an older head than the branch has now
    usage: Usage = field(default_factory=Usage)  # what its runs cost, over all attempts
    ask: PushAsk | None = None  # finished work that a person has to let through, or that the forge refused
    approved: str = ""  # sha of the commit that a person let through

    @property
    def spec(self) -> int:
        """Count the versions of its spec: the first, and one for each time it was improved."""
        return 1 + len(self.evidence)

    @property
    def untouched(self) -> bool:
        """Tell whether no attempt at it has begun yet."""
        return self.state in STARTABLE and self.attempt == 0

    @property
    def rests(self) -> bool:
        """Tell whether its pull request is open and no agent works on it; a blocked one too waits for a fix there."""
        return self.pull is not None and self.state in {"blocked", *OPEN_PULL}

    @property
    def asks(self) -> bool:
        """Tell whether its finished work waits for a person's OK to be pushed."""
        return self.ask is not None and self.state == "waiting" and not self.reopened

    @property
    def moving(self) -> bool:
        """Tell whether its head is being put onto the default branch."""
        return bool(self.rebasing) and self.rebasing == self.head_sha

    def at_head(self, sha: str) -> TaskTrack:
        """Follow its branch: of another head than before nothing is known, and nothing waits to replace that one."""
        if sha == self.head_sha:
            return self
        return replace(
            self,
            head_sha=sha,
            announced="",
            passed=(),
            judged="",
            reruns=0,
            ask=None,
            approved="",
        )

    def as_written(self, test: str | None = None) -> BacklogTask:
        """Give the task as its file would hold it."""
        settled: Mapping[TaskState, Status] = {"done": "done", "dropped": "dropped"}
        return BacklogTask(
            id=self.id,
            title=self.title,
            kind=self.kind,
            priority=self.priority,
            estimate=self.estimate,
            status=settled.get(self.state, "todo"),
            depends_on=self.depends_on,
            scope=Scope(paths=self.scope),
            acceptance=self.acceptance,
            test=test,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Everything the bot knows of a track; what is in git too is only remembered here."""

    id: TrackId
    repo: Repo
    issue: int  # 0: a local track, which has no issue; its id is free-form
    round: int = 1
    state: TrackState = "planning"
    frozen: Frozen
    config: RepoConfig
    started_at: str
    base_sha: str = ""
    tests: tuple[str, ...] = ()  # commands for the whole repository
    known_failing: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    plan: MergedPlan | None = None
    plan_failures: tuple[str, ...] = ()
    backlog_branch: str = ""
    backlog_pull: int | None = None
    backlog_sha: str | None = None
    merged_sha: str | None = None
    healthy: bool = False  # the check before work has passed
    readable: bool = True  # the backlog on the default branch; while it is not, nothing new starts
    tasks: tuple[TaskTrack, ...] = ()
    problem: str = ""  # what blocks the track as a whole, for people
    usage: Usage = field(default_factory=Usage)
    runs: int = 0
    history: tuple[Happening, ...] = ()
    answered: tuple[int, ...] = ()  # ids of comments whose commands are done
    promised: tuple[Promise, ...] = ()  # commands that are taken and not done yet
    ticks: tuple[tuple[str, int], ...] = ()  # how often each box was acted on
    included: tuple[Included, ...] = ()  # of the plan's minority
    resume_to: TrackState | None = None  # where a paused or stopped track goes on
    stale: bool = False  # the issue was edited after its text was frozen
    budget_usd: float | None = None  # ceiling set by `/agent budget`; None: that of the settings
    record_pull: int | None = None  # carries what no task's pull request can record
    put_off: tuple[str, ...] = ()  # actions as JSON that came due while the track was paused or stopped
    closed: bool = False  # its issue is closed, as far as was heard
    label: str = ""  # the trigger label, while its issue is known to bear it
    gone: bool = False  # its issue was deleted or moved away: nothing can be said there any more
    away: Away | Literal[""] = ""  # why its repository is out of reach, while it is
    away_only: bool = False  # it is paused for that alone, and nobody asked for it
    config_problems: tuple[str, ...] = ()  # what was wrong with the settings file when it was read
    heard_until: str = (
        ""  # forge's time of the last status comment before the track was taken up again from it
    )
    # Leases of the repository's other tracks, read before each decision; never stored with this one.
    foreign: tuple[Lease, ...] = ()

    @property
    def key(self) -> str:
        """Name the track over all repositories; the repository's id stays when its name changes."""
        return f"{self.repo.id}/{self.id}"

    @property
    def slug(self) -> str:
        """Name the track where a name must be one word: worktrees, anchors."""
        return self.key.replace("/", "-")

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def folder(self) -> str:
        """Give the folder of the track's files in the target repository."""
        return f"{self.config.tasks_dir}/{self.id}" if self.issue else self.config.tasks_dir

    def task(self, id_: str) -> TaskTrack | None:
        return next((task for task in self.tasks if task.id == id_), None)

    def task_of(self, pull: int) -> TaskTrack | None:
        """Give the task that a pull request is for, or was for before a later attempt replaced it."""
        return next((task for task in self.tasks if pull == task.pull or pull in task.replaced), None)

    def with_task(self, changed: TaskTrack) -> Track:
        return replace(self, tasks=tuple(changed if t.id == changed.id else t for t in self.tasks))

    def noting(self, at: str, what: str, why: str = "", task: str | None = None) -> Track:
        entry = Happening(at=at, what=what, why=why, task=task)
        return replace(self, history=(*self.history, entry)[-HISTORY:])

    def keys(self) -> tuple[str, ...]:
        """Give the keys by which events find this track; an ended one hears no pushes, so that old tracks cost nothing."""
        keys = [f"issue:{self.issue}"]
        if self.backlog_pull is not None:
            keys.append(f"pull:{self.backlog_pull}")
        if self.record_pull is not None:
            keys.append(f"pull:{self.record_pull}")
        for task in self.tasks:
            keys += [f"pull:{number}" for number in (task.pull, *task.replaced) if number is not None]
        if not self.ended:
            keys += ["repository", f"branch:{self.repo.default_branch}"]
            if self.backlog_branch:
                keys.append(f"branch:{self.backlog_branch}")
            keys += [f"branch:{task.branch}" for task in self.tasks if task.branch]
        return tuple(dict.fromkeys(keys))


TRACKS: TypeAdapter[Track] = TypeAdapter(Track)
