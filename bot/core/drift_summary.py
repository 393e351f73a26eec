"""Owns what a session that takes another's place is told of it: what was tried, and how often, in few words."""

from __future__ import annotations

from collections.abc import Sequence

from bot.core.drift import Step

_MOST = 20  # lines
_ARGUMENTS = 160  # characters
_RESULT = 200


def tried(steps: Sequence[Step]) -> tuple[str, ...]:
    """List the newest different actions of a run, oldest first, each with its count and how it ended last."""
    counted: dict[tuple[str, str], tuple[int, Step]] = {}
    for step in steps:
        if step.kind in ("message", "think"):
            continue
        call = (step.action, step.args)
        times, _ = counted.pop(call, (0, step))
        counted[call] = (times + 1, step)
    newest = list(counted.values())[-_MOST:]
    return tuple(_line(times, step) for times, step in newest)


def touched(steps: Sequence[Step]) -> tuple[str, ...]:
    """List the files that changing steps named."""
    found = {file for step in steps if step.kind in ("edit", "delete", "move") for file in step.files}
    return tuple(sorted(found))


def _line(times: int, step: Step) -> str:
    often = f", {times} times" if times > 1 else ""
    ended = {True: "succeeded", False: "failed", None: "ended"}[step.ok]
    said = step.observation[-_RESULT:] if step.ok is False else ""
    return f"{step.action} {step.args[:_ARGUMENTS]}: {ended}{often}{f': {said}' if said else ''}"
