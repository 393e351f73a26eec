"""Owns how much a permission allows: what somebody was granted less of than is wanted."""

from __future__ import annotations

from collections.abc import Mapping

_LEVELS = ("", "read", "write", "admin")


def rank(level: str | None) -> int:
    """Give how much a level allows, the more the larger; 0 for none, and for one that is not known."""
    return _LEVELS.index(level) if level in _LEVELS else 0


def lacking(has: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Give the permissions of which there is less than wanted, each with the level that is wanted."""
    return {name: level for name, level in wanted.items() if rank(has.get(name)) < rank(level)}
