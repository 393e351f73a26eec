"""Owns the order of roles: who may do what others may do too."""

from __future__ import annotations

from bot.core.values import ROLES, Role


def allows(role: Role, needed: Role) -> bool:
    """Say whether somebody with `role` may do what needs `needed`."""
    return ROLES.index(role) >= ROLES.index(needed)
