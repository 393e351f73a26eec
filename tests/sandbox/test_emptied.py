"""A PID namespace ends with all in it, whether or not the kernel lends a handle on its process 1."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import living
from bot.errors import SandboxError
from bot.sandbox.emptied import Namespace
from tests.support.descriptors import few_descriptors

# Process 1 of a namespace, and two more in it, one of them in a session of its own.
_INSIDE = "sleep 300 & setsid sleep 300 & echo begun; sleep 300; true"


@pytest.fixture
def inside() -> Iterator[tuple[int, str]]:
    """Give the number of process 1 and the name of its namespace."""
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "sh", "-c", _INSIDE]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"begun\n"
        first = int(Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()[0])
        yield first, str(Path(f"/proc/{first}/ns/pid").readlink())
        living.kill([first])
        started.wait(timeout=60)


@pytest.mark.parametrize("handle", [True, False])
async def test_all_in_it_are_dead(
    inside: tuple[int, str], handle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, name = inside
    deadline = time.monotonic() + 60
    while len(living.in_pid_namespace(name)) < 4 and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert len(living.in_pid_namespace(name)) == 4
    if not handle:
        monkeypatch.delattr(os, "pidfd_open")
    assert await Namespace(first, name).end() == []
    assert living.in_pid_namespace(name) == []


async def test_one_that_has_ended_is_empty(inside: tuple[int, str]) -> None:
    first, name = inside
    namespace = Namespace(first, name)
    living.kill([first])
    assert await namespace.end() == []
    assert await Namespace(first, name).end() == []


async def test_one_that_cannot_be_looked_at_is_never_said_to_be_empty(inside: tuple[int, str]) -> None:
    with few_descriptors(0):
        namespace = Namespace(*inside)
    with pytest.raises(SandboxError, match="Too many open files"):
        namespace.check()
    with pytest.raises(SandboxError, match="Too many open files"):
        await namespace.end()


async def test_an_end_that_was_cancelled_is_proved_by_the_next(inside: tuple[int, str]) -> None:
    first, name = inside
    namespace = Namespace(first, name)
    ending = asyncio.create_task(namespace.end())
    await asyncio.sleep(0)
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    assert await namespace.end() == []
    assert living.in_pid_namespace(name) == []


@pytest.mark.parametrize("ended", [True, False])
async def test_another_namespace_that_has_got_its_number_lives_on(
    inside: tuple[int, str], ended: bool
) -> None:
    """Of the box that is no more process 1 has ended, or its number is another process's by now, too."""
    first, name = inside
    with subprocess.Popen(["true"]) as gone:
        pass
    assert await Namespace(gone.pid if ended else os.getpid(), name).end() == []
    assert first in living.in_pid_namespace(name)


async def test_its_number_is_given_to_no_other_before_its_end(inside: tuple[int, str]) -> None:
    first, name = inside
    namespace = Namespace(first, name)
    living.kill([first])
    begun = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "readlink", "/proc/self/ns/pid"]
    others = set()
    for _ in range(20):
        done = await asyncio.to_thread(subprocess.run, begun, capture_output=True, check=True, timeout=60)
        others.add(done.stdout.decode().strip())
    assert name not in others
    assert await namespace.end() == []
