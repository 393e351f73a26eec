"""Many commands over one pair of pipes: none stops the others, and a broken other end is an error, never a wait."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot import process
from bot.errors import SandboxError
from bot.ports import SandboxPolicy
from bot.sandbox import BwrapSandbox
from bot.sandbox.channel import Channel
from bot.sandbox.inside import frames


async def test_a_command_whose_output_nobody_reads_stops_alone(
    sandbox: BwrapSandbox, policy: SandboxPolicy
) -> None:
    async with (
        sandbox.open(policy) as box,
        box.start(["sh", "-c", "head -c 9000000 /dev/zero; echo end"]) as quiet,
    ):
        for _ in range(5):
            assert (await box.run(["echo", "other"], timeout=60)).output == "other\n"
        assert await quiet.wait(0.3) is None
        size = 0
        while data := await asyncio.wait_for(quiet.read(1 << 16), 60):
            size += len(data)
        assert size == 9_000_004
        assert await quiet.wait(60) == 0


async def test_a_command_that_reads_no_input_stops_alone(
    sandbox: BwrapSandbox, policy: SandboxPolicy
) -> None:
    much = b"x" * 3_000_000
    async with sandbox.open(policy) as box:
        slow = asyncio.create_task(box.run(["sleep", "30"], timeout=2, stdin=much))
        assert (await box.run(["wc", "-c"], timeout=60, stdin=much)).output == "3000000\n"
        assert (await box.run(["true"], timeout=60, stdin=much)).code == 0
        assert (await slow).code is None


async def test_environment_input_and_output_are_exactly_what_was_given(
    sandbox: BwrapSandbox, policy: SandboxPolicy
) -> None:
    async with sandbox.open(policy) as box:
        done = await box.run(
            ["sh", "-c", "cat; echo $A; echo $B"], timeout=60, env={"A": "a b\n=c", "B": "ü"}, stdin=b"in\n"
        )
        assert done.output == "in\na b\n=c\nü\n".replace("a b\n=c", "a b =c")
        assert (await box.run(["env"], timeout=60)).output.count("A=") == 0
        assert (await box.run(["sh", "-c", "kill -9 $$"], timeout=60)).code == -9
        with pytest.raises(process.ProcessError):
            await box.run(["a\0b"], timeout=5)


async def test_many_commands_at_once_are_kept_apart(sandbox: BwrapSandbox, policy: SandboxPolicy) -> None:
    async with sandbox.open(policy) as box:
        script = "cat; for n in 1 2 3; do echo $0; done"
        runs = (box.run(["sh", "-c", script, str(n)], timeout=60, stdin=f"{n} ".encode()) for n in range(30))
        for n, done in enumerate(await asyncio.gather(*runs)):
            assert done.output == f"{n} {n}\n{n}\n{n}\n"


async def test_a_box_that_was_killed_is_an_error_of_all_that_use_it(
    sandbox: BwrapSandbox, policy: SandboxPolicy
) -> None:
    async with sandbox.open(policy) as box:
        running = asyncio.create_task(box.run(["sleep", "300"], timeout=300))
        async with box.start(["cat"]) as talk:
            await asyncio.sleep(0.2)
            assert box._channel is not None
            await box._channel._child.kill()
            with pytest.raises(SandboxError, match="ended by itself"):
                await asyncio.wait_for(running, 60)
            assert await asyncio.wait_for(talk.read(10), 60) == b""
            with pytest.raises(SandboxError):
                await talk.wait(60)
        with pytest.raises(SandboxError, match="ended by itself"):
            await box.run(["true"], timeout=60)


@asynccontextmanager
async def _speaking(said: bytes, then: str = "time.sleep(300)", times: int = 1) -> AsyncIterator[Channel]:
    """A channel to a program that says this after it was given a command."""
    ready = frames.HEAD.pack(frames.READY, 0, 0)
    code = f"import os, time; os.write(1, {ready!r}); os.read(0, 10); [os.write(1, {said!r}) for _ in range({times})]; {then}"
    child = await process.spawn([sys.executable, "-c", code], env={})
    channel = Channel(child)
    try:
        await channel.begin(60)
        yield channel
    finally:
        assert await channel.close() == []


def _frame(kind: int, number: int, body: bytes = b"") -> bytes:
    return frames.HEAD.pack(kind, number, len(body)) + body


@pytest.mark.parametrize(
    "said",
    [
        b"\xff" * 100,
        _frame(frames.OUT, 7, b"for a command that nobody asked for"),
        _frame(99, 1),
        _frame(frames.EXIT, 1, b"xx"),
        _frame(frames.OUT, 1, b"x" * 2000),  # more than was asked for
        frames.HEAD.pack(frames.OUT, 1, 1 << 30),
    ],
)
async def test_a_broken_protocol_is_an_error_and_the_end_of_the_box(said: bytes) -> None:
    async with _speaking(said, times=200) as channel, channel.command(["true"], {}) as command:
        with pytest.raises(SandboxError, match="protocol"):
            await command.wait(60)
        assert await channel._child.wait(60) is not None


async def test_an_end_in_the_middle_of_a_frame_is_an_error() -> None:
    async with _speaking(_frame(frames.OUT, 1, b"whole")[:-2], then="os._exit(1)") as channel:
        with pytest.raises(SandboxError, match="ended by itself"):
            await channel.run(["true"], {}, timeout=60, cap=10, on_line=None, stdin=b"")


async def test_a_box_that_does_not_start_says_why() -> None:
    child = await process.spawn(
        ["sh", "-c", "echo no namespaces here >&2; exit 3"], env={"PATH": "/bin:/usr/bin"}
    )
    channel = Channel(child)
    with pytest.raises(SandboxError, match="no namespaces here"):
        await channel.begin(60)
    assert await channel.close() == []
