"""Owns the back end that isolates nothing, which only an operator can ask for."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager

from bot import dialogs, process
from bot.errors import SandboxError
from bot.ports import Completed, Outlet, SandboxPolicy
from bot.sandbox.advice import OPT_OUT
from bot.sandbox.inside import bridge
from bot.sandbox.lend import lend
from bot.sandbox.room import Ending, Room
from bot.sockets import nearby


class NoSandbox:
    """Runs commands plainly; refused unless it was explicitly allowed."""

    level = name = "none"

    def __init__(self, allowed: bool = False) -> None:
        self._allowed = allowed

    def open(self, policy: SandboxPolicy) -> AbstractAsyncContextManager[PlainBox]:
        if not self._allowed:
            raise SandboxError(f"There is no sandbox, and nobody asked to go on without one. {OPT_OUT}")
        return lend(PlainBox(policy))


class PlainBox:
    """Commands in the work folder, with a clean environment and nothing else between them and the machine."""

    def __init__(self, policy: SandboxPolicy) -> None:
        self.work, self.home, self.path = policy.work, policy.home, policy.path
        self._policy = policy
        self._left: list[int] = []
        self._bridges: list[bridge.Carrier] = []
        self._ports: dict[Outlet, int] = {}
        self._short = ExitStack()  # of paths to the outlets
        self._ended: Ending | None = None
        self._watching: asyncio.Task[None] | None = None
        self._limits: set[asyncio.Timeout] = set()  # of commands that run
        self._children: set[process.Child] = set()  # with whom one talks

    async def begin(self) -> None:
        """Listen for the outlets on ports that are free: the host's loopback is everybody's."""
        room = await asyncio.to_thread(Room, self._policy)
        self._watching = asyncio.create_task(self._watch(room))
        for outlet in self._policy.outlets:
            path = self._short.enter_context(nearby(outlet.socket))
            listener = socket.create_server(("127.0.0.1", 0))
            self._ports[outlet] = listener.getsockname()[1]
            self._bridges.append(carrier := bridge.Carrier(path))
            await carrier.begin(listener)

    async def _watch(self, room: Room) -> None:
        """End all commands where they leave too little room on a disk."""
        self._ended = await room.gone()
        for limit in self._limits:
            limit.reschedule(0)
        for child in list(self._children):
            self._left += await child.kill()

    def _check(self) -> None:
        if self._ended is not None:
            problem, kind = self._ended
            raise kind(problem)

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        cap: int = 200_000,
        on_line: process.OnLine | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> Completed:
        """Run a command; on time-out its process tree is killed as far as it can be found."""
        self._check()
        started = time.monotonic()
        try:
            async with asyncio.timeout(None) as limit:
                self._limits.add(limit)
                try:
                    finished = await process.run(
                        argv,
                        env={**self._env(), **(env or {})},
                        stdin=stdin,
                        timeout=timeout,
                        cwd=self._policy.work,
                        cap=cap,
                        on_line=on_line,
                        sweep=True,
                    )
                finally:
                    self._limits.discard(limit)
        except process.ProcessError as error:  # as a shell would say it, and every other back end
            return Completed(127, f"{error}\n", time.monotonic() - started)
        except TimeoutError:
            self._check()
            raise
        output = (finished.stdout + finished.stderr)[-cap:].decode("utf-8", "replace")
        return Completed(finished.code, output, time.monotonic() - started)

    @asynccontextmanager
    async def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> AsyncIterator[dialogs.Dialog]:
        """Start a command and lend its streams; at the end its tree is killed as far as it can be found."""
        self._check()
        child = await process.spawn(argv, env={**self._env(), **(env or {})}, cwd=self._policy.work)
        self._children.add(child)
        try:
            async with dialogs.dialog(child) as talk:
                yield talk
        finally:
            self._children.discard(child)
            self._left += await child.kill()
            await child.stop()

    def address(self, outlet: Outlet) -> str:
        """Give `host:port` under which commands reach an outlet of the policy."""
        return f"127.0.0.1:{self._ports[outlet]}"

    def _env(self) -> dict[str, str]:
        policy = self._policy
        env = {"PATH": policy.path, "HOME": str(policy.home), "LANG": "C.UTF-8"}
        scratch = next((str(p) for p, inside in policy.writable.items() if inside == "/scratch.git"), None)
        if scratch is not None and policy.pointer_git is not None:
            env |= {"GIT_DIR": scratch, "GIT_WORK_TREE": str(policy.work)}
        return {**env, **policy.env}

    async def close(self) -> list[int]:
        """Break off what the outlets carry; gives the processes that nobody could kill."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        while self._bridges:
            await self._bridges.pop().close()
        self._short.close()
        return self._left
