"""Owns boxes made with bubblewrap: namespaces, a bounded and mostly read-only view, no network."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot import files, living, process
from bot.ports import Completed, SandboxPolicy
from bot.sandbox import launch, seccomp, toolchain
from bot.sandbox.lend import lend

_HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HOME = "/home/agent"
_TMP_BYTES = 1 << 30
_SHM_BYTES = 64 << 20
_KILL_SECONDS = 5.0
_ETC = (
    "ssl",
    "pki",
    "ca-certificates",
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
)
_FILES = {
    "/etc/passwd": f"root:x:0:0::/root:/bin/sh\nagent:x:1000:1000::{_HOME}:/bin/sh\n",
    "/etc/group": "root:x:0:\nagent:x:1000:\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


class BwrapSandbox:
    """Starts bubblewrap boxes; `level` is what a probe found, medium without control groups."""

    def __init__(self, level: str = "medium", program: str = "bwrap") -> None:
        self.level = level
        self._program = program

    def open(self, policy: SandboxPolicy) -> AbstractAsyncContextManager[BwrapBox]:
        """Lend a box; when the block ends everything inside is dead, or SandboxError names what lives."""
        return lend(partial(BwrapBox, policy, self._program))


class BwrapBox:
    """One box; each command gets fresh namespaces over the same folders."""

    def __init__(self, policy: SandboxPolicy, program: str = "bwrap") -> None:
        self._policy = policy
        self._program = program
        self._view = _view(policy)
        owner = process.sandbox_uid()
        for folder in (policy.work, policy.home, *policy.writable):
            if owner is not None and folder.stat().st_uid != owner:
                files.give(folder, owner)
        self._running: set[process.Child] = set()
        self._namespaces: set[str] = set()

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        cap: int = 200_000,
        on_line: process.OnLine | None = None,
    ) -> Completed:
        """Run a command inside; on time-out its whole process tree is killed."""
        started = time.monotonic()
        tail = process.Tail(cap)
        async with self._child(argv, merge=True) as child:
            reader = asyncio.create_task(process.drain(child.stdout, tail, on_line))
            try:
                await child.feed(b"")
                code = await process.settle(child, [reader], timeout)
            finally:
                await child.stop()
                await process.end([reader])
        return Completed(code, tail.bytes().decode("utf-8", "replace"), time.monotonic() - started)

    @asynccontextmanager
    async def start(self, argv: Sequence[str]) -> AsyncIterator[process.Dialog]:
        """Start a command inside and lend its streams; when the block ends its whole process tree is dead."""
        async with self._child(argv) as child, process.dialog(child) as talk:
            yield talk

    @asynccontextmanager
    async def _child(self, argv: Sequence[str], *, merge: bool = False) -> AsyncIterator[process.Child]:
        """Start bubblewrap with a command; at the end nothing of it lives, or `close` names it."""
        with _Descriptors() as descriptors:
            command = [*self._start(descriptors), *_inside(self._policy, argv)]
            child = await process.spawn(
                command, env={"PATH": _HOST_PATH}, cwd=Path("/"), pass_fds=descriptors.passed, merge=merge
            )
            descriptors.close_passed()
            self._running.add(child)
            try:
                yield child
            finally:
                await self._end(child, descriptors)

    async def _end(self, child: process.Child, descriptors: _Descriptors) -> None:
        """Wait until the box's PID namespace is empty, so that nobody reads folders that still change."""
        await child.stop()
        namespace = descriptors.namespace()
        if namespace is not None:
            self._namespaces.add(namespace)
            if not await _emptied(namespace):
                self._namespaces.discard(namespace)
        self._running.discard(child)

    async def close(self) -> list[int]:
        """Kill everything inside and prove it: an empty list, or the process ids that still live."""
        left: set[int] = set()
        for child in list(self._running):
            left.update(await child.stop())
        for namespace in self._namespaces:
            left.update(await _emptied(namespace))
        return sorted(left)

    def _start(self, descriptors: _Descriptors) -> list[str]:
        """Give the command line up to and with bubblewrap's own options."""
        staging, found = launch.stage([mount.source for mount in self._view])
        policy = self._policy
        options = [*_ISOLATION, "--info-fd", str(descriptors.info())]
        if (seccomp_filter := seccomp.program()) is not None:
            options += ["--seccomp", str(descriptors.data(seccomp_filter))]
        for name, text in _FILES.items():
            options += ["--ro-bind-data", str(descriptors.data(text.encode())), name]
        for mount in self._view:
            options += [mount.option, str(found.get(mount.source, mount.source)), mount.target]
        env = {"PATH": policy.path, "HOME": _HOME, "TMPDIR": "/tmp", "LANG": "C.UTF-8", **policy.env}  # noqa: S108
        for key, value in sorted(env.items()):
            options += ["--setenv", key, value]
        options += ["--remount-ro", "/", "--chdir", str(policy.work)]
        bounds = launch.limits(policy.memory_bytes)
        return [*staging, *launch.drop(), *bounds, self._program, *options, "--"]


def _inside(policy: SandboxPolicy, argv: Sequence[str]) -> list[str]:
    # Counted inside, in the box's own user namespace: outside it would count all of the user's processes.
    return ["/usr/bin/prlimit", f"--nproc={policy.processes}:{policy.processes}", "--", *argv]


async def _emptied(namespace: str) -> list[int]:
    """Wait for the last process of a PID namespace; give those that do not end."""
    deadline = time.monotonic() + _KILL_SECONDS
    while (left := living.in_pid_namespace(namespace)) and time.monotonic() < deadline:
        living.kill(left)
        await asyncio.sleep(0.01)
    return left


@dataclass(frozen=True, slots=True)
class _Mount:
    option: str
    source: Path
    target: str

    @property
    def depth(self) -> int:
        return len(Path(self.target).parts)


def _view(policy: SandboxPolicy) -> list[_Mount]:
    """List what is bound from outside, outer folders first, so that what lies deeper is seen in them."""
    mounts = [_Mount("--ro-bind", path, str(path)) for path in toolchain.visible(policy.path)]
    mounts = [mount for mount in mounts if not mount.source.is_relative_to(policy.work)]
    mounts += [_Mount("--ro-bind", source, target) for source, target in policy.readable.items()]
    mounts += [_Mount("--bind", source, target) for source, target in policy.writable.items()]
    work = "--ro-bind" if policy.frozen else "--bind"
    mounts += [_Mount("--bind", policy.home, _HOME), _Mount(work, policy.work, str(policy.work))]
    if policy.pointer_git is not None:
        mounts.append(_Mount("--ro-bind", policy.pointer_git, f"{policy.work}/.git"))
    return sorted(mounts, key=lambda mount: mount.depth)


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
    *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--unshare-net"),
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
        """Offer content that fits into a pipe's buffer, so that nobody has to write while it is read."""
        read_end, write_end = os.pipe()
        self.passed.append(read_end)
        os.write(write_end, content)
        os.close(write_end)
        return read_end

    def info(self) -> int:
        self._info, write_end = os.pipe()
        os.set_blocking(self._info, False)
        self.passed.append(write_end)
        return write_end

    def close_passed(self) -> None:
        for number in self.passed:
            os.close(number)
        self.passed.clear()

    def namespace(self) -> str | None:
        """Give the PID namespace of the box as /proc names it; None where bubblewrap did not get that far."""
        with suppress(OSError, ValueError):
            said = json.loads(os.read(self._info, 4096))
            return f"pid:[{said['pid-namespace']}]"
        return None
