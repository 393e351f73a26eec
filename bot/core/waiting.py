"""Owns what people read of steps that wait for the forge or for a model's provider: why, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

LIMIT = "GitHub's rate limit"  # how an action's stored reason begins when this is what it waits for
PROVIDER = "the model's provider"
AT_LEAST = timedelta(seconds=10)  # what is over sooner is not worth a word

Steps = Iterable[tuple[str | None, datetime | None]]  # reasons and times of what is put off


def reason(error: str, what: str = LIMIT) -> str:
    """Give the reason to store of a step that was put off until others let it go on."""
    return f"{what}: {error}"


def waits_for(error: str | None) -> str:
    """Tell what of these a stored reason waits for; "" where it is another reason."""
    return next((what for what in (LIMIT, PROVIDER) if (error or "").startswith(what)), "")


def told(steps: Steps, now: datetime) -> str:
    """Say for what is waited and until when the last of it goes on, Markdown; "" where nothing waits."""
    newest: dict[str, datetime] = {}
    for error, when in steps:
        if (what := waits_for(error)) and when is not None and when > now:
            newest[what] = max(when, newest.get(what, when))
    return " ".join(
        f"**Waits for {what}** until {clock(newest[what], now)}. Nothing is lost, and it goes on by itself."
        for what in sorted(newest)
    )


def clock(when: datetime, now: datetime) -> str:
    """Write a time to the minute that it is over by, with its day where that is another one."""
    over = when + timedelta(seconds=59)
    return f"{over:%H:%M} UTC" if over.date() == now.date() else f"{over:%Y-%m-%d %H:%M} UTC"
