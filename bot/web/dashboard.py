"""Owns the page at `/`: how safe agents are kept here, whether the parts answer, and how much is at work.

Anybody who reaches the port can read it, so it names no repository and no person.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.responses import HTMLResponse

from bot import __version__
from bot.web.setup_pages import page

_MEANINGS = {
    "strong": "Each agent and each test run has a box of its own, whose memory and processes are bounded as a whole.",
    "medium": "Each agent and each test run has a box of its own, whose processes are bounded one by one.",
    "none": "Agents and tests run with the bot's own rights: whatever a repository says to do is done on this machine.",
}
_SHOWN = {
    "deliveries": "deliveries to be read",
    "events": "events to be decided on",
    "submitted": "steps at work or in a queue",
    "timers": "waits with an end",
    "sessions": "sessions of agents",
}


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page shows: a sandbox's level and the name of its back end, each part's `ok` or trouble, and counts."""

    level: str
    back_end: str
    parts: Mapping[str, str]
    counts: Mapping[str, int]


async def dashboard(look: Callable[[], Awaitable[Overview]]) -> HTMLResponse:
    """Give the page as things are now."""
    seen = await look()
    work = {label: seen.counts[name] for name, label in _SHOWN.items() if name in seen.counts}
    return page(
        "dashboard.html",
        seen=seen,
        meaning=_MEANINGS.get(seen.level, ""),
        work=work,
        version=__version__,
        refresh=30,
    )
