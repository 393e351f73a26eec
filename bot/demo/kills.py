"""Decides when the bot is killed: by what it has done, so that the moments are spread over the whole run."""

from __future__ import annotations

import random
from dataclasses import dataclass

# Calls of the bot, REST and git, measured on a run of three tasks: 146.
_CALLS_BEFORE_WORK = 50
_CALLS_OF_A_TASK = 30
_INSIDE = 0.6  # of the run on average, so that even the latest choice comes before its end


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: so many calls after the bot was last started, and then so many seconds."""

    calls: int
    delay: float


def plan_kills(count: int, seed: int, tasks: int) -> tuple[Kill, ...]:
    """Choose the kills of a run with about so many tasks; the same seed gives the same ones.

    Half of them strike at once, most likely between two writes; the others a moment later, when an agent or tests run.
    """
    chance = random.Random(f"{count}/{seed}")  # noqa: S311 - not a secret
    calls = _CALLS_BEFORE_WORK + _CALLS_OF_A_TASK * tasks
    most = max(2, round(2 * _INSIDE * calls / (count + 1)) - 1)
    return tuple(
        Kill(chance.randint(1, most), 0.0 if chance.random() < 0.5 else chance.uniform(0.05, 1.5))
        for _ in range(count)
    )


class Executioner:
    """Follows a plan; told how many calls the bot has made and what time it is, says when to strike."""

    def __init__(self, kills: tuple[Kill, ...]) -> None:
        self._left = list(kills)
        self._since: int | None = None
        self._due: float | None = None

    @property
    def left(self) -> int:
        return len(self._left)

    def strike(self, calls: int, now: float) -> bool:
        """Whether to kill now; `calls` counts over the whole run, `now` is in seconds."""
        if not self._left:
            return False
        if self._since is None:
            self._since = calls
        if self._due is None and calls - self._since >= self._left[0].calls:
            self._due = now + self._left[0].delay
        if self._due is None or now < self._due:
            return False
        self._left.pop(0)
        self._since, self._due = calls, None
        return True
