"""Work that must come to its end does, and a cancellation is neither lost nor hidden by what went wrong."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from bot.unbroken import unbroken


async def test_its_result_and_its_error_are_those_of_the_work() -> None:
    async def seven() -> int:
        return 7

    async def fail() -> None:
        raise ZeroDivisionError

    assert await unbroken(seven()) == 7
    with pytest.raises(ZeroDivisionError):
        await unbroken(fail())


@pytest.mark.parametrize("fails", [False, True])
async def test_it_ends_however_often_it_is_cancelled(fails: bool) -> None:
    go, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        ended.set()
        if fails:
            raise ZeroDivisionError("by nought")

    waiter = asyncio.create_task(unbroken(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.sleep(0)
        assert not waiter.done()
    go.set()
    with capture_logs() as said, pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(60):
            await waiter
    assert ended.is_set()
    assert [line["error"] for line in said] == ["by nought"] * fails
