"""The forge's time: UTC, to the second, in GitHub's spelling."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class Clock:
    """Tells the time; a test hands in its own `tell`."""

    def __init__(self, tell: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._tell = tell

    def now(self) -> datetime:
        """The current moment, in UTC."""
        return self._tell()

    def text(self, after: timedelta = timedelta(0)) -> str:
        """The current moment, or one after it, as every answer spells it."""
        return (self._tell() + after).strftime(FORMAT)
