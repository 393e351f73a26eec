"""Owns the port to sandboxes: what they show, and the commands inside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Outlet:
    """A unix socket of the host that a box reaches as a port of its own loopback: the only way out of it."""

    socket: Path
    port: int  # inside, where nothing else listens; a back end without a network of its own picks another


@dataclass(frozen=True, slots=True)
class SandboxPolicy:
    """What a sandbox shows and allows; there is no network but the outlets."""

    work: Path  # bound read-write at `Box.work`, which is the working directory
    home: Path  # bound read-write at `Box.home`
    pointer_git: Path | None = None  # bound read-only over .git of the working directory
    writable: Mapping[Path, str] = field(default_factory=dict)  # host path -> path inside
    readable: Mapping[Path, str] = field(default_factory=dict)
    outlets: tuple[Outlet, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    path: str = (
        "/usr/local/bin:/usr/bin:/bin"  # its folders, and what their interpreters need, are visible read-only
    )
    frozen: bool = False  # whether `work` is bound read-only instead, as far as the back end can
    watched: bool = True  # whether it is kept closed, or ended, where the disk has hardly any room
    memory_bytes: int = 4 << 30
    processes: int = 512


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended; output is the end of both streams, cut to a cap; `code` None means timed out."""

    code: int | None
    output: str
    seconds: float


class Talk(Protocol):
    """A command in a box that one talks to over its standard streams."""

    async def read(self, most: int) -> bytes:
        """Read what it says, as it comes; empty at its end. It stops where nobody reads."""

    @property
    def errors(self) -> str:
        """The end of what it said on standard error."""

    async def say(self, data: bytes) -> None:
        """Write to its standard input; a command that has ended is no error."""

    async def wait(self, timeout: float) -> int | None:
        """Wait for its own end and give its code; None after `timeout` seconds."""


class Box(Protocol):
    """One running sandbox: `work` and `home` are the policy's folders as its commands see them.

    `path` is where the operator's programs are found inside; `PATH` may have those of a repository before them.
    """

    work: Path
    home: Path
    path: str

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        cap: int = 200_000,
        on_line: Callable[[str], Awaitable[None]] | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> Completed:
        """Run a command inside, `env` beside the policy's; on time-out its whole process tree is killed."""

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[Talk]:
        """Start a command inside and lend its streams; when the block ends its whole process tree is dead."""

    def address(self, outlet: Outlet) -> str:
        """Give `host:port` under which commands inside reach an outlet of the policy."""

    async def close(self) -> list[int]:
        """Kill everything inside and prove it: an empty list, or the process ids that still live."""


class Sandbox(Protocol):
    """Starts boxes; `level` is strong, medium or none, found by running canaries; `name` says of what kind they are."""

    level: str
    name: str

    def open(self, policy: SandboxPolicy) -> AbstractAsyncContextManager[Box]: ...
