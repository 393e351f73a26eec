"""Owns what a provider's refusal means: try again soon, not today, never on this key, or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from bot.core.budgets import Reset, next_reset

# again: the same call may succeed later; closed: the model cannot be used until a time; gone: not with this key.
Remedy = Literal["again", "closed", "gone", "none"]
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_SECONDS = r"[0-9]{1,7}(?:\.[0-9]{1,9})?"
OUT_OF_CREDIT = timedelta(hours=1)  # somebody may pay meanwhile


@dataclass(frozen=True, slots=True)
class Trouble:
    """A refusal, understood; `until` is when to ask again (None: nobody said, or never)."""

    remedy: Remedy
    why: str
    until: datetime | None = None


def understand(
    status: int, body: object, headers: Mapping[str, str] | None, now: datetime, reset: Reset = "utc"
) -> Trouble:
    """Read a refusal; which quota it names decides, not how short the wait is that it asks for."""
    head = {name.lower(): value for name, value in (headers or {}).items()}
    if status in {402, 429}:
        return _quota(status, _text(body), head, body, now, reset)
    if status in AGAIN:
        return Trouble("again", f"it answered {status}", _asked(head, body, now))
    return Trouble("none", f"it answered {status}")


def _quota(
    status: int, text: str, head: Mapping[str, str], body: object, now: datetime, reset: Reset
) -> Trouble:
    ids = [str(each["quotaId"]) for each in _objects(body) if "quotaId" in each]
    zero = any(str(each.get("quotaValue")) == "0" for each in _objects(body))
    if zero or re.search(r"\blimit: 0\b", text):
        return Trouble("gone", "its provider allows this key none of it (limit: 0)")
    if status == 402 or "insufficient_quota" in text:
        return Trouble("closed", "its account is out of credit", now + OUT_OF_CREDIT)
    asked = _asked(head, body, now)
    if any("PerDay" in id_ for id_ in ids) or re.search(r"per[- ]day|\bRPD\b|daily", text, re.I):
        # A provider may say "retry in 20 seconds" although the day's quota is spent.
        return Trouble("closed", "its quota of the day is used up", next_reset(reset, now))
    return Trouble("again", "its quota of the minute is used up", asked)


def _asked(head: Mapping[str, str], body: object, now: datetime) -> datetime | None:
    """Find when the provider wants to be asked again: Retry-After, RetryInfo, or when its limit is reset."""
    seconds = _retry_after(head.get("retry-after", ""), now)
    for each in _objects(body):
        found = re.fullmatch(rf"({_SECONDS})s", str(each.get("retryDelay", "")))
        if found:
            seconds = max(seconds or 0.0, float(found[1]))
    if seconds is not None:
        return now + timedelta(seconds=seconds)
    inner = [each for each in _objects(body) if "X-RateLimit-Reset" in each]
    stamp = str(inner[0]["X-RateLimit-Reset"]) if inner else head.get("x-ratelimit-reset", "")
    if re.fullmatch(r"[0-9]{10}|[0-9]{13}", stamp):  # seconds or milliseconds since 1970
        return max(now, datetime.fromtimestamp(int(stamp[:10]), UTC) + timedelta(seconds=1))
    return None


def _retry_after(value: str, now: datetime) -> float | None:
    """Read the header: seconds or an HTTP date."""
    if re.fullmatch(_SECONDS, value.strip()):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


def _objects(body: object) -> Iterator[Mapping[str, Any]]:
    """Go through every object of an answer, whatever its shape."""
    if isinstance(body, Mapping):
        yield body
        for value in body.values():
            yield from _objects(value)
    elif isinstance(body, list):
        for value in body:
            yield from _objects(value)


def _text(body: object) -> str:
    return body if isinstance(body, str) else json.dumps(body, default=str)
