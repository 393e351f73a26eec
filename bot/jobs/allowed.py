"""Owns the most that one run may cost and use: by its role, and by how much more than usual people allow its track."""

from __future__ import annotations

from collections.abc import Mapping

from bot.core.config import Budget
from bot.core.routing import CLASSES, Role
from bot.core.track import Track
from bot.gateway.limits import CODING, PLANNING, Most

_MOST: Mapping[Role, Most] = {
    "planning": PLANNING,
    "backlog": Most(1.0, 200_000),
    **dict.fromkeys(CLASSES, CODING),
}


def most(track: Track, role: Role) -> Most:
    """Give the most of a run; it rises with the track's ceiling, and a lowered ceiling lowers no run.

    Where no money is usual, the ceiling is compared with what is usual elsewhere: it raises the bound of tokens, too.
    """
    usual = track.config.budget.track_usd or Budget().track_usd
    return _MOST[role].raised(max(1.0, (track.budget_usd or 0.0) / usual))
