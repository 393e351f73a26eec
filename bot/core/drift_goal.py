"""Owns whether what an agent thinks leads away from its task: the words of its last thoughts against those of the goal."""

from __future__ import annotations

import math
from collections import Counter, deque

from bot.core.similarity import terms

THOUGHTS = 5  # that are compared together
SAMPLES = 20  # similarities before the run's own tenth percentile means anything
PERCENTILE = 0.1
_GOAL, _THOUGHT = 4_000, 1_000  # characters that are compared
_MOST = 1_000  # thoughts of a session; after a flood of them nothing is said any more


class GoalWatch:
    """A fold over an agent's thoughts and messages; a word weighs the more the fewer of them hold it."""

    def __init__(self, goal: str) -> None:
        self._goal = terms(goal[:_GOAL])
        self._seen: Counter[str] = Counter(self._goal.keys())  # texts that hold a term
        self._texts = 1
        self._last: deque[Counter[str]] = deque(maxlen=THOUGHTS)
        self._similar: list[float] = []

    def leads_away(self, thought: str) -> bool:
        """Take the next thought and say whether the newest are less like the goal than nine tenths before, and falling."""
        if not self._goal or self._texts > _MOST:
            return False
        counts = terms(thought[:_THOUGHT])
        self._seen.update(counts.keys())
        self._texts += 1
        self._last.append(counts)
        if len(self._last) < THOUGHTS:
            return False
        now = self._similarity()
        before = sorted(self._similar)
        away = (
            len(before) >= SAMPLES
            and now < before[int(PERCENTILE * (len(before) - 1))]
            and now < self._similar[-1]
        )
        self._similar.append(now)
        return away

    def _similarity(self) -> float:
        """Give the cosine of what was thought last and the goal."""
        thought: Counter[str] = sum(self._last, Counter())
        ours, theirs = self._weighed(thought), self._weighed(self._goal)
        norm = math.sqrt(_square(ours) * _square(theirs))
        common = math.fsum(ours[term] * theirs[term] for term in sorted(ours.keys() & theirs.keys()))
        return common / norm if norm else 0.0

    def _weighed(self, counts: Counter[str]) -> dict[str, float]:
        return {
            term: (1 + math.log(count)) * (math.log((1 + self._texts) / (1 + self._seen[term])) + 1)
            for term, count in counts.items()
        }


def _square(vector: dict[str, float]) -> float:
    return math.fsum(weight * weight for _, weight in sorted(vector.items()))
