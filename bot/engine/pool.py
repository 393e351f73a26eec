"""Owns who may run when in this process: lines in the order of asking, limits by queue, one at a time by partition."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType

from bot.errors import RetryableError


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why nothing is happening: who waits in which line, how many come before it, and how many may run at once."""

    queue: str
    name: str
    ahead: int
    limit: int


@dataclass(slots=True)
class _Queue:
    name: str
    limit: int
    running: int = 0
    ready: deque[Place] = field(default_factory=deque)


class WorkerPool:
    """Lends the slots of this process: `limits` at once by queue, in the order of `join`.

    In queues of `serial` one of a partition at a time. Whoever has a slot has a time limit too, so lines move on.
    """

    def __init__(self, limits: Mapping[str, int], serial: Collection[str] = ()) -> None:
        self._queues = {name: _Queue(name, limit) for name, limit in limits.items()}
        self._serial = serial
        self._lines: dict[tuple[str, str], deque[Place]] = {}
        self._waiting: dict[Place, None] = {}  # in the order of asking

    def join(self, queue: str, partition: str | None, name: str = "") -> Place:
        """Take the last place of the line, at once; it is left by `async with place` or by `leave`."""
        line = (queue, partition) if partition is not None and queue in self._serial else None
        place = Place(self, self._queues[queue], line, name or partition or "")
        self._waiting[place] = None
        if line is not None:
            self._lines.setdefault(line, deque()).append(place)
        return place

    @asynccontextmanager
    async def lend(self, queue: str, name: str, timeout: float) -> AsyncIterator[None]:
        """Lend a slot; RetryableError, which says how many came first, where none is free for `timeout` seconds."""
        place = self.join(queue, None, name)
        try:
            async with asyncio.timeout(timeout):
                await place.__aenter__()
        except TimeoutError as error:
            raise RetryableError(
                f"no slot of `{queue}` was free for {timeout:g} s: {self._queues[queue].limit} run at once"
            ) from error
        try:
            yield
        finally:
            place.leave()

    def waiting(self) -> tuple[Waiting, ...]:
        """List who waits for a slot, longest waiting first."""
        before: dict[str, int] = {}
        found = []
        for place in self._waiting:
            queue = place.queue
            found.append(Waiting(queue.name, place.name, before.get(queue.name, 0), queue.limit))
            before[queue.name] = before.get(queue.name, 0) + 1
        return tuple(found)

    def _arrived(self, place: Place) -> None:
        if place.line is None or self._lines[place.line][0] is place:
            place.queue.ready.append(place)
            self._admit(place.queue)

    def _left(self, place: Place) -> None:
        self._waiting.pop(place, None)
        if place.admitted:
            place.queue.running -= 1
        if place.line is not None:
            line = self._lines[place.line]
            was_first = line[0] is place
            line.remove(place)
            if not line:
                del self._lines[place.line]
            elif was_first and line[0].present:
                place.queue.ready.append(line[0])
        self._admit(place.queue)

    def _admit(self, queue: _Queue) -> None:
        while queue.ready and queue.running < queue.limit:
            place = queue.ready.popleft()
            if not place.gone:
                queue.running += 1
                self._waiting.pop(place, None)
                place.admit()


class Place:
    """One job's place in its line; those behind it in a serial partition wait for it even before it has come."""

    def __init__(self, pool: WorkerPool, queue: _Queue, line: tuple[str, str] | None, name: str) -> None:
        self._pool = pool
        self.queue = queue
        self.line = line
        self.name = name
        self.present = False
        self.admitted = False
        self.gone = False
        self._go = asyncio.Event()

    def admit(self) -> None:
        self.admitted = True
        self._go.set()

    def leave(self) -> None:
        """Give the place up, whether it was waiting, running or had not come; twice is harmless."""
        if not self.gone:
            self.gone = True
            self._pool._left(self)

    async def __aenter__(self) -> None:
        self.present = True
        self._pool._arrived(self)
        try:
            await self._go.wait()
        except asyncio.CancelledError:
            self.leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
