"""Owns what the bot can do, as data: few and coarse, and performing one twice is harmless."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Discriminator, TypeAdapter

from bot.core.events import OwnEvent
from bot.core.ids import Place
from bot.core.repo_actions import RepoAction
from bot.core.track import RunMode, Track
from bot.core.values import Repo


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatus:
    """Make the sticky comment and the status label say what the track's state is now."""

    kind: Literal["sync_status"] = "sync_status"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostComment:
    """Post a text once; its marker and key are its identity."""

    repo: Repo
    number: int
    body: str
    anew: bool = False  # an older text of the same identity is edited
    kind: Literal["post_comment"] = "post_comment"


@dataclass(frozen=True, slots=True, kw_only=True)
class React:
    repo: Repo
    subject: Literal["issue"] | Place
    id: int
    content: Literal["eyes", "rocket", "confused"]
    kind: Literal["react"] = "react"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckHealth:
    """See whether planning and work can succeed here: tools, model, disk, worktree, baseline, canary."""

    before: Literal["planning", "work"]
    kind: Literal["check_health"] = "check_health"


@dataclass(frozen=True, slots=True, kw_only=True)
class MakePlan:
    """Have the planning agents propose and merge their proposals."""

    base_sha: str
    kind: Literal["make_plan"] = "make_plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposeBacklog:
    """Put PLAN.md, BACKLOG.yaml and the specs on the backlog branch and open its pull request."""

    kind: Literal["propose_backlog"] = "propose_backlog"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBacklog:
    """Validate the backlog file at a sha and say so in the check `gitwright/backlog`."""

    sha: str
    again: bool = False  # somebody asked for it: it is said even if nothing has changed
    kind: Literal["report_backlog"] = "report_backlog"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTask:
    """Make the check `gitwright/task` say what a task's pull request is now; it goes with every `SyncStatus`."""

    task: str = (
        ""  # whose check somebody asked for again; "": all of the track's, where they say something else now
    )
    kind: Literal["report_task"] = "report_task"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTask:
    """Have a coding agent work on a task, and open or update its pull request.

    `fresh` starts from the default branch's head, `fix` from `head`, `conflict` from `head` merged with the default
    branch, markers included; `publish` runs no agent: it publishes what the run `run` made.
    """

    task: str
    attempt: int
    run: int
    mode: RunMode = "fresh"
    head: str = ""
    kind: Literal["run_task"] = "run_task"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessTask:
    """Find out all that decides what to do about an open pull request: why it is red, behind or in conflict."""

    task: str
    attempt: int
    head_sha: str
    only_conflicts: bool = False  # the default branch moved: nothing to say where it still merges
    kind: Literal["assess_task"] = "assess_task"


@dataclass(frozen=True, slots=True, kw_only=True)
class RebaseTask:
    """Put a branch onto the default branch's head without an agent; a person's commits are merged, not rewritten."""

    task: str
    attempt: int
    head_sha: str
    kind: Literal["rebase_task"] = "rebase_task"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePull:
    """Close a pull request of the bot and say why; its branch is kept."""

    number: int
    body: str
    kind: Literal["close_pull"] = "close_pull"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReopenPull:
    """Open a pull request again that `/agent stop` closed."""

    number: int
    task: str | None = None
    kind: Literal["reopen_pull"] = "reopen_pull"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRuns:
    """Stop the runs of these tasks (none named: all jobs of the track) with their whole process trees."""

    tasks: tuple[str, ...] = ()
    kind: Literal["cancel_runs"] = "cancel_runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class EditBacklog:
    """Write a task's status into the backlog under review, in a commit that touches nothing else."""

    task: str
    status: Literal["todo", "done", "dropped"]
    key: str = ""  # of the call that asked for it
    kind: Literal["edit_backlog"] = "edit_backlog"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncludeTasks:
    """Write tasks of the plan's minority, and what they need, into the backlog under review."""

    names: tuple[str, ...]  # M-1
    by: str
    key: str
    kind: Literal["include_tasks"] = "include_tasks"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPlan:
    """Make the boxes of the plan comment say what has become of them; people's edits of it stay."""

    kind: Literal["sync_plan"] = "sync_plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldPlan:
    """Show the plan comment of the round before as outdated: there is a newer one."""

    kind: Literal["fold_plan"] = "fold_plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviseBacklog:
    """Revise the backlog under review by a person's note, keeping what people edited."""

    note: str
    by: str
    key: str  # of the call that asked for it
    kind: Literal["revise_backlog"] = "revise_backlog"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRun:
    """Hand a person's note to the agent that works on a task."""

    task: str
    note: str
    key: str
    kind: Literal["note_run"] = "note_run"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposeRecord:
    """Open a pull request with the status lines that no task's pull request carries."""

    kind: Literal["propose_record"] = "propose_record"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseTrack:
    """Prove that nothing is left behind, post the receipt, close the issue."""

    kind: Literal["close_track"] = "close_track"


Action = (
    SyncStatus
    | PostComment
    | React
    | CheckHealth
    | MakePlan
    | ProposeBacklog
    | ReportBacklog
    | ReportTask
    | RunTask
    | AssessTask
    | RebaseTask
    | ClosePull
    | ReopenPull
    | CancelRuns
    | EditBacklog
    | IncludeTasks
    | SyncPlan
    | FoldPlan
    | ReviseBacklog
    | NoteRun
    | ProposeRecord
    | CloseTrack
)

ACTIONS: TypeAdapter[Action] = TypeAdapter(Annotated[Action, Discriminator("kind")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """An event that comes by itself later; setting it again moves it."""

    id: str
    after: timedelta
    event: OwnEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from an event: the track's next state (None: there is no track), and what to do."""

    track: Track | None
    actions: tuple[Action, ...] = ()
    timers: tuple[Timer, ...] = ()
    refused: bool = False  # a command is answered with why it is not done
    about_repository: tuple[RepoAction, ...] = ()  # they wait in the repository's own line
