"""The order of roles."""

from __future__ import annotations

from bot.core.roles import allows
from bot.core.values import ROLES


def test_a_role_allows_its_own_and_everything_below() -> None:
    for place, role in enumerate(ROLES):
        assert [allows(role, needed) for needed in ROLES] == [n <= place for n in range(len(ROLES))]
