"""Owns what is known of a provider that did not answer well, in words that decisions can be made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

# auth: no key, or a refused one; quota: no more for now; down: it does not work; asked: what was asked is no good.
Kind = Literal["auth", "quota", "down", "asked"]

_AUTH = frozenset({401, 403})
_QUOTA = frozenset({402, 429})
_LONGEST = 7 * 24 * 3600.0
_NAMED: Mapping[str, tuple[int, Kind]] = {
    "rate_limit_error": (429, "quota"),
    "rate_limit_exceeded": (429, "quota"),
    "insufficient_quota": (429, "quota"),
    "RESOURCE_EXHAUSTED": (429, "quota"),
    "authentication_error": (401, "auth"),
    "permission_error": (403, "auth"),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """The last answer of a provider, where it was none of success; 503 where there was none."""

    status: int
    kind: Kind
    after: float | None = None  # seconds until it takes calls again, where it said so


def trouble_of(status: int, retry_after: str | None, now: datetime) -> Trouble:
    """Tell the kind of trouble by a status; `retry_after` is the header's text, seconds or a date."""
    if status in _AUTH:
        kind: Kind = "auth"
    elif status in _QUOTA:
        kind = "quota"
    else:
        kind = "down" if status >= 500 or status in {408, 425} or status < 400 else "asked"
    return Trouble(status, kind, _seconds(retry_after, now))


def trouble_named(name: str) -> Trouble:
    """Tell the kind of trouble by the error that an answer ended with, which had begun well."""
    status, kind = _NAMED.get(name, (503, "down"))
    return Trouble(status, kind)


def _seconds(text: str | None, now: datetime) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(seconds, 0.0), _LONGEST) if math.isfinite(seconds) else None
