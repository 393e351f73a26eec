"""Owns the shapes of GitHub's rate limits, which its documentation, its servers and its libraries tell differently."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import ceil

LEAST_WAIT = 1.0  # seconds; a limit whose reset has passed is over, give or take our clock
UNSAID_WAIT = 60.0  # seconds; "wait at least one minute" where no header says how long, and longer each time
UNSAID = 0.0  # stands for that


def wait_for(status: int, headers: Mapping[str, str], body: str, now: float) -> float | None:
    """Give the seconds to wait when an answer is a rate limit, None when it is not one; `now` is a Unix time.

    UNSAID stands for one that does not say how long.

    A limited request was not carried out, so that it may be sent again whatever it was.
    Source: docs.github.com, "Rate limits for the REST API"; shapes seen in the wild.
    """
    if status not in {403, 429}:
        return None
    after = retry_after(headers, now)
    if after is not None:
        return max(after, LEAST_WAIT)
    if headers.get("x-ratelimit-remaining") == "0":
        left = until_reset(headers, now)
        return UNSAID if left is None else max(left, 0) + LEAST_WAIT
    return UNSAID if status == 429 or is_secondary(body) else None


def wait_for_graphql(headers: Mapping[str, str], told: object, now: float) -> float | None:
    """Give the seconds to wait when GraphQL's answer, which has status 200, is a rate limit; None when it is not one."""
    errors = told.get("errors") if isinstance(told, dict) else None
    kinds = {each.get("type") for each in errors or () if isinstance(each, dict)}
    if not kinds & {"RATE_LIMITED", "RATE_LIMIT"}:
        return None
    after = retry_after(headers, now)
    left = until_reset(headers, now) if after is None else after
    return UNSAID_WAIT if left is None else max(left, 0) + LEAST_WAIT


def is_secondary(body: str) -> bool:
    """Tell whether an answer speaks of a secondary limit, which is for all calls of whatever kind."""
    said = body.lower()
    return "secondary rate limit" in said or "abuse detection" in said


def resource(path: str) -> str:
    """Name what a call is counted under."""
    if path.endswith("/graphql"):
        return "graphql"
    return "search" if path.startswith("/search/") else "core"


def until_reset(headers: Mapping[str, str], now: float) -> float | None:
    """Give the seconds until more calls are allowed, where this was the last one; None where nothing says when."""
    reset = number(headers.get("x-ratelimit-reset"))
    return None if headers.get("x-ratelimit-remaining") != "0" or reset is None else reset - now


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Give the seconds that `Retry-After` asks for, written as a number or as a date; None where it says nothing.

    A date counts from the answer's own `Date`, where there is one: the server's clock need not be ours.
    """
    said = headers.get("retry-after", "").strip()
    if said.isdigit():
        return float(said)
    until, since = _date(said), _date(headers.get("date", ""))
    if until is None:
        return None
    return float(max(ceil(until - (now if since is None else since)), 0))


def number(text: str | None) -> float | None:
    """Read a header that holds a number; None where it does not."""
    return float(text) if text is not None and text.strip().isdigit() else None


def _date(text: str) -> float | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
