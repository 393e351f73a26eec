"""Owns who may run when in this process: lines in the order of asking, limits by queue, one at a time by partition."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import TracebackType


@dataclass(slots=True)
class _Queue:
    limit: int
    running: int = 0
    ready: deque[Place] = field(default_factory=deque)


class Slots:
    """Lets jobs in by queue: `limits` at once, and in serial queues one of a partition, in the order of `join`."""

    def __init__(self, limits: Mapping[str, int], serial: Collection[str]) -> None:
        self._queues = {name: _Queue(limit) for name, limit in limits.items()}
        self._serial = serial
        self._lines: dict[tuple[str, str], deque[Place]] = {}

    def join(self, queue: str, partition: str | None) -> Place:
        """Take the last place of the line, at once; it is left by `async with place` or by `leave`."""
        line = (queue, partition) if partition is not None and queue in self._serial else None
        place = Place(self, self._queues[queue], line)
        if line is not None:
            self._lines.setdefault(line, deque()).append(place)
        return place

    def _arrived(self, place: Place) -> None:
        if place.line is None or self._lines[place.line][0] is place:
            place.queue.ready.append(place)
            self._admit(place.queue)

    def _left(self, place: Place) -> None:
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
                place.admit()


class Place:
    """One job's place in its line; those behind it in a serial partition wait for it even before it has come."""

    def __init__(self, slots: Slots, queue: _Queue, line: tuple[str, str] | None) -> None:
        self._slots = slots
        self.queue = queue
        self.line = line
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
            self._slots._left(self)

    async def __aenter__(self) -> None:
        self.present = True
        self._slots._arrived(self)
        try:
            await self._go.wait()
        except asyncio.CancelledError:
            self.leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
