"""Owns every child process: how it is started, what it inherits, how much it may say, and that it ends."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot import living, warden
from bot.ending import end_tree
from bot.errors import BotError
from bot.unbroken import unbroken

_SANDBOX_UID = 65532  # no account; the bot as root gives it the task folders and runs boxes as it
_CHUNK = 1 << 16
_KILL_SECONDS, _SETTLE_SECONDS = 5.0, 0.5
_WARDEN = warden.Warden()  # one for the process: what it guards against is the process's own end

OnLine = Callable[[str], Awaitable[None]]


class ProcessError(BotError):
    """A program could not be started."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a child ended: `code` is negative for a signal and None after a time-out; streams hold their last bytes."""

    code: int | None
    stdout: bytes
    stderr: bytes
    seconds: float
    truncated: bool = False


class Tail:
    """The last `cap` bytes of a stream."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._seen = 0

    @property
    def truncated(self) -> bool:
        return self._seen > self._cap

    def add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._held += len(chunk)
        self._seen += len(chunk)
        while self._held - len(self._chunks[0]) >= self._cap:
            self._held -= len(self._chunks.popleft())

    def bytes(self) -> bytes:
        return b"".join(self._chunks)[-self._cap :]


def sandbox_uid() -> int | None:
    """Give the user id that hostile children run as; None where it is the bot's own, because that is not root."""
    return _SANDBOX_UID if os.geteuid() == 0 else None


def inherited(*names: str) -> dict[str, str]:
    """Take these variables, and no others, from the bot's own environment."""
    return {name: os.environ[name] for name in names if name in os.environ}


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout: float,
    cwd: Path | None = None,
    stdin: bytes = b"",
    cap: int = 1 << 20,
    on_line: OnLine | None = None,
    sweep: bool = False,
) -> Finished:
    """Run a program to its end with exactly this environment.

    Both streams are drained and cut to their last `cap` bytes. What it leaves running is killed where it holds
    a stream open, and with `sweep` in any case. Raises ProcessError where it cannot start.
    """
    started = time.monotonic()
    out, err = Tail(cap), Tail(cap)
    child = await spawn(argv, env=env, cwd=cwd)
    tasks = [
        asyncio.create_task(drain(child.stdout, out, on_line)),
        asyncio.create_task(drain(child.stderr, err, on_line)),
        asyncio.create_task(child.feed(stdin)),
    ]
    try:
        code = await settle(child, tasks, timeout)
        if sweep:
            await child.kill()
    finally:
        try:
            await child.stop()
        finally:
            await end(tasks)
    seconds = time.monotonic() - started
    return Finished(code, out.bytes(), err.bytes(), seconds, out.truncated or err.truncated)


class Stream(Protocol):
    """What a child says."""

    async def read(self, most: int, /) -> bytes:
        """Read what is there; empty at its end."""


class Running(Protocol):
    """A started command, on this machine or in a box."""

    @property
    def stdout(self) -> Stream: ...

    @property
    def stderr(self) -> Stream: ...

    async def feed(self, data: bytes, *, close: bool = True) -> None:
        """Write to standard input; a command that does not read to the end is no error."""

    async def wait(self, timeout: float) -> int | None:
        """Wait for its own end and give its code; None after `timeout` seconds."""

    async def kill(self) -> list[int]:
        """Kill the whole tree and give the process ids that still live after it."""

    async def stop(self) -> list[int]:
        """End it if it still runs, let go of its pipes, and give the process ids that still live."""


async def settle(
    child: Running, readers: Sequence[asyncio.Task[None]], timeout: float, *, rest: float = _SETTLE_SECONDS
) -> int | None:
    """Wait for the child and the ends of its streams, and give its code; None after a time-out.

    The tree is killed on time-out, when a reader fails, and where somebody still holds a stream `rest` seconds later.
    """
    waiter = asyncio.create_task(child.wait(timeout))
    tasks: set[asyncio.Task[int | None] | asyncio.Task[None]] = {waiter, *readers}
    try:
        while not waiter.done():
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if any(task.exception() for task in done):
                break
    finally:
        waiter.cancel()
    code = waiter.result() if waiter.done() else None
    if code is None:
        await child.kill()
    _, pending = await asyncio.wait(readers, timeout=rest)
    if pending:
        await child.kill()
        await asyncio.wait(pending, timeout=_SETTLE_SECONDS)
    return code


async def end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Stop tasks that still read or write, and raise what went wrong in one that ended."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


async def drain(stream: Stream, tail: Tail, on_line: OnLine | None = None) -> None:
    """Read a stream to its end into `tail`, and hand every line on; a line longer than 64 KiB comes in parts."""
    rest = b""
    while chunk := await stream.read(_CHUNK):
        tail.add(chunk)
        if on_line is None:
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _CHUNK:
            lines, rest = [*lines, rest], b""
        for line in lines:
            await on_line(line.decode("utf-8", "replace"))
    if on_line is not None and rest:
        await on_line(rest.decode("utf-8", "replace"))


async def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    merge: bool = False,
) -> Child:
    """Start a long-lived child with pipes, in a session of its own; with `merge` both streams come as one.

    It is forked from the calling thread: bubblewrap's `--die-with-parent` ends a box with that thread.
    It does not outlive this process, however that ends: a warden sees to it.
    """
    made: list[Child] = []

    async def make() -> Child:
        made.append(await _made(argv, env, cwd, pass_fds, merge))
        return made[0]

    try:
        # Whole: asyncio, cancelled meanwhile, kills the leader alone, and waits for those that it has started.
        return await unbroken(make())
    except asyncio.CancelledError:
        for child in made:
            await child.stop()
        raise


async def _made(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path | None, fds: Sequence[int], merge: bool
) -> Child:
    try:
        _WARDEN.watch()
    except OSError as error:
        raise ProcessError(f"The warden could not be started: {error.strerror or error}") from error
    mark = f"{_WARDEN.run}.{secrets.token_hex(16)}"
    write_ends: list[int] = []
    try:
        with ExitStack() as undo:
            stdout, transport = await _pipe(write_ends, undo)
            transports = [transport]
            stderr = stdout
            if merge:
                write_ends.append(os.dup(write_ends[0]))
                undo.callback(os.close, write_ends[1])
            else:
                stderr, transport = await _pipe(write_ends, undo)
                transports.append(transport)
            process = await _start(argv, {**env, living.MARK: mark}, cwd, fds, write_ends)
            since = 0  # where it has ended already, or cannot be looked at
            with suppress(living.UnseenError):
                since = living.started(process.pid) or 0
            undo.pop_all()
    except OSError as error:
        raise ProcessError(f"`{argv[0]}` could not be started: {error.strerror or error}") from error
    for number in write_ends:
        os.close(number)
    return Child(process, stdout, stderr, transports, mark, since)


async def _start(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: Path | None,
    pass_fds: Sequence[int],
    write_ends: Sequence[int],
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=write_ends[0],
        stderr=write_ends[1],
        env=env,
        cwd=cwd,
        pass_fds=tuple(pass_fds),
        start_new_session=True,
        umask=0o022,  # sandboxes of another uid read what git writes
    )


async def _pipe(write_ends: list[int], undo: ExitStack) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    """Make a pipe of our own: asyncio's are closed only when every grandchild has let go of them."""
    read_end, write_end = os.pipe()
    write_ends.append(write_end)
    undo.callback(os.close, write_end)
    reader = asyncio.StreamReader(limit=_CHUNK)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
    )
    undo.callback(transport.close)
    return reader, transport


class Child:
    """A child process and all that it started."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
        transports: Sequence[asyncio.ReadTransport],
        mark: str,
        since: int,
    ) -> None:
        self.pid = process.pid
        self.stdout = stdout
        self.stderr = stderr
        self._process = process
        self._transports = transports
        self._mark = mark
        self._since = since

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def feed(self, data: bytes, *, close: bool = True) -> None:
        """Write to standard input; a child that does not read to the end is no error."""
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(BrokenPipeError, ConnectionResetError):
            stdin.write(data)
            await stdin.drain()
        if close:
            stdin.close()

    async def wait(self, timeout: float) -> int | None:
        """Wait for the child's own end and give its code; None after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self._process.returncode is None and (left := deadline - time.monotonic()) > 0:
            # Some Python versions wake waiters only when every pipe is closed, so look again now and then.
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, 0.25)):
                    await self._process.wait()
        return self._process.returncode

    async def kill(self) -> list[int]:
        """Kill the whole tree and give the process ids that still live after it; no cancellation breaks it off."""
        return await unbroken(end_tree(self.pid, self._mark, self._since))

    async def stop(self) -> list[int]:
        """End the child if it still runs, let go of its pipes, and give the process ids that still live.

        No cancellation breaks it off.
        """
        return await unbroken(self._stop())

    async def _stop(self) -> list[int]:
        left = await self.kill() if self._process.returncode is None else []
        await self.wait(_KILL_SECONDS)
        if self._process.stdin is not None:
            self._process.stdin.close()
        for transport in self._transports:
            transport.close()
        return left
