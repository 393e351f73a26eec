"""Owns what begins a track without a forge: a person hands over a text to plan, a plan, or a backlog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.core.planning import MergedPlan
from bot.core.track import Frozen
from bot.core.values import Repo

Step = Literal["plan", "backlog", "work"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A task's branch that is there and finished, although nothing is remembered of it."""

    task: str
    attempt: int
    branch: str
    head_sha: str
    pull: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesGiven:
    """Files were given where a forge has a label or a merge; given again, the track goes on."""

    repo: Repo
    track: str
    step: Step
    frozen: Frozen
    plan: MergedPlan | None = None
    base_sha: str = ""  # what the plan was made at
    sha: str = ""  # commit that holds the backlog
    finished: tuple[Finished, ...] = ()  # for a track that begins: what git knows already
    kind: Literal["files_given"] = "files_given"
