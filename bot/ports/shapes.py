"""Owns what ports of every kind share: JSON objects and the clock."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

JsonDict = dict[str, Any]


class Clock(Protocol):
    """The time; settable in tests."""

    def now(self) -> datetime:
        """Give the time, aware, in UTC."""
