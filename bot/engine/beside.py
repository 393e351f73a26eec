"""Owns routing what the forge has to be asked about first: beside the loop, which waits for nobody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from bot.engine.rows import Delivery, TrackEvent

AT_ONCE = 8  # of what begins something, and as many of all else; the forge's calls have a limit of their own
MOST = 1000  # deliveries, with their bodies; the others stay in the inbox until there is room

Ask = Callable[[], Awaitable[Sequence[TrackEvent]]]


class AsksFirstError(Exception):
    """Raised by a route that cannot tell without the forge: `ask` asks and routes.

    Deliveries of the same `line` are asked about one after the other, in the order they came. What `begins` something
    has places of its own: everybody can cause the rest.
    """

    def __init__(self, line: str, ask: Ask, *, begins: bool = False) -> None:
        super().__init__(line)
        self.line, self.ask, self.begins = line, ask, begins


class Beside:
    """Keeps a task for each line that has something to ask.

    `one` routes a delivery, and gives the seconds that it has to wait where that cannot be done now; those behind it
    in its line wait as long.
    """

    def __init__(
        self,
        one: Callable[[Delivery, Ask], Awaitable[float | None]],
        put_off: Callable[[Delivery, float], None],
        done: Callable[[], None],
        most: int = MOST,
    ) -> None:
        self._one, self._put_off, self._done, self._most = one, put_off, done, most
        self._lines: dict[str, deque[tuple[Delivery, AsksFirstError]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = {begins: asyncio.Semaphore(AT_ONCE) for begins in (True, False)}

    def add(self, delivery: Delivery, error: AsksFirstError) -> None:
        """Take a delivery to the end of its line."""
        if error.line in self._lines:
            self._lines[error.line].append((delivery, error))
            return
        self._lines[error.line] = deque([(delivery, error)])
        task = asyncio.create_task(self._run(error.line), name=f"route {error.line}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def ids(self) -> list[str]:
        """List the deliveries that are here."""
        return [delivery.id for line in self._lines.values() for delivery, _ in line]

    def room(self) -> int:
        """Say how many deliveries more may come here."""
        return max(0, self._most - sum(map(len, self._lines.values())))

    async def stop(self, grace: float) -> None:
        """Interrupt all; what was not routed is still stored as it came."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=grace)

    async def _run(self, line: str) -> None:
        waiting = self._lines[line]
        try:
            await self._route(waiting)
        finally:
            del self._lines[line]
            self._done()

    async def _route(self, waiting: deque[tuple[Delivery, AsksFirstError]]) -> None:
        while waiting:
            delivery, asks = waiting[0]
            async with self._places[asks.begins]:
                wait = await self._one(delivery, asks.ask)
            waiting.popleft()
            if wait is not None:
                for delivery, _ in waiting:
                    self._put_off(delivery, wait)
                waiting.clear()
