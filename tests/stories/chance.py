"""What goes wrong in a chaos story: the same seed draws the same faults, over every kind that the forge imitates."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.stories.scripts import JsonDict

EVENTS = (r"^issues\.labeled", "^issue_comment", "^pull_request", "^push", "^check_suite", "^check_run", "")
GRAPHQL = "^POST /graphql$"
RECEIVE = "git-receive-pack$"
WRITES = (
    r"POST .*/issues/\d+/comments$",
    r"POST .*/pulls$",
    r"POST .*/check-runs$",
    r"POST .*/reactions$",
    r"POST .*/access_tokens$",
    r"DELETE /installation/token$",
    RECEIVE,
)
READS = (r"GET .*/collaborators/", r"GET .*/issues/\d+/comments$")
# What travels only where GraphQL does not, which then bears all that these ask and write.
OVER_REST = (
    r"POST .*/labels$",
    r"PATCH .*/issues/comments/",
    r"GET .*/pulls/\d+$",
    r"GET .*/issues/\d+$",
    r"GET .*/commits/",
)

_DELIVERIES = ("duplicate", "delay", "reorder", "lost")
_CALLS = (
    "error_before",
    "error_after",
    "cut",
    "secondary_limit_retry_after",
    "secondary_limit_bare",
    "mergeable_null",
)
_FROM = 12  # so that the few stories of `make test` meet faults of most kinds
_REST_EVERY = 4  # stories: that many share one which is played over REST only


def over_rest(seed: int) -> bool:
    """Tell whether a story is played without GraphQL."""
    return seed % _REST_EVERY == _REST_EVERY - 1


def drawn(seed: int, *, rest: bool = False) -> list[JsonDict]:
    """Draw three to six faults: of deliveries and of calls, before and after the write, and of limits.

    With `rest`, for a story without GraphQL. No two of one story strike the same calls, so that none takes away what another one is for.
    """
    chance = random.Random(seed + _FROM)
    kinds = [*_DELIVERIES, *_CALLS, *(() if rest else ("graphql_limited",))]
    routes = [*WRITES, *READS, *(OVER_REST if rest else (GRAPHQL,))]
    chance.shuffle(routes)
    return [_fault(chance, kind, routes) for kind in chance.sample(kinds, chance.randint(3, 6))]


OURS = "^(gitwright|git/)"  # calls of people go well: they would look again, too


def _fault(chance: random.Random, kind: str, routes: list[str]) -> JsonDict:
    if kind in _DELIVERIES:
        count = chance.randint(1, 3 if kind == "lost" else 30)
        wait = round(chance.uniform(0.05, 0.6), 2)
        return {"kind": kind, "event": chance.choice(EVENTS), "count": count, "seconds": wait}
    if kind == "mergeable_null":
        return {"kind": kind, "count": 1, "agent": OURS}
    route = GRAPHQL if kind == "graphql_limited" else next(each for each in routes if _fits(kind, each))
    if route in routes:
        routes.remove(route)
    return {
        "kind": kind,
        "agent": OURS,
        "route": route,
        "count": chance.randint(1, 6 if route == GRAPHQL else 2),
        "seconds": 1,
        "status": chance.choice((500, 502, 503)) if kind.startswith("error") else 0,
    }


def _fits(kind: str, route: str) -> bool:
    """Tell whether a fault of a kind may strike there: git has limits of its own, and a read is not done halfway."""
    if kind == "error_after":
        return not route.startswith("GET")
    return not (route == RECEIVE and kind.startswith("secondary"))


@dataclass(slots=True)
class MovableClock:
    """The machine's time and what a test adds to it, so that an hour's wait is over at once."""

    ahead: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def forward(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)
