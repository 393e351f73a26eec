"""What the judges found: counts per operation and event, and every violation."""

import threading
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

JsonDict = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Violation:
    """One difference from a published description; `pointer` is a JSON pointer into `where`."""

    where: str  # "request", "response" or "webhook"
    subject: str  # "POST /repos/{owner}/{repo}/pulls -> 201", "issues.labeled"
    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.where} {self.pointer or '/'}: {self.message}"


@dataclass(slots=True)
class Record:
    """Counts of judged 2xx answers and deliveries, and the violations; safe to share between threads."""

    operations: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def judged_operation(self, operation: str) -> None:
        with self._lock:
            self.operations[operation] += 1

    def judged_event(self, event: str) -> None:
        with self._lock:
            self.events[event] += 1

    def found(self, violations: list[Violation]) -> None:
        with self._lock:
            self.violations.extend(violations)

    def merge(self, other: "Record") -> None:
        """Add what another process or run has found."""
        with self._lock:
            self.operations.update(other.operations)
            self.events.update(other.events)
            self.violations.extend(other.violations)

    def to_json(self) -> JsonDict:
        return {
            "operations": dict(self.operations),
            "events": dict(self.events),
            "violations": [asdict(violation) for violation in self.violations],
        }

    @classmethod
    def from_json(cls, data: JsonDict) -> "Record":
        return cls(
            Counter(data["operations"]),
            Counter(data["events"]),
            [Violation(**violation) for violation in data["violations"]],
        )
