"""A process that works a store until it is killed, stopped or done; what it did to the world stands in a file."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.engine.dbos_engine import DbosEngine
from bot.engine.runner import Runner
from bot.engine.store import Commit, Delivery, NewAction, Store, TrackEvent
from bot.ports import JsonDict


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True)
class Settings:
    """What the parent asks of a child."""

    store_url: str
    engine_url: str
    effects: str
    seconds: float  # an action takes up to this long
    ttl: float = 5.0
    grace: float = 1.0


class Worker:
    """Decides and performs as simply as can be: an event asks for one action, an action reports one result."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._effects = os.open(settings.effects, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def effect(self, what: str, name: str) -> None:
        line = {"what": what, "name": name, "pid": os.getpid(), "at": time.time()}
        os.write(self._effects, json.dumps(line).encode() + b"\n")

    async def route(self, delivery: Delivery) -> Sequence[TrackEvent]:
        tracks: list[str] = json.loads(delivery.body)["tracks"]
        return [TrackEvent(track, f"{delivery.id}/{track}", {"asks": True}) for track in tracks]

    async def drain(self, args: JsonDict) -> None:
        key = str(args["track"])
        while (event := await self._store.next_event(key)) is not None:
            track = await self._store.load(key)
            seen = [*(track.state["seen"] if track else []), event.id]
            actions = (NewAction(f"act:{event.id}", "effect", {}),) if event.event["asks"] else ()
            await self._store.commit(
                Commit(key, event.id, track.version if track else 0, {"seen": seen}, actions=actions)
            )

    async def perform(self, args: JsonDict) -> None:
        row = await self._store.action(str(args["action"]))
        # `submitted` is written after the engine has the job, so a try may run while its row still says `new`.
        if row is None or row.state not in ("new", "submitted") or row.try_ != args["try"]:
            return
        self.effect("begin", row.id)
        try:
            await asyncio.sleep(random.uniform(0.5, 1.0) * self._settings.seconds)
        except asyncio.CancelledError:
            self.effect("interrupted", row.id)
            raise
        self.effect("end", row.id)
        await self._store.finish_action(row.id, TrackEvent(row.track, f"result:{row.id}", {"asks": False}))


async def work(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    clock = RealClock()
    store = await Store.open(settings.store_url, clock)
    worker = Worker(settings, store)
    engine = DbosEngine(
        settings.engine_url,
        {"track": worker.drain, "action": worker.perform},
        {"tracks": 4, "actions": 4},
        clock,
        poll=0.1,
        lease_ttl=settings.ttl,
    )
    runner = Runner(store, engine, worker.route, clock, queue_of=lambda _: "actions", poll=0.2)
    await runner.start()
    worker.effect("started", "")
    await stop.wait()
    await runner.stop(settings.grace)
    await store.close()


if __name__ == "__main__":
    asyncio.run(work(Settings(**json.loads(Path(sys.argv[1]).read_text()))))
