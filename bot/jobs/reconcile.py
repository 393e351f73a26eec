"""Owns closing gaps: deliveries that never arrived are fetched, and open tracks compared with the forge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from bot.core.events import EVENTS, PullClosed
from bot.core.track import OPEN_PULL, TRACKS, Track
from bot.core.values import Actor
from bot.engine.store import Delivery, Store
from bot.errors import BotError
from bot.ports import Clock, FailedDelivery, Forge

_log = structlog.get_logger(__name__)

# GitHub keeps deliveries for three days, and never repeats one by itself.
KEPT = timedelta(days=3)
OVERLAP = timedelta(minutes=10)  # an attempt under way when one sweep looked is seen by the next
EVERY = (1.0, 5.0, 30.0, 300.0, 3600.0)  # seconds between sweeps: quick after a start, then hourly
LAST = "reconcile:last"


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Sweeps soon after a start, when most is lost, and every hour after that."""

    store: Store
    forge: Forge
    clock: Clock
    recall: Callable[[], Awaitable[None]] | None = None  # looks for tracks that the database has lost

    async def run(self) -> None:
        """Sweep for ever; a sweep that fails is only logged, the next one does its work."""
        for sweep, wait in enumerate((*EVERY, *([EVERY[-1]] * 1_000_000))):
            await asyncio.sleep(wait)
            try:
                await self.sweep(tracks=sweep == 0 or wait >= EVERY[-1])
            except BotError as error:
                _log.warning("sweep_failed", error=str(error))
            except Exception:  # noqa: BLE001 - the outermost edge: sweeping must not end before the bot does
                _log.exception("sweep_crashed")

    async def sweep(self, *, tracks: bool) -> None:
        """Fetch lost deliveries and, with `tracks`, look at what open tracks wait for."""
        began = self.clock.now()
        if self.recall is not None:
            await self.recall()
        last = await self.store.get_id(LAST)
        since = datetime.fromisoformat(last) - OVERLAP if last else began - KEPT
        for lost in await self.forge.failed_deliveries(since):
            if not await self.store.knows_delivery(lost.guid):
                await self._fetch(lost)
        if tracks:
            for stored in await self.store.all_tracks(open_only=True):
                try:
                    await self._compare(TRACKS.validate_python(stored.state), stored.version)
                except (BotError, ValueError) as error:  # one that cannot be read must not hide the others
                    _log.warning("track_not_compared", track=stored.key, error=str(error))
        await self.store.put_id(LAST, began.isoformat())

    async def _fetch(self, lost: FailedDelivery) -> None:
        payload = await self.forge.delivery_payload(lost.id)
        body = json.dumps(payload).encode()
        now = self.clock.now()
        if await self.store.add_delivery(
            Delivery(id=lost.guid, event=lost.event, headers={}, body=body, received_at=now)
        ):
            _log.info("lost_delivery_fetched", delivery=lost.guid, delivered_event=lost.event)

    async def _compare(self, track: Track, version: int) -> None:
        """Tell a track of pull requests that were closed or merged while nobody listened."""
        waiting = [task.pull for task in track.tasks if task.state in OPEN_PULL and task.pull is not None]
        if track.state in {"review", "blocked"} and track.backlog_pull is not None and not track.tasks:
            waiting.append(track.backlog_pull)
        for number in waiting:
            pull = await self.forge.pull(track.repo, number)
            if pull.state == "open":
                continue
            event = PullClosed(
                repo=track.repo,
                number=number,
                head_branch=pull.head_branch,
                head_sha=pull.head_sha,
                base_branch=pull.base_branch,
                merged=pull.merged,
                merge_sha=pull.merge_sha,
                actor=Actor(0, "somebody"),
            )
            id_ = f"reconcile/{track.key}/{number}/{version}"
            await self.store.add_event(track.key, id_, EVENTS.dump_python(event, mode="json"))
