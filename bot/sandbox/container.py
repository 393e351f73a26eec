"""Owns boxes that are containers of Docker or Podman, from the same policy as those of bubblewrap."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from bot import dialogs, living, process
from bot.errors import SandboxError
from bot.ports import Completed, Outlet, SandboxPolicy
from bot.sandbox import container_line, launch
from bot.sandbox.channel import Channel
from bot.sandbox.container_line import OWNER, Containers
from bot.sandbox.lend import lend
from bot.sandbox.room import Room
from bot.unbroken import unbroken

_START_SECONDS = 60.0
_STEP_SECONDS = 30.0  # for what is asked of the program
_LAST_STEP_SECONDS = 10.0  # for what is asked of it at a box's end, where a bot that stops has little time
_END_SECONDS = 5.0  # for a container to go by itself, and for its processes to be gone
_CLIENT = (
    *("PATH", "HOME", "USER", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
    *("DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST"),
)


class ContainerSandbox:
    """Starts containers; `level` is what a probe found."""

    def __init__(self, containers: Containers, level: str = "strong") -> None:
        self.level = level
        self.name = f"{containers.name}, {containers.runtime}" if containers.runtime else containers.name
        self._containers = containers

    def open(self, policy: SandboxPolicy) -> AbstractAsyncContextManager[ContainerBox]:
        """Lend a box; when the block ends its container is gone, or SandboxError says what lives."""
        return lend(ContainerBox(policy, self._containers))

    async def sweep(self) -> list[str]:
        """Remove containers whose bot is dead, and name them; those of other bots on this machine stay."""
        asked = await _ask(self._containers, "ps", "--all", "--quiet", "--filter", f"label={OWNER}")
        gone = []
        for name in asked.stdout.decode().split():
            label = f'{{{{index .Config.Labels "{OWNER}"}}}}'
            owner = (await _ask(self._containers, "container", "inspect", "--format", label, name)).stdout
            if not _alive(owner.decode().strip()):
                await _ask(self._containers, *self._containers.removal, name)
                gone.append(name)
        return gone


class ContainerBox:
    """One container; its commands run beside each other in it."""

    def __init__(self, policy: SandboxPolicy, containers: Containers) -> None:
        self.work, self.home = Path(container_line.WORK), Path(container_line.HOME)
        self.path = container_line.BASE_ENV["PATH"]
        self._policy = policy
        self._containers = containers
        self._name = f"gitwright-{secrets.token_hex(8)}"
        self._child: process.Child | None = None
        self._channel: Channel | None = None
        self._left: list[int] | None = None  # known once it is closed
        self._first: tuple[int, int] | None = None  # process 1 as this machine sees it: id and start time

    async def begin(self) -> None:
        """Start the container and wait until its process 1 takes commands."""
        await unbroken(asyncio.to_thread(launch.hand_over, self._policy))
        room = await asyncio.to_thread(Room, self._policy)
        line = container_line.command(self._policy, self._containers, self._name, owner=_myself())
        try:
            self._child = await process.spawn(line, env=process.inherited(*_CLIENT), cwd=Path("/"))
        except process.ProcessError as error:
            raise SandboxError(
                f"There is no program `{self._containers.program}`, which GITWRIGHT_CONTAINER names: {error}"
            ) from error
        self._channel = Channel(self._child)
        try:
            await self._channel.begin(_START_SECONDS)
        except SandboxError as error:
            raise SandboxError(container_line.reason(str(error), self._containers)) from error
        self._channel.watch(room)
        self._first = await self._process_one()

    async def _process_one(self) -> tuple[int, int] | None:
        """Find process 1 on this machine; None where the containers run on another one."""
        if any(
            not os.environ.get(name, "unix:").startswith("unix:")
            for name in ("DOCKER_HOST", "CONTAINER_HOST")
        ):
            return None
        said = await _ask(self._containers, "container", "inspect", "--format", "{{.State.Pid}}", self._name)
        with suppress(ValueError):
            pid = int(said.stdout)
            if (started := living.started(pid)) is not None:
                return pid, started
        return None

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
        """Run a command inside; on time-out its whole process tree is killed."""
        return await self._open().run(
            argv, self._env(env), timeout=timeout, cap=cap, on_line=on_line, stdin=stdin
        )

    @asynccontextmanager
    async def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> AsyncIterator[dialogs.Dialog]:
        """Start a command inside and lend its streams; when the block ends its whole process tree is dead."""
        async with (
            self._open().command(argv, self._env(env)) as command,
            dialogs.dialog(command) as talk,
        ):
            yield talk

    def address(self, outlet: Outlet) -> str:
        """Give `host:port` under which commands inside reach an outlet of the policy."""
        return f"127.0.0.1:{outlet.port}"

    def _open(self) -> Channel:
        if self._channel is None:
            raise SandboxError("The box is not open.")
        return self._channel

    def _env(self, more: Mapping[str, str] | None) -> dict[str, str]:
        return {**container_line.BASE_ENV, **self._policy.env, **(more or {})}

    async def close(self) -> list[int]:
        """Remove the container and prove it: an empty list, or the process ids that still live."""
        if self._child is None or self._left is not None:
            return self._left or []
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):  # a program that hangs reads nothing any more
                await self._child.feed(
                    b""
                )  # process 1 ends where nobody orders any more, and with it everybody
        await self._child.wait(_END_SECONDS)
        left = await self._channel.close() if self._channel is not None else await self._child.stop()
        if await self._there():
            await _ask(self._containers, *self._containers.removal, self._name, timeout=_LAST_STEP_SECONDS)
            if await self._there():
                left = [*left, self._first[0] if self._first else 0]
        deadline = time.monotonic() + _END_SECONDS
        while self._first is not None and living.started(self._first[0]) == self._first[1]:
            if time.monotonic() > deadline:
                left = sorted({*left, self._first[0]})
                break
            await asyncio.sleep(0.01)
        self._left = left
        return left

    async def _there(self) -> bool:
        """Ask whether the program still knows the container; what keeps it from saying so is an error."""
        words = ("ps", "--all", "--quiet", "--filter", f"name={self._name}")
        asked = await _ask(self._containers, *words, timeout=_LAST_STEP_SECONDS)
        if asked.code != 0:
            raise SandboxError(
                f"Nobody knows whether the container `{self._name}` is gone: {asked.stderr.decode()[-300:]}"
            )
        return bool(asked.stdout.strip())


async def _ask(containers: Containers, *arguments: str, timeout: float = _STEP_SECONDS) -> process.Finished:
    line = [containers.program, *arguments]
    try:
        return await process.run(line, env=process.inherited(*_CLIENT), timeout=timeout, cwd=Path("/"))
    except process.ProcessError as error:
        raise SandboxError(f"`{containers.program}`, which GITWRIGHT_CONTAINER names: {error}") from error


def _myself() -> str:
    return f"{os.getpid()}-{living.started(os.getpid()) or 0}"


def _alive(owner: str) -> bool:
    """Tell whether a container's bot lives; a label that is none of ours counts as alive."""
    pid, _, started = owner.partition("-")
    if not (pid.isdigit() and started.isdigit()):
        return True
    if started == "0":  # a machine without /proc
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    return living.started(int(pid)) == int(started)
