"""The only way out of a box: ports of its loopback that lead to unix sockets of the host, with walls and without."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import SandboxError
from bot.ports import Box, Outlet, Sandbox, SandboxPolicy
from bot.sandbox import NoSandbox
from tests.support.walls import walls

_PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
# Says its last, then listens, and tells of each part of the answer as it comes.
_ASK = """
import socket, sys
host, _, port = sys.argv[1].rpartition(":")
with socket.create_connection((host, int(port)), 60) as link:
    link.sendall(b"question"); link.shutdown(socket.SHUT_WR)
    while part := link.recv(100): print(part.decode(), flush=True)
"""
_MANY = """
import socket, sys
host, _, port = sys.argv[1].rpartition(":")
links = [socket.create_connection((host, int(port)), 60) for _ in range(200)]
for link in links: link.sendall(b"x"); link.shutdown(socket.SHUT_WR)
print(sum(b"end" in link.makefile("rb").read() for link in links))
"""


@pytest.fixture(params=["bwrap", "none"])
async def boxes(request: pytest.FixtureRequest) -> Sandbox:
    return await walls() if request.param == "bwrap" else NoSandbox(allowed=True)


@asynccontextmanager
async def _answering(port: int, heard: asyncio.Event | None = None) -> AsyncIterator[Outlet]:
    """Answer on a unix socket with what was asked and an end: after a pause, or once the first part was `heard`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read()
        writer.write(asked)
        await writer.drain()
        await (asyncio.sleep(0.1) if heard is None else heard.wait())
        writer.write(b"end")
        writer.close()

    with tempfile.TemporaryDirectory(prefix="gw-outlet-") as folder:
        path = Path(folder) / "s"
        long = Path(folder) / ("long" * 30)
        long.mkdir()
        async with await asyncio.start_unix_server(answer, path):
            yield Outlet(path.rename(long / "s"), port)


async def _asked(box: Box, outlet: Outlet, heard: asyncio.Event) -> tuple[int | None, str]:
    """Ask from inside; the end comes only when the part before it was told."""
    heard.clear()

    async def hear(line: str) -> None:
        if line == "question":
            heard.set()

    done = await box.run(["python", "-c", _ASK, box.address(outlet)], timeout=60, on_line=hear)
    return done.code, done.output


async def test_an_outlet_is_reached_and_both_directions_end_on_their_own(
    boxes: Sandbox, policy: SandboxPolicy
) -> None:
    heard = asyncio.Event()
    async with _answering(4010, heard) as first, _answering(4011, heard) as second:
        mine = replace(policy, outlets=(first, second), path=_PATH)
        async with boxes.open(mine) as box:
            for outlet in (first, second, first):
                assert await _asked(box, outlet, heard) == (0, "question\nend\n")


async def test_more_connections_than_are_served_at_once_wait_their_turn(
    boxes: Sandbox, policy: SandboxPolicy
) -> None:
    async with (
        _answering(4010) as outlet,
        boxes.open(replace(policy, outlets=(outlet,), path=_PATH)) as box,
    ):
        done = await box.run(["python", "-c", _MANY, box.address(outlet)], timeout=90)
        assert (done.code, done.output) == (0, "200\n")


async def test_a_bridge_outlives_commands_and_those_who_kill_it(policy: SandboxPolicy) -> None:
    heard = asyncio.Event()
    async with (
        _answering(4010, heard) as outlet,
        (await walls()).open(replace(policy, outlets=(outlet,), path=_PATH)) as box,
    ):
        assert box.address(outlet) == "127.0.0.1:4010"
        # Beside process 1 and our own minder, of whose program it is.
        kill = "for p in /proc/[0-9]*; do n=${p#/proc/}; [ $n = 1 ] || [ $n = $PPID ] || "
        kill += "{ grep -q __main__.py $p/cmdline && kill -9 $n && echo killed; }; done; true"
        assert "killed" in (await box.run(["sh", "-c", kill], timeout=60)).output
        assert await _asked(box, outlet, heard) == (0, "question\nend\n")


async def test_a_box_knows_no_other_outlet(policy: SandboxPolicy) -> None:
    async with _answering(4010) as outlet, (await walls()).open(replace(policy, path=_PATH)) as box:
        done = await box.run(["python", "-c", _ASK, "127.0.0.1:4010"], timeout=60)
        assert "ConnectionRefusedError" in done.output
        with pytest.raises(SandboxError, match="no outlet"):
            box.address(outlet)


@pytest.mark.parametrize("says", [b"", bytes(1 << 24)])
async def test_no_connection_outlives_a_box_without_walls(policy: SandboxPolicy, says: bytes) -> None:
    """One whose sides wait for each other, and one with more on its way than is ever read."""
    ends: asyncio.Queue[str] = asyncio.Queue()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(says)
            ends.put_nowait("begun")
            await writer.drain()
            await reader.read()
        except OSError:
            pass
        finally:
            writer.transport.abort()
            ends.put_nowait("ended")

    before = asyncio.all_tasks()
    with tempfile.TemporaryDirectory(prefix="gw-outlet-") as folder:
        async with asyncio.timeout(60), await asyncio.start_unix_server(wait, Path(folder) / "s"):
            outlet = Outlet(Path(folder) / "s", 4010)
            async with NoSandbox(allowed=True).open(replace(policy, outlets=(outlet,))) as box:
                host, _, port = box.address(outlet).rpartition(":")
                reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 10)
                assert await ends.get() == "begun"
                await asyncio.sleep(0.1)
            left = asyncio.all_tasks() - before
            assert [task for task in left if "Carrier" in repr(task) or "_pump" in repr(task)] == []
            assert await ends.get() == "ended"
            try:
                while await reader.read(1 << 16):
                    pass
            except ConnectionError:
                pass
            writer.close()
