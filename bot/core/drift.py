"""Owns what an agent's steps say of its run: repeating itself, going in circles, standing still, leaving its scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

StepKind = Literal[
    "read", "edit", "delete", "move", "search", "execute", "fetch", "think", "message", "other"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an agent, normalized: what it did, what came back, and what became of the worktree."""

    action: str
    args: str = ""
    observation: str = ""  # "" where there is none
    ok: bool | None = None  # None: unknown
    kind: StepKind = "other"
    tree: str = ""  # hash of the worktree's content after the step; "" where not looked at
    files: tuple[str, ...] = ()  # repository paths touched
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Signal:
    """What a rule says of the steps so far; `text` is for the agent (nudge) and people (stop)."""

    code: str
    act: Literal["warn", "nudge", "stop"]
    text: str


class ContextDriftDetector:
    """A pure fold over the steps of one run."""

    def __init__(self, scope: Sequence[str] = (), *, max_steps: int | None = None) -> None:
        self._scope = tuple(scope)
        self._max_steps = max_steps
        self._steps: list[Step] = []

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(self._steps)

    def observe(self, step: Step) -> tuple[Signal, ...]:
        self._steps.append(step)
        if self._max_steps is not None and len(self._steps) > self._max_steps:
            return (Signal("BUDGET", "stop", f"more than {self._max_steps} steps"),)
        return ()
