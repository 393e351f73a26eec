"""What goes wrong in a chaos story: the same seed draws the same faults, over every kind that the forge imitates."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.stories.scripts import JsonDict

EVENTS = ("issues", "issue_comment", "pull_request", "push", "check_suite", "check_run", "")
WRITES = (
    r"POST .*/comments$",
    r"POST .*/pulls$",
    r"POST .*/check-runs$",
    r"POST .*/labels$",
    r"POST .*/reactions$",
    r"PATCH .*/issues/comments/",
    r"git-receive-pack$",
)
READS = (
    r"GET .*/collaborators/",
    r"GET .*/pulls",
    r"GET .*/comments",
    r"GET .*/issues/\d+$",
    r"GET .*/commits/",
)


def drawn(seed: int) -> list[JsonDict]:
    """Draw three to six faults: of deliveries and of calls, before and after the write, and both secondary limits."""
    chance = random.Random(seed)
    kinds = [*_DELIVERIES, *_CALLS]
    return [_fault(chance, kind) for kind in chance.sample(kinds, chance.randint(3, 6))]


_DELIVERIES = ("duplicate", "delay", "reorder", "lost")
_CALLS = (
    "error_before",
    "error_after",
    "cut",
    "secondary_limit_retry_after",
    "secondary_limit_bare",
    "mergeable_null",
)


OURS = "^(gitwright|git/)"  # calls of people go well: they would look again, too


def _fault(chance: random.Random, kind: str) -> JsonDict:
    if kind in _DELIVERIES:
        event = chance.choice(EVENTS)
        count = chance.randint(1, 3 if kind == "lost" else 30)
        wait = round(chance.uniform(0.05, 0.6), 2)
        return {"kind": kind, "event": f"^{event}", "count": count, "seconds": wait}
    if kind == "mergeable_null":
        return {"kind": kind, "count": 1, "agent": OURS}
    route = chance.choice(WRITES if kind == "error_after" else (*WRITES, *READS))
    if "git-receive-pack" in route and kind.startswith("secondary"):
        route = WRITES[0]  # git has limits of its own
    return {
        "kind": kind,
        "agent": OURS,
        "route": route,
        "count": chance.randint(1, 2),
        "seconds": 1,
        "status": _status(chance, kind),
    }


def _status(chance: random.Random, kind: str) -> int:
    return chance.choice((500, 502, 503)) if kind.startswith("error") else 0


@dataclass(slots=True)
class MovableClock:
    """The machine's time and what a test adds to it, so that an hour's wait is over at once."""

    ahead: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def forward(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)
