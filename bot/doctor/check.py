"""Owns the shapes of an examination: a check, what it finds, and what is reported of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bot.core.values import Repo
from bot.doctor.world import World

Level = Literal["ok", "warning", "failed", "unknown"]
LEVELS: tuple[Level, ...] = ("ok", "warning", "unknown", "failed")  # the later, the worse

PATIENCE = 20.0  # seconds for one check with all it asks for


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found out: one sentence, particulars, and the one next step where something is to be done."""

    level: Level
    text: str
    step: str = ""
    details: tuple[str, ...] = ()


Look = Callable[[World], Awaitable[Finding]]
LookAt = Callable[[World, Repo], Awaitable[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that is looked at, once for the bot or once for each repository; looking never writes.

    `mend` does what is safe and says each thing done; it is called with --fix alone, and the check looks again after it.
    """

    name: str
    asks: str  # the question, for people
    look: Look
    mend: Callable[[World], Awaitable[Sequence[str]]] | None = None
    patience: float = PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoCheck:
    """The same, of a repository."""

    name: str
    asks: str
    look: LookAt
    mend: Callable[[World, Repo], Awaitable[Sequence[str]]] | None = None
    patience: float = PATIENCE


AnyCheck = Check | RepoCheck


@dataclass(frozen=True, slots=True)
class Result:
    """A finding with its check's name, the repository it is about, and what --fix did."""

    check: str
    repository: str | None
    finding: Finding
    done: tuple[str, ...] = ()


def ok(text: str, *details: str) -> Finding:
    """Say that nothing is to be done."""
    return Finding("ok", text, details=details)


def worst(levels: Sequence[Level]) -> Level:
    """Give the worst of some levels, `ok` where there are none."""
    return max(levels, key=LEVELS.index, default="ok")
