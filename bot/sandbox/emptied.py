"""Owns the end of a PID namespace and the proof of it: its process 1 is dead, and the kernel kills everybody in it before.

A process 1 is told dead, by the handle on it, only when all others of its namespace have been killed and reaped
(`zap_pid_ns_processes`). Where the kernel lends no handle the namespace is looked for in /proc, by its number: it is
held open until then, since the kernel gives the number of one that is no more to the next box.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from bot import living
from bot.errors import SandboxError

_SECONDS = 5.0


class Namespace:
    """One PID namespace, named as the link /proc/<pid>/ns/pid reads, with the host's number of its process 1."""

    def __init__(self, first: int, name: str) -> None:
        self._name = name
        self._problem = ""
        self._held: int | None = None  # None: it is no more
        self._handle: int | None = None
        try:
            self._held = _held(first, name)
        except OSError as error:  # told when it matters, and not in place of what went wrong before
            self._problem = f"The processes of a box cannot be looked at: {error.strerror}"
        if self._held is not None:
            self._handle = _opened(first, name)

    def check(self) -> None:
        """Raise SandboxError where its end could not be proved."""
        if self._problem:
            raise SandboxError(self._problem)

    async def end(self) -> list[int]:
        """Kill everybody in it; gives those that still live after some seconds. One that was cancelled goes on."""
        self.check()
        if self._held is None:
            return []
        left = await self._ended()
        for number in (self._held, self._handle):
            if number is not None:
                os.close(number)
        self._held = self._handle = None
        return left

    async def _ended(self) -> list[int]:
        if self._handle is None:
            return await self._searched()
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        return [] if await _readable(self._handle) else await self._searched()

    async def _searched(self) -> list[int]:
        deadline = time.monotonic() + _SECONDS
        while True:
            left = await asyncio.to_thread(self._killed)
            if not left or time.monotonic() > deadline:
                return left
            await asyncio.sleep(0.01)

    def _killed(self) -> list[int]:
        """Kill those who are found, and give them."""
        found = living.in_pid_namespace(self._name)
        living.kill(found)
        return found


def _held(first: int, name: str) -> int | None:
    """Open the namespace of process 1; None where that has ended, or another process has its number by now."""
    try:
        held = os.open(f"/proc/{first}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    if Path(f"/proc/self/fd/{held}").readlink() == Path(name):
        return held
    os.close(held)
    return None


def _opened(first: int, name: str) -> int | None:
    """Open a handle on process 1; None where the kernel has none, or it has ended and another has its number."""
    try:
        handle = os.pidfd_open(first)
    except (AttributeError, OSError):
        return None
    with suppress(OSError):
        if Path(f"/proc/{first}/ns/pid").readlink() == Path(name):
            return handle
    os.close(handle)
    return None


async def _readable(handle: int) -> bool:
    """Wait for the end of the process that a handle is on; False where it does not come."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        async with asyncio.timeout(_SECONDS):
            await ended.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(handle)
    return True
