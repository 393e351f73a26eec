"""Owns what the forge tells of checks: results that are hints to look, buttons that people press, checks asked for again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.core.values import Actor, Repo


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksCompleted:
    """Some suite on this sha is complete: a hint to read the state of the current head."""

    repo: Repo
    sha: str
    branch: str | None
    ours: bool = False
    passed: bool = False  # so it says: then nothing is urgent
    kind: Literal["checks_completed"] = "checks_completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSet:
    """A commit status came to an end: the hint of CI that reports no check runs."""

    repo: Repo
    sha: str
    branches: tuple[str, ...]  # whose head this commit is, as far as they are told
    passed: bool
    kind: Literal["status_set"] = "status_set"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowEnded:
    """A run of a workflow ended; its jobs are check runs too, whose suite may be told of later or not at all."""

    repo: Repo
    sha: str
    branch: str | None
    passed: bool
    kind: Literal["workflow_ended"] = "workflow_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonPressed:
    """Somebody pressed a button of a check run of ours; `check` is its name, `button` what the button stands for."""

    repo: Repo
    check: str
    sha: str
    branch: str | None
    pulls: tuple[int, ...]
    button: str
    actor: Actor
    kind: Literal["button_pressed"] = "button_pressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAskedAgain:
    """Somebody asked for a check of ours once more."""

    repo: Repo
    check: str
    sha: str
    branch: str | None
    pulls: tuple[int, ...]
    actor: Actor
    kind: Literal["check_asked_again"] = "check_asked_again"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteAskedAgain:
    """Somebody asked for all our checks of a commit once more."""

    repo: Repo
    sha: str
    branch: str | None
    pulls: tuple[int, ...]
    actor: Actor
    kind: Literal["suite_asked_again"] = "suite_asked_again"
