"""Owns what the bot can do, as data: few and coarse, and performing one twice is harmless."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Discriminator, TypeAdapter

from bot.core.events import OwnEvent
from bot.core.track import Track
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
    subject: Literal["issue", "comment"]
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
    kind: Literal["report_backlog"] = "report_backlog"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTask:
    """Have a coding agent work on a task, and open its pull request."""

    task: str
    attempt: int
    run: int
    kind: Literal["run_task"] = "run_task"


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
    | RunTask
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
