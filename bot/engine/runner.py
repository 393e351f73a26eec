"""Owns the loop that turns rows into jobs: deliveries to events, events to track jobs, outbox rows to action jobs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from bot import points
from bot.engine.beside import MOST, Ask, AsksFirstError, Beside
from bot.engine.rows import Delivery, OutboxRow, TrackEvent
from bot.engine.store import Store
from bot.errors import RetryableError
from bot.ports import Clock, Engine, JobStatus

log = logging.getLogger(__name__)

Route = Callable[[Delivery], Awaitable[Sequence[TrackEvent]]]

BATCH = 200
RESCAN_SECONDS = 60.0
ERROR_PAUSE_SECONDS = 1.0
TRACKS_QUEUE = "tracks"


class RunningEngine(Engine, Protocol):
    """The port, and how it is started and stopped."""

    async def start(self) -> None: ...

    async def stop(self, grace: float) -> None: ...


class Runner:
    """Submits what is due, at once when woken and else by a poll; every id is derived, so a crash repeats nothing.

    `timeout_of` gives the seconds after which a job of a queue counts as stuck; it is interrupted and tried again.
    """

    def __init__(
        self,
        store: Store,
        engine: RunningEngine,
        route: Route,
        clock: Clock,
        *,
        queue_of: Callable[[str], str],
        timeout_of: Callable[[str], float | None] = lambda _: None,
        poll: float = 1.0,
        most_asked: int = MOST,
    ) -> None:
        self._store = store
        self._engine = engine
        self._route = route
        self._clock = clock
        self._queue_of = queue_of
        self._timeout_of = timeout_of
        self._poll = poll
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        # Deliveries not routable yet: how often tried, when again.
        self._waiting: dict[str, tuple[int, float]] = {}
        self._beside = Beside(self._route_beside, self._wait, self.wake, most_asked)
        self._submitted: dict[str, str] = {}  # track -> what its last job was started for

    @property
    def engine(self) -> Engine:
        return self._engine

    async def start(self) -> None:
        """Start the engine, then the loop."""
        await self._engine.start()
        self._store.on_change(self.wake)
        self._loop = asyncio.create_task(self._run(), name="runner")

    async def stop(self, grace: float = 8.0) -> None:
        """Submit nothing more, give running jobs `grace` seconds, then interrupt them; they go on after a restart."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait({self._loop}, timeout=grace)
            self._loop = None
        await self._beside.stop(grace)
        await self._engine.stop(grace)

    def wake(self) -> None:
        """Look at once; call it on the event loop."""
        self._wake.set()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop()
        rescan_at = clock.time()
        while True:
            try:
                if clock.time() >= rescan_at:
                    await self._rescan()
                    rescan_at = clock.time() + RESCAN_SECONDS
                if not await self._round():
                    await self._pause()
            # The loop is the one thing that must not end: whatever failed is tried again with the next round.
            except Exception:
                log.exception("runner_round_failed")
                await asyncio.sleep(ERROR_PAUSE_SECONDS)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._poll):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _round(self) -> bool:
        """Do what is due; True where there may be more."""
        self._wake.clear()
        fired = await self._store.fire_timers(self._clock.now())
        most = min(BATCH, self._beside.room())
        deliveries = await self._store.pending_deliveries(most, self._put_off()) if most else []
        for delivery in deliveries:
            await self._route_one(delivery)
        await self._submit_tracks()
        actions = await self._store.unsubmitted(self._clock.now(), BATCH)
        for row in actions:
            await self._submit_action(row)
        return bool(fired) or len(deliveries) == BATCH or len(actions) == BATCH

    def _put_off(self) -> list[str]:
        """List the deliveries that it is too early to try again, or that are asked about; those behind them go on."""
        now = self._clock.now().timestamp()
        # What has been due for long was routed by another process.
        self._waiting = {id_: one for id_, one in self._waiting.items() if one[1] > now - RESCAN_SECONDS}
        return [*self._beside.ids(), *(id_ for id_, (_, again) in self._waiting.items() if again > now)]

    async def _route_one(self, delivery: Delivery) -> None:
        try:
            await self._route_by(delivery, lambda: self._route(delivery))
        except AsksFirstError as asks:
            self._beside.add(delivery, asks)

    async def _route_by(self, delivery: Delivery, route: Ask) -> float | None:
        """Route a delivery; gives the seconds until it is tried again where that cannot be done now."""
        try:
            events = await route()
        except AsksFirstError:
            raise
        except RetryableError as error:
            tries, _ = self._waiting.get(delivery.id, (0, 0.0))
            wait = error.after or min(self._poll * 2 ** min(tries, 10), RESCAN_SECONDS)
            log.warning("delivery_waits id=%s seconds=%.1f error=%s", delivery.id, wait, error)
            self._wait(delivery, wait)
            return wait
        except Exception as error:  # an outermost edge: what cannot be routed is kept and named
            # One delivery that cannot be understood must not hold up those behind it.
            log.exception("delivery_rejected id=%s event=%s", delivery.id, delivery.event)
            await self._store.reject(delivery.id, f"{type(error).__name__}: {error}")
        else:
            await self._store.route(delivery.id, events)
        self._waiting.pop(delivery.id, None)
        return None

    async def _route_beside(self, delivery: Delivery, ask: Ask) -> float | None:
        """Route what was asked about, beside the loop; like the loop itself, this must not end over what failed."""
        try:
            return await self._route_by(delivery, ask)
        except Exception:
            log.exception("delivery_not_routed id=%s", delivery.id)
            self._wait(delivery, ERROR_PAUSE_SECONDS)
            return ERROR_PAUSE_SECONDS

    def _wait(self, delivery: Delivery, seconds: float) -> None:
        tries, _ = self._waiting.get(delivery.id, (0, 0.0))
        self._waiting[delivery.id] = (tries + 1, self._clock.now().timestamp() + seconds)

    async def _submit_tracks(self) -> None:
        waiting = await self._store.tracks_with_events()
        for track, mark in waiting:
            if self._submitted.get(track) != mark:
                await self._submit_track(track, f"track:{track}:{mark}")
                self._submitted[track] = mark
        for track in self._submitted.keys() - {track for track, _ in waiting}:
            del self._submitted[track]

    async def _submit_track(self, track: str, job: str) -> None:
        await self._engine.submit(
            "track",
            job,
            {"track": track},
            queue=TRACKS_QUEUE,
            partition=track,
            timeout=self._timeout_of(TRACKS_QUEUE),
        )

    async def _submit_action(self, row: OutboxRow) -> None:
        queue = self._queue_of(row.kind)
        await self._engine.submit(
            "action",
            row.job_id,
            {"action": row.id, "try": row.try_},
            queue=queue,
            partition=row.track,
            timeout=self._timeout_of(queue),
        )
        points.reached("engine-submitted")
        # After the engine has it: a crash in between submits the same id again, which is left alone.
        await self._store.mark_submitted(row.id, row.try_)

    async def _rescan(self) -> None:
        """Start again what the engine lost, failed or ended without a result."""
        after = 0
        while rows := await self._store.submitted(BATCH, after):
            for row in rows:
                status = await self._engine.status(row.job_id)
                if _ended(status):
                    await self._store.resubmit(row.id, row.try_, f"its job was {status or 'lost'}")
            after = rows[-1].seq
        for track, mark in await self._store.tracks_with_events():
            await self._restart_track(track, mark)

    async def _restart_track(self, track: str, mark: str) -> None:
        """Submit a track's job under the next id where the last one ended and left events behind."""
        key = f"drain:{track}"
        known, _, tries = (await self._store.get_id(key) or "").partition(".")
        again = int(tries) if known == mark else 0
        job = f"track:{track}:{mark}" + (f".{again}" if again else "")
        if _ended(status := await self._engine.status(job)) and status is not None:
            await self._store.put_id(key, f"{mark}.{again + 1}")
            await self._submit_track(track, f"track:{track}:{mark}.{again + 1}")


def _ended(status: JobStatus | None) -> bool:
    return status not in ("waiting", "running")
