"""Owns what one installation may still do: the distance of its writes, its pauses, and what is left of its quota.

GitHub counts by installation and by resource (`core`, `graphql`, `search`); a secondary limit is for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from bot import urgency
from bot.errors import LimitedError
from bot.forges.github.limits import UNSAID_WAIT, number
from bot.ports import Quota

RESERVE = 0.1  # of the limit: below it nothing travels that can wait
LONGEST_UNSAID = 960.0  # seconds; "exponentially increasing" where no header says how long
QUIET = (
    900.0  # seconds after such a pause without another one; a good answer alone may be to what is not limited
)
SAME_WINDOW = 60.0  # seconds by which resets of one window may differ
ALL = ""  # stands for every resource


class Lane:
    """One installation, or the App itself (0); `now` gives the time of the forge's resets, `monotonic` that of pauses."""

    def __init__(
        self,
        installation: int,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._installation = installation
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = asyncio.Lock()
        self._free_at = 0.0
        self._silent_until: dict[str, float] = {}
        self._strikes = 0  # pauses of unsaid length, one soon after the other
        self._unsaid_until = -QUIET
        self._quotas: dict[str, Quota] = {}

    @property
    def quotas(self) -> list[Quota]:
        """Give what the last answers said is left, by resource; nothing where the forge has no limits."""
        return [self._quotas[resource] for resource in sorted(self._quotas)]

    async def turn(self, gap: float) -> None:
        """Wait until a write may follow the last one."""
        async with self._lock:
            now = self._monotonic()
            if self._free_at > now:
                await self._sleep(self._free_at - now)
            self._free_at = max(now, self._free_at) + gap

    def silence(self, resource: str, seconds: float) -> None:
        """Let nothing of a resource (ALL: nothing at all) travel for so long: who goes on asking is shut out."""
        until = self._monotonic() + seconds
        self._silent_until[resource] = max(self._silent_until.get(resource, 0.0), until)

    def unsaid(self) -> float:
        """Give the seconds to wait after a limit that names none: a minute, and twice as long each time it comes again."""
        now = self._monotonic()
        if now >= self._unsaid_until:  # those that were under way together were refused for one reason
            self._strikes = 1 if now >= self._unsaid_until + QUIET else self._strikes + 1
        wait = float(min(UNSAID_WAIT * 2.0 ** (self._strikes - 1), LONGEST_UNSAID))
        self._unsaid_until = max(self._unsaid_until, now + wait)
        return wait

    def heard(self, resource: str, headers: Mapping[str, str]) -> None:
        """Take over what a good answer says is left."""
        limit, left = number(headers.get("x-ratelimit-limit")), number(headers.get("x-ratelimit-remaining"))
        reset = number(headers.get("x-ratelimit-reset"))
        if limit is None or left is None or reset is None:
            return
        told = Quota(self._installation, resource, int(limit), int(left), datetime.fromtimestamp(reset, UTC))
        known = self._quotas.get(resource)
        if known is not None and known.resets_at > self._now():
            later = (told.resets_at - known.resets_at).total_seconds()
            # Answers overtake one another: of one window the lowest figure is the newest.
            if later < -SAME_WINDOW or (later <= SAME_WINDOW and told.remaining > known.remaining):
                return
        self._quotas[resource] = told

    def check(self, resource: str, where: str) -> None:
        """Raise LimitedError, with how long to wait, where another call was limited, or where this one can wait."""
        left = max(self._left(ALL), self._left(resource))
        if left > 0:
            raise LimitedError(f"{where}: the forge asked for a pause", left)
        known = self._quotas.get(resource)
        if known is None or not urgency.waits() or known.remaining >= RESERVE * known.limit:
            return
        wait = (known.resets_at - self._now()).total_seconds()
        if wait > 0:
            kept = f"{known.remaining:,} of {known.limit:,} calls are left, and kept for what people wait for"
            raise LimitedError(f"{where}: {kept}", wait + 1)

    def _left(self, resource: str) -> float:
        return self._silent_until.get(resource, 0.0) - self._monotonic()
