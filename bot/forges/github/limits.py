"""Owns the shapes of GitHub's rate limits, which its documentation, its servers and its libraries tell differently."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import ceil

LEAST_WAIT = 1.0  # seconds; a limit whose reset has passed is over, give or take our clock
UNSAID_WAIT = 60.0  # seconds; "wait at least one minute" where no header says how long


def wait_for(status: int, headers: Mapping[str, str], body: str, now: float) -> float | None:
    """Give the seconds to wait when an answer is a rate limit, None when it is not one; `now` is a Unix time.

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
        return UNSAID_WAIT if left is None else max(left, 0) + LEAST_WAIT
    said = body.lower()
    if status == 429 or "secondary rate limit" in said or "abuse detection" in said:
        return UNSAID_WAIT
    return None


def until_reset(headers: Mapping[str, str], now: float) -> float | None:
    """Give the seconds until more calls are allowed, where this was the last one; None where nothing says when."""
    reset = _number(headers.get("x-ratelimit-reset"))
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


def covers_all(headers: Mapping[str, str]) -> bool:
    """Tell whether a limit is for all calls, not only for those of one kind, such as searches."""
    return headers.get("x-ratelimit-resource", "core") == "core" or "retry-after" in headers


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and text.strip().isdigit() else None


def _date(text: str) -> float | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
