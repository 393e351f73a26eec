"""Owns boxes made with bubblewrap: namespaces, a bounded and mostly read-only view, no network."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from bot import dialogs, process
from bot.errors import SandboxError
from bot.ports import Completed, Outlet, SandboxPolicy
from bot.sandbox import launch, programs, seccomp, toolchain
from bot.sandbox.advice import LIES_BELOW
from bot.sandbox.cgroups import Group, Groups
from bot.sandbox.channel import Channel
from bot.sandbox.emptied import Namespace
from bot.sandbox.lend import lend
from bot.sandbox.room import Room
from bot.unbroken import unbroken

_HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WORK = "/workspace"
_HOME = "/home/agent"
_TMP_BYTES = 1 << 30
_SHM_BYTES = 64 << 20
_START_SECONDS = 30.0
# The bot's own, not one of the target's PATH; behind the links that only a virtual environment has.
_INTERPRETER = Path(sys.executable).resolve()
# Of certificates what is everybody's: beside them lie private keys, which a bot may be in a group to read.
_ETC = (
    *("ssl/certs", "ssl/cert.pem", "ssl/ca-bundle.pem", "ssl/openssl.cnf"),
    *("pki/ca-trust", "pki/java", "pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf"),
    "ca-certificates",
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
)
_FILES = {
    "/etc/passwd": f"root:x:0:0::/root:/bin/sh\nagent:x:1000:1000::{_HOME}:/bin/sh\n".encode(),
    "/etc/group": b"root:x:0:\nagent:x:1000:\n",
    "/etc/hosts": b"127.0.0.1 localhost\n::1 localhost\n",
    "/etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files\n",
}


class BwrapSandbox:
    """Starts bubblewrap boxes; `level` is what a probe found: medium, and strong with limits on whole boxes."""

    name = "bubblewrap"

    def __init__(self, level: str = "medium", program: str = "bwrap", groups: Groups | None = None) -> None:
        self.level = level
        self.program = program
        self.groups = groups
        self.hidden: tuple[Path, ...] = ()

    def bounded(self, groups: Groups) -> BwrapSandbox:
        """Give the same with limits on whole boxes."""
        other = copy(self)
        other.level, other.groups = "strong", groups
        return other

    def hiding(self, hidden: Sequence[Path]) -> BwrapSandbox:
        """Give the same whose boxes show none of these folders and files, nor what holds one of them."""
        other = copy(self)
        other.hidden = tuple(path.resolve() for path in hidden)
        return other

    def open(self, policy: SandboxPolicy) -> AbstractAsyncContextManager[BwrapBox]:
        """Lend a box; when the block ends everything inside is dead, or SandboxError names what lives."""
        return lend(BwrapBox(policy, self.program, self.groups, self.hidden))


class BwrapBox:
    """One box: bubblewrap with a program as process 1 that starts the commands (`inside/first.py`)."""

    def __init__(
        self,
        policy: SandboxPolicy,
        program: str = "bwrap",
        groups: Groups | None = None,
        hidden: Sequence[Path] = (),
    ) -> None:
        self._hidden = hidden
        self.work, self.home, self.path = Path(_WORK), Path(_HOME), policy.path
        self._policy = policy
        self._program = program
        self._groups = groups
        self._group = Group((), ())
        self._channel: Channel | None = None
        self._namespace: Namespace | None = None

    async def begin(self) -> None:
        """Start it; SandboxError with what bubblewrap says where that fails."""
        room, view = await unbroken(asyncio.to_thread(self._prepare))  # what it makes, `close` has to know
        with _Descriptors() as descriptors:
            command = self._start(view, descriptors)
            # From this thread, and not from one that ends: bubblewrap dies with its parent thread.
            child = await process.spawn(
                command,
                env={"PATH": _HOST_PATH, **self._group.env},
                cwd=Path("/"),
                pass_fds=descriptors.passed,
            )
            self._channel = Channel(child)
            descriptors.close_passed()
            try:
                await self._channel.begin(_START_SECONDS)
                self._channel.watch(room)
            finally:
                self._namespace = descriptors.namespace()
        if self._namespace is not None:
            self._namespace.check()

    def _prepare(self) -> tuple[Room, list[_Mount]]:
        """Look what has to be shown, and give what is the box's to the user of the boxes."""
        policy = self._policy
        view = _view(policy, self._hidden)
        launch.hand_over(policy)
        room = Room(policy)
        if self._groups is not None:
            self._group = self._groups.make(policy.memory_bytes, policy.processes)
        return room, view

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
        """Run a command inside; at its end, as on time-out, its whole process tree is dead."""
        return await self._open.run(
            argv, self._env(env), timeout=timeout, cap=cap, on_line=on_line, stdin=stdin
        )

    @asynccontextmanager
    async def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> AsyncIterator[dialogs.Dialog]:
        """Start a command inside and lend its streams; when the block ends its whole process tree is dead."""
        async with self._open.command(argv, self._env(env)) as command, dialogs.dialog(command) as talk:
            yield talk

    def address(self, outlet: Outlet) -> str:
        """Give `host:port` under which commands inside reach an outlet of the policy."""
        if outlet not in self._policy.outlets:
            raise SandboxError(f"port {outlet.port} is no outlet of this box")
        return f"127.0.0.1:{outlet.port}"

    async def close(self) -> list[int]:
        """Kill everything inside and prove it: an empty list, or the process ids that still live."""
        end = self._namespace.end if self._namespace is not None else None
        try:
            left = await self._channel.close(end) if self._channel is not None else []
        finally:
            await asyncio.to_thread(self._group.close)
        return sorted(set(left))

    @property
    def _open(self) -> Channel:
        assert self._channel is not None
        return self._channel

    def _env(self, more: Mapping[str, str] | None) -> dict[str, str]:
        return {**_environment(self._policy), **self._policy.env, **(more or {})}

    def _start(self, view: Sequence[_Mount], descriptors: _Descriptors) -> list[str]:
        """Give the whole command line."""
        policy = self._policy
        staging, found = launch.stage([mount.source for mount in view])
        options = [*_ISOLATION, "--info-fd", str(descriptors.info())]
        options += ["--seccomp", str(descriptors.data(seccomp.program()))]
        # Below a root that is read-only in the end; a mount for each would take longer.
        for name, content in {**_FILES, **programs.compiled()}.items():
            options += ["--perms", "0444", "--file", str(descriptors.data(content)), name]
        for mount in view:
            options += [mount.option, str(found.get(mount.source, mount.source)), mount.target]
        for key, value in _environment(policy).items():
            options += ["--setenv", key, value]
        sockets = {outlet.port: _socket(number) for number, outlet in enumerate(policy.outlets)}
        first = [str(_INTERPRETER), *programs.first(policy.processes, _WORK, sockets, ours=True)]
        options += ["--remount-ro", "/", "--chdir", "/", "--", *first]
        return [
            *self._group.start,
            *staging,
            *launch.drop(),
            *launch.limits(policy.memory_bytes),
            self._program,
            *options,
        ]


def _environment(policy: SandboxPolicy) -> dict[str, str]:
    return {"HOME": _HOME, "LANG": "C.UTF-8", "PATH": policy.path, "TMPDIR": "/tmp"}  # noqa: S108


def _socket(number: int) -> str:
    return f"{programs.FOLDER}/outlet-{number}"


@dataclass(frozen=True, slots=True)
class _Mount:
    option: str
    source: Path
    target: str

    @property
    def depth(self) -> int:
        return len(Path(self.target).parts)


def _view(policy: SandboxPolicy, hidden: Sequence[Path]) -> list[_Mount]:
    """List what is bound from outside, outer folders first, so that what lies deeper is seen in them."""
    mounts = [
        _Mount("--ro-bind", path, str(path))
        for path in toolchain.visible(f"{policy.path}:{_INTERPRETER.parent}", hidden)
    ]
    mounts = [mount for mount in mounts if not mount.source.is_relative_to(policy.work)]
    mounts += [_Mount("--ro-bind", source, target) for source, target in policy.readable.items()]
    mounts += [_Mount("--bind", source, target) for source, target in policy.writable.items()]
    mounts += [_Mount("--ro-bind", o.socket, _socket(n)) for n, o in enumerate(policy.outlets)]
    work = "--ro-bind" if policy.frozen else "--bind"
    mounts += [_Mount("--bind", policy.home, _HOME), _Mount(work, policy.work, _WORK)]
    if policy.pointer_git is not None:
        mounts.append(_Mount("--ro-bind", policy.pointer_git, f"{_WORK}/.git"))
    for source in (*_shown(), *(mount.source for mount in mounts)):
        if (secret := toolchain.holds(source, hidden)) is not None:
            raise SandboxError(f"`{secret}` {LIES_BELOW} `{source}`, which is shown in boxes")
    return sorted(mounts, key=lambda mount: mount.depth)


def _shown() -> Iterable[Path]:
    """Name what every box shows."""
    yield from toolchain.SYSTEM
    yield from (Path("/etc", name) for name in _ETC)


def _system() -> Iterable[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for folder in toolchain.SYSTEM[1:]:
        if folder.is_symlink():
            yield from ("--symlink", str(folder.readlink()), str(folder))
        elif folder.is_dir():
            yield from ("--ro-bind", str(folder), str(folder))
    for name in _ETC:
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")


_ISOLATION = [
    *("--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns"),
    *(
        "--unshare-pid",
        "--as-pid-1",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--unshare-net",
    ),
    *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "sandbox", "--clearenv"),
    *_system(),
    *("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev"),
    *("--perms", "1777", "--size", str(_SHM_BYTES), "--tmpfs", "/dev/shm"),  # noqa: S108 - inside the box
    *("--perms", "1777", "--size", str(_TMP_BYTES), "--tmpfs", "/tmp"),  # noqa: S108 - inside the box
]


class _Descriptors:
    """The files that bubblewrap gets as numbers: contents to show, and where it says who it is."""

    def __init__(self) -> None:
        self.passed: list[int] = []
        self._info = -1

    def __enter__(self) -> _Descriptors:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_passed()
        if self._info >= 0:
            os.close(self._info)

    def data(self, content: bytes) -> int:
        """Offer content to be read from its start."""
        number = os.memfd_create("gitwright")
        self.passed.append(number)
        os.write(number, content)
        os.lseek(number, 0, os.SEEK_SET)
        return number

    def info(self) -> int:
        self._info, write_end = os.pipe()
        os.set_blocking(self._info, False)
        self.passed.append(write_end)
        return write_end

    def close_passed(self) -> None:
        for number in self.passed:
            os.close(number)
        self.passed.clear()

    def namespace(self) -> Namespace | None:
        """Give the PID namespace of the box; None where bubblewrap did not get that far."""
        with suppress(OSError, ValueError):
            said = json.loads(os.read(self._info, 4096))
            return Namespace(said["child-pid"], f"pid:[{said['pid-namespace']}]")
        return None
