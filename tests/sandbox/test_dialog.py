"""A command in a box can be talked to, and nothing of it lives on, with walls and without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from bot import living
from bot.ports import Sandbox, SandboxPolicy, Talk
from bot.sandbox import NoSandbox
from tests.support.walls import walls

_LEAVES_MORE = "(setsid sleep 161 >/dev/null 2>&1 &); setsid setsid sleep 162 & echo ready; "


async def line_of(talk: Talk) -> bytes:
    said = b""
    while not said.endswith(b"\n") and (byte := await talk.read(1)):
        said += byte
    return said


@pytest.fixture(params=["bwrap", "none"])
async def boxes(request: pytest.FixtureRequest) -> Sandbox:
    return await walls() if request.param == "bwrap" else NoSandbox(allowed=True)


async def test_what_is_said_is_answered_line_by_line(boxes: Sandbox, policy: SandboxPolicy) -> None:
    script = 'echo late >&2; while read -r line; do echo "got $line"; done; exit 3'
    async with boxes.open(policy) as box, box.start(["sh", "-c", script]) as talk:
        for word in ("one", "two"):
            await talk.say(f"{word}\n".encode())
            assert await asyncio.wait_for(line_of(talk), 60) == f"got {word}\n".encode()
        assert await talk.wait(0.05) is None
        assert talk.errors == "late\n"


async def test_its_own_end_is_seen(boxes: Sandbox, policy: SandboxPolicy) -> None:
    async with boxes.open(policy) as box, box.start(["sh", "-c", "echo why >&2; exit 3"]) as talk:
        assert await asyncio.wait_for(talk.read(100), 60) == b""
        assert await talk.wait(60) == 3
        await talk.say(b"is anybody there?\n")
        assert talk.errors == "why\n"


async def test_much_noise_on_standard_error_does_not_stop_it(boxes: Sandbox, policy: SandboxPolicy) -> None:
    script = "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo END >&2; echo said"
    async with boxes.open(policy) as box, box.start(["sh", "-c", script]) as talk:
        assert await asyncio.wait_for(line_of(talk), 60) == b"said\n"
        await talk.wait(60)
        assert len(talk.errors) <= 1 << 16


async def _leave_orderly(policy: SandboxPolicy, boxes: Sandbox) -> None:
    async with boxes.open(policy) as box:
        async with box.start(["sh", "-c", f"{_LEAVES_MORE} exec sleep 163"]) as talk:
            await asyncio.wait_for(line_of(talk), 60)
            assert living.working_in(policy.work) != []
        assert living.working_in(policy.work) == []
        assert await box.close() == []


async def _leave_after_its_end(policy: SandboxPolicy, boxes: Sandbox) -> None:
    async with boxes.open(policy) as box, box.start(["sh", "-c", _LEAVES_MORE]) as talk:
        assert await talk.wait(60) == 0


async def _leave_by_error(policy: SandboxPolicy, boxes: Sandbox) -> None:
    with suppress(ZeroDivisionError):
        async with boxes.open(policy) as box, box.start(["sh", "-c", f"{_LEAVES_MORE} sleep 163"]) as talk:
            await asyncio.wait_for(line_of(talk), 60)
            raise ZeroDivisionError


async def _leave_by_cancelling(policy: SandboxPolicy, boxes: Sandbox) -> None:
    ready = asyncio.Event()

    async def talking() -> None:
        async with boxes.open(policy) as box, box.start(["sh", "-c", f"{_LEAVES_MORE} sleep 163"]) as talk:
            await line_of(talk)
            ready.set()
            await talk.wait(60)

    task = asyncio.create_task(talking())
    await asyncio.wait_for(ready.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "leave", [_leave_orderly, _leave_after_its_end, _leave_by_error, _leave_by_cancelling]
)
async def test_nothing_of_it_lives_on(
    boxes: Sandbox, policy: SandboxPolicy, leave: Callable[..., object]
) -> None:
    started = time.monotonic()
    await leave(policy, boxes)  # type: ignore[misc]
    assert living.working_in(policy.work) == []
    assert time.monotonic() - started < 90  # while what it left would sleep for longer
