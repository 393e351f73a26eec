"""Owns what a commit's checks say together: nothing that ran is not the same as green."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bot.core.values import Check

Verdict = Literal["missing", "running", "awaiting_approval", "conflicted", "red", "green", "no_ci"]

# GitHub may add conclusions; what is not known here is no success, so it waits and is named.
PASSED = frozenset({"success", "neutral", "skipped"})
FAILED = frozenset({"failure", "timed_out", "cancelled", "startup_failure", "error"})


@dataclass(frozen=True, slots=True)
class Rollup:
    """One word for a head's checks, and the checks it comes from."""

    verdict: Verdict
    names: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()  # whatever the word is


def rollup(checks: Sequence[Check], base: Sequence[Check], mergeable: bool | None) -> Rollup:
    """Judge a head by others' checks; the bot's own never count, and no checks on the base either means no CI."""
    theirs = [check for check in checks if not check.ours]
    verdict, names = _verdict(theirs, base, mergeable)
    return Rollup(verdict, names, tuple(c.name for c in theirs if c.done and c.conclusion == "success"))


def _verdict(
    theirs: Sequence[Check], base: Sequence[Check], mergeable: bool | None
) -> tuple[Verdict, tuple[str, ...]]:
    if mergeable is False:
        return "conflicted", ()
    failed = tuple(c.name for c in theirs if c.done and c.conclusion in FAILED)
    if failed:
        return "red", failed
    asking = tuple(c.name for c in theirs if c.done and c.conclusion == "action_required")
    if asking:
        return "awaiting_approval", asking
    running = tuple(c.name for c in theirs if not c.done or c.conclusion not in PASSED)
    if running:
        return "running", running
    if theirs:
        # Only skipped checks means that nothing ran.
        ran = tuple(c.name for c in theirs if c.conclusion != "skipped")
        return ("green", ran) if ran else ("missing", ())
    return ("missing" if any(not c.ours for c in base) else "no_ci"), ()
