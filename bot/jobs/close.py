"""Owns the end of a track: proof that nothing is left, the receipt read back, the issue closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot import points
from bot.core import messages_pulls
from bot.core.actions import CloseTrack
from bot.core.budgets import Line
from bot.core.events import Closed
from bot.core.ids import Marker
from bot.core.track import Track
from bot.engine.firsts import is_first
from bot.engine.ledger import Ledger
from bot.engine.store import Store
from bot.errors import RetryableError
from bot.ports import Clock, Forge, Worktrees


@dataclass(frozen=True, slots=True)
class CloseJob:
    """Closes a track whose last task is merged."""

    store: Store
    forge: Forge
    worktrees: Worktrees
    ledger: Ledger
    clock: Clock

    async def __call__(self, track: Track, _action: CloseTrack) -> Closed:
        sessions = await self.store.sessions(track.key)
        left = [f"session {s.id}" for s in sessions if s.deleted_at is None]
        left += [f"worktree {name}" for name in self.worktrees.names(f"{track.slug}-")]
        began = datetime.fromisoformat(track.started_at.replace("Z", "+00:00"))
        body = messages_pulls.receipt(
            track,
            seconds=(self.clock.now() - began).total_seconds(),
            sessions=len(sessions) - sum(s.deleted_at is None for s in sessions),
            leftovers=left,
            costs=await self._costs(track),
        )
        first = await is_first(self.store, track, "receipt")
        await self.forge.create_comment(track.repo, track.issue, body, first=first)
        # Silence is the worst bug: the end is not reached before its comment can be read.
        if await self.forge.find_comment(track.repo, track.issue, str(Marker("receipt", track.id))) is None:
            raise RetryableError("the receipt cannot be read back yet")
        points.reached("receipt-posted")
        if track.config.close_issue:
            await self.forge.close_issue(track.repo, track.issue)
        points.reached("issue-closed")
        return Closed(leftovers=tuple(left))

    async def _costs(self, track: Track) -> Sequence[Line]:
        await self.ledger.carry(track.key, track.usage)
        return await self.ledger.lines(("role", "model"), track.key)
