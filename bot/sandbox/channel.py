"""Owns talking to process 1 of a box (`inside/first.py`): many commands at once over one pair of pipes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from bot import process
from bot.errors import BotError, SandboxError
from bot.ports import Completed
from bot.sandbox.inside import frames
from bot.sandbox.room import Room

_KILL_SECONDS = 8.0  # for a command's tree; more than process 1 needs at its slowest
_ORDER_SECONDS = 30.0  # for process 1 to take an order: it always reads, so one that does not is stuck
_LAST_SECONDS = 1.0  # for a child whose box has ended to end by itself
_REST_SECONDS = 20.0  # for what is left in the pipes of a command that has ended


class Channel:
    """The host's end; whatever goes wrong with the other one becomes an error of all that use it."""

    def __init__(self, child: process.Child) -> None:
        self._child = child
        self._commands: dict[int, Command] = {}
        self._last = 0
        self._ready = asyncio.Event()
        self._errors = process.Tail(1 << 14)
        self._problem = ""
        self._kind: type[BotError] = SandboxError
        self._tasks = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(process.drain(child.stderr, self._errors)),
        ]

    async def begin(self, timeout: float) -> None:
        """Wait until the other end is there; SandboxError with what it said where it is not."""
        try:
            async with asyncio.timeout(timeout):
                await self._ready.wait()
        except TimeoutError:
            self._broken("the box did not start in time")
        self.check()

    def watch(self, room: Room) -> None:
        """End the box where it leaves too little room on the disk that it writes to."""
        self._tasks.append(asyncio.create_task(self._watch(room)))

    async def _watch(self, room: Room) -> None:
        await self.lose(*await room.gone())

    def check(self) -> None:
        """Raise SandboxError where the box is lost, OutOfRoomError where that is its own failure."""
        if self._problem:
            raise self._kind(self._problem)

    async def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        timeout: float,
        cap: int,
        on_line: process.OnLine | None,
        stdin: bytes,
    ) -> Completed:
        """Run a command to its end; whatever it leaves running is dead then, as after the time-out."""
        started = time.monotonic()
        tail = process.Tail(cap)
        async with self.command(argv, env, merge=True) as command:
            tasks = [
                asyncio.create_task(process.drain(command.stdout, tail, on_line)),
                asyncio.create_task(command.feed(stdin)),
            ]
            try:
                code = await process.settle(command, tasks, timeout, rest=_REST_SECONDS)
            finally:
                try:
                    await command.stop()
                finally:
                    await process.end(tasks)
        return Completed(code, tail.bytes().decode("utf-8", "replace"), time.monotonic() - started)

    @asynccontextmanager
    async def command(
        self, argv: Sequence[str], env: Mapping[str, str], *, merge: bool = False
    ) -> AsyncIterator[Command]:
        """Start a command and lend it; at the end its whole tree is dead, or the box is, which is a SandboxError."""
        self.check()
        texts = [*argv, *(f"{name}={value}" for name, value in env.items())]
        if not argv or any("\0" in text for text in texts):
            raise process.ProcessError("A command needs arguments without null characters.")
        self._last += 1
        command = self._commands[self._last] = Command(self, self._last)
        try:
            body = frames.ORDER.pack(merge, len(argv)) + "\0".join(texts).encode("utf-8", "surrogateescape")
            await self.send(frames.START, command.number, body)
            yield command
        finally:
            await command.stop()

    async def send(self, kind: int, number: int, body: bytes = b"") -> None:
        """Send a frame; SandboxError where it is too long, or where nobody takes it any more, which ends the box."""
        if len(body) > frames.LARGEST:
            raise SandboxError("A command's arguments and environment are too long for a box.")
        try:
            async with asyncio.timeout(_ORDER_SECONDS):
                await self._child.feed(frames.HEAD.pack(kind, number, len(body)) + body, close=False)
        except TimeoutError:
            await self.lose("A box took no orders any more, so it was ended.")
            self.check()

    async def forget(self, number: int) -> None:
        if self._commands.pop(number, None) is not None and not self._problem:
            await self.send(frames.FORGET, number)

    async def lose(self, problem: str, kind: type[BotError] = SandboxError) -> None:
        """Give up on the box: end it, and tell everybody."""
        self._broken(problem, kind)
        await self._child.kill()

    async def close(self, end: Callable[[], Awaitable[list[int]]] | None = None) -> list[int]:
        """End the box, by `end` where there is a better way than to kill the child; gives what still lives of it."""
        self._broken("the box is closed")
        left = []
        try:
            if end is not None:
                left = await end()
                await self._child.wait(_LAST_SECONDS)
        finally:
            left += await self._child.stop()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        return left

    def _broken(self, problem: str, kind: type[BotError] = SandboxError) -> None:
        if not self._problem:
            self._problem, self._kind = problem, kind
        self._ready.set()
        for command in self._commands.values():
            command.lost()

    async def _listen(self) -> None:
        """Take frames until the end; what is no frame of the protocol is the end, too."""
        received = bytearray()
        try:
            while data := await self._child.stdout.read(1 << 16):
                received += data
                while len(received) >= frames.HEAD.size:
                    kind, number, length = frames.HEAD.unpack_from(received)
                    if length > frames.CHUNK:
                        raise ValueError("a frame is too long")
                    whole = frames.HEAD.size + length
                    if len(received) < whole:
                        break
                    self._take(kind, number, bytes(received[frames.HEAD.size : whole]))
                    del received[:whole]
        except ValueError as error:
            await self.lose(f"The box broke its protocol: {error}")
        await asyncio.wait({self._tasks[1]}, timeout=0.5)
        said = self._errors.bytes().decode("utf-8", "replace").strip()[-500:]
        self._broken(f"The box ended by itself{f': {said}' if said else ''}")

    def _take(self, kind: int, number: int, body: bytes) -> None:
        if kind == frames.READY:
            self._ready.set()
            return
        if not 0 < number <= self._last:
            raise ValueError(f"nobody asked for command {number}")
        if (command := self._commands.get(number)) is not None:
            command.take(kind, body)


class _Stream:
    """What a command says, as it comes; only a window of it is on its way before it is read."""

    def __init__(self, more: Callable[[int], None]) -> None:
        self._more = more
        self._held = bytearray()
        self._window = frames.WINDOW
        self._read = 0
        self._ended = False
        self._news = asyncio.Event()

    async def read(self, most: int, /) -> bytes:
        """Read at most so many bytes; empty at the end."""
        while not self._held and not self._ended:
            self._news.clear()
            await self._news.wait()
        data = bytes(self._held[:most])
        del self._held[:most]
        self._read += len(data)
        if self._read >= frames.WINDOW // 2 and not self._ended:
            self._window += self._read
            self._more(self._read)
            self._read = 0
        return data

    def put(self, data: bytes) -> None:
        self._window -= len(data)
        if self._window < 0:
            raise ValueError("more was said than was asked for")
        self._held += data
        self._news.set()

    def finish(self) -> None:
        self._ended = True
        self._news.set()


class Command:
    """A command in a box: as a child process of the host's, but that its tree can be proved dead."""

    def __init__(self, channel: Channel, number: int) -> None:
        self.number = number
        self.stdout = _Stream(lambda count: self._ask_more(frames.MORE_OUT, count))
        self.stderr = _Stream(lambda count: self._ask_more(frames.MORE_ERR, count))
        self._channel = channel
        self._window = frames.WINDOW
        self._taken = asyncio.Event()
        self._over = asyncio.Event()
        self._code: int | None = None
        self._asking: set[asyncio.Task[None]] = set()

    async def feed(self, data: bytes, *, close: bool = True) -> None:
        """Write to standard input; a command that does not read to the end is no error."""
        left = memoryview(data)
        while left and not self._over.is_set():
            if self._window <= 0:
                self._taken.clear()
                await self._taken.wait()
                continue
            part = left[: min(self._window, frames.CHUNK)]
            left = left[len(part) :]
            self._window -= len(part)
            await self._channel.send(frames.INPUT, self.number, bytes(part))
        if close and not self._over.is_set():
            await self._channel.send(frames.INPUT_END, self.number)

    async def wait(self, timeout: float) -> int | None:
        """Wait for its end, and that of all that it started, and give its code; None after `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._over.wait()
        if self._over.is_set() and self._code is None:
            self._channel.check()
        return self._code

    async def kill(self) -> list[int]:
        """Kill the whole tree; where that cannot be proved the box is ended, which is a SandboxError."""
        if not self._over.is_set():
            await self._channel.send(frames.KILL, self.number)
            if await self.wait(_KILL_SECONDS) is None:
                await self._channel.lose("A command in a box could not be ended, so its box was.")
                self._channel.check()
        return []

    async def stop(self) -> list[int]:
        """End the command if it still runs, and let go of it."""
        try:
            if not self._over.is_set():
                await self.kill()
        finally:
            await self._channel.forget(self.number)
        return []

    def take(self, kind: int, body: bytes) -> None:
        """Take a frame about it; ValueError where it is none."""
        if kind == frames.OUT:
            self.stdout.put(body)
        elif kind == frames.ERR:
            self.stderr.put(body)
        elif kind == frames.OUT_END:
            self.stdout.finish()
        elif kind == frames.ERR_END:
            self.stderr.finish()
        elif kind in {frames.TAKEN, frames.EXIT} and len(body) == frames.NUMBER.size:
            (number,) = frames.NUMBER.unpack(body)
            if kind == frames.EXIT:
                self._code = number
                self._end()
            else:
                self._window += number
                self._taken.set()
        else:
            raise ValueError(f"a frame of kind {kind}")

    def lost(self) -> None:
        """The box is gone: nothing more comes."""
        self.stdout.finish()
        self.stderr.finish()
        self._end()

    def _end(self) -> None:
        self._over.set()
        self._taken.set()

    def _ask_more(self, kind: int, count: int) -> None:
        task = asyncio.create_task(self._channel.send(kind, self.number, frames.NUMBER.pack(count)))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
