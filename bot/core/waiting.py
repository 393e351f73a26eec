"""Owns what people read of steps that wait for the forge: why, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

LIMIT = "GitHub's rate limit"  # how an action's stored reason begins when this is what it waits for
AT_LEAST = timedelta(seconds=10)  # what is over sooner is not worth a word


def reason(error: str) -> str:
    """Give the reason to store of a step that was put off by a limit."""
    return f"{LIMIT}: {error}"


def is_limit(error: str | None) -> bool:
    """Tell whether a stored reason is the limit."""
    return (error or "").startswith(LIMIT)


def until(steps: Iterable[tuple[str | None, datetime | None]], now: datetime) -> datetime | None:
    """Give when the last of the steps goes on that wait for the limit, by reason and time; None where none does."""
    found = [when for error, when in steps if is_limit(error) and when is not None and when > now]
    return max(found, default=None)


def limited(when: datetime | None) -> str:
    """Say until when the limit is waited for, Markdown; "" where nothing waits for it."""
    return (
        ""
        if when is None
        else f"**Waits for {LIMIT}** until {clock(when)}. Nothing is lost, and it goes on by itself."
    )


def clock(when: datetime) -> str:
    """Write a time of this day, to the minute that it is over by."""
    return f"{when + timedelta(seconds=59):%H:%M} UTC"
