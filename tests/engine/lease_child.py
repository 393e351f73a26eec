"""A process that works some tracks whose tasks want the same paths; what it held when stands in a file."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.core.leases import Lease
from bot.engine.store import Commit, Store, TrackEvent
from bot.ports import JsonDict

FREED: JsonDict = {"kind": "freed"}


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Worker:
    """Holds `path` of each track once for a while, and waits to be told where another has it."""

    store: Store
    effects: int
    checks: bool = True  # without it a decision is stored whatever others hold by then

    async def work(self, track: str, path: str) -> None:
        await self.store.add_event(track, f"begin:{track}", {"kind": "begin"})
        while (await self._state(track))[0] != "done":
            event = await self.store.next_event(track)
            if event is None:
                await asyncio.sleep(0.005)
            elif await self._decide(track, path, event) == "holding":
                await self._hold(track, path)

    async def _state(self, track: str) -> tuple[str, int]:
        stored = await self.store.load(track)
        return (stored.status, stored.version) if stored else ("new", 0)

    async def _decide(self, track: str, path: str, event: TrackEvent) -> str | None:
        """Take the path, wait for it or give it back; None where the decision has to be made again or changed nothing."""
        before, version = await self._state(track)
        seen = await self.store.others_leases(track)
        taken = any(path in lease.paths for lease in seen.leases)
        state = before
        if event.event["kind"] == "over":
            state = "done"
        elif before in {"new", "waiting"}:
            state = "waiting" if taken else "holding"
        await asyncio.sleep(random.uniform(0, 0.005))
        task = f"{track.partition('/')[2]}/T-1"
        now = seen if self.checks else await self.store.others_leases(track)
        saved = await self.store.commit(
            Commit(
                track,
                event.id,
                version,
                {"state": state},
                state,
                state != "done",
                leases=(Lease(task, (path,)),) if state == "holding" else (),
                leases_seen=now.version,
                waits=state == "waiting",
                freed=FREED,
            )
        )
        return state if saved and state != before else None

    async def _hold(self, track: str, path: str) -> None:
        self._effect("begin", path)
        await asyncio.sleep(random.uniform(0.005, 0.02))
        self._effect("end", path)
        await self.store.add_event(track, f"over:{track}", {"kind": "over"})

    def _effect(self, what: str, path: str) -> None:
        line = {"what": what, "path": path, "at": time.time()}
        os.write(self.effects, json.dumps(line).encode() + b"\n")


async def work(url: str, effects: str, tracks: dict[str, str], checks: bool = True) -> None:
    store = await Store.open(url, RealClock())
    out = os.open(effects, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        worker = Worker(store, out, checks)
        async with asyncio.timeout(90):
            await asyncio.gather(*(worker.work(track, path) for track, path in tracks.items()))
    finally:
        os.close(out)
        await store.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
