"""How a way out of a box listens, and that nothing of it is there after its end."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from pathlib import Path

import pytest

from bot.gateway.listening import door
from tests.support.lines import connected


# Python 3.11 forgets a connection that it accepts while the server closes; its socket is closed with the garbage.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_who_was_let_in_at_the_last_moment_is_not_handled_after_the_end(tmp_path: Path) -> None:
    handled: list[bool] = []
    ended = False

    async def handle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        handled.append(ended)
        await reader.read()

    async def come(path: Path) -> None:
        with suppress(ConnectionError, FileNotFoundError):
            reader, writer = await connected(path)
            try:
                await reader.read()
            finally:
                writer.close()

    # The loop takes some rounds from the connection to its task: the end comes in each of them.
    for rounds in range(12):
        ended = False
        async with door(tmp_path / f"{rounds}.sock", handle, at_once=4) as opened:
            coming = [asyncio.create_task(come(opened.path)) for _ in range(3)]
            for _ in range(rounds):
                await asyncio.sleep(0)
        ended = True
        for _ in range(20):
            await asyncio.sleep(0)
        for each in coming:
            each.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
    gc.collect()
    assert True not in handled
    assert False in handled


async def test_who_comes_when_it_is_shut_is_hung_up_on_while_those_inside_go_on(tmp_path: Path) -> None:
    inside = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside.set()
        writer.write(await reader.readexactly(1))
        await writer.drain()

    async with door(tmp_path / "a.sock", handle, at_once=4) as opened:
        reader, writer = await connected(opened.path)
        async with asyncio.timeout(60):
            await inside.wait()
            opened.shut()
            writer.write(b"x")
            assert await reader.read() == b"x"
            writer.close()
        assert not opened.path.exists()
