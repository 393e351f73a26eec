"""A box that is given back is proved empty; what lives on is said, whatever else went wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bot.agents.supplies import shut
from bot.errors import SandboxError
from bot.ports import SandboxPolicy
from bot.sandbox.lend import lend
from bot.sandbox.none import PlainBox


class Haunted(PlainBox):
    """A box with a process that nobody can kill."""

    async def close(self) -> list[int]:
        return [*await super().close(), 7]


def haunted(folder: Path) -> Haunted:
    return Haunted(SandboxPolicy(work=folder, home=folder))


async def test_what_lives_on_after_a_good_end_is_an_error(tmp_path: Path) -> None:
    lent = lend(haunted(tmp_path))
    await lent.__aenter__()
    with pytest.raises(SandboxError, match="still live: 7"):
        await lent.__aexit__(None, None, None)


class Unknown(PlainBox):
    """A box of which nobody knows how it ended."""

    async def close(self) -> list[int]:
        raise SandboxError("Nobody knows whether it is gone")


async def test_a_bad_end_is_told_as_it_was_also_where_nobody_knows_of_the_box(tmp_path: Path) -> None:
    with capture_logs() as said, pytest.raises(asyncio.CancelledError):
        async with lend(Unknown(SandboxPolicy(work=tmp_path, home=tmp_path))):
            raise asyncio.CancelledError
    assert [(line["event"], line["error"]) for line in said] == [
        ("sandbox_left_behind", "Nobody knows whether it is gone")
    ]
    with pytest.raises(SandboxError, match="Nobody knows"):
        async with lend(Unknown(SandboxPolicy(work=tmp_path, home=tmp_path))):
            pass
    proof = await shut(Unknown(SandboxPolicy(work=tmp_path, home=tmp_path)))
    assert proof.leftovers == ("sandbox: Nobody knows whether it is gone",)


class Slow(PlainBox):
    """A box whose opening and end take their time."""

    def __init__(self, folder: Path, *, opens: bool = True, problem: str = "") -> None:
        super().__init__(SandboxPolicy(work=folder, home=folder))
        self.closing, self.may_close = asyncio.Event(), asyncio.Event()
        self.closed = False
        self._opens, self._says = opens, problem

    async def begin(self) -> None:
        if not self._opens:
            await asyncio.sleep(60)

    async def close(self) -> list[int]:
        self.closing.set()
        await self.may_close.wait()
        self.closed = True
        if self._says:
            raise OSError(self._says)
        return []


@pytest.mark.parametrize("opens", [True, False])
@pytest.mark.parametrize("problem", ["", "it does not close"])
async def test_a_box_is_closed_to_its_end_however_often_its_user_is_cancelled(
    tmp_path: Path, opens: bool, problem: str
) -> None:
    box, lent = Slow(tmp_path, opens=opens, problem=problem), asyncio.Event()

    async def use() -> None:
        async with lend(box):
            lent.set()
            await asyncio.sleep(60)

    user = asyncio.create_task(use())
    await (asyncio.wait_for(lent.wait(), 60) if opens else asyncio.sleep(0.01))
    assert lent.is_set() == opens
    with capture_logs() as said:
        user.cancel()
        for _ in range(3):
            await box.closing.wait()
            user.cancel()
            await asyncio.sleep(0)
        box.may_close.set()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(60):
                await user
    assert box.closed
    assert [line["error"] for line in said] == [problem] * bool(problem)


async def test_what_lives_on_after_a_bad_end_is_logged_beside_the_reason(tmp_path: Path) -> None:
    with capture_logs() as said, pytest.raises(ZeroDivisionError):
        async with lend(haunted(tmp_path)):
            raise ZeroDivisionError
    assert [(line["event"], line["error"]) for line in said] == [
        ("sandbox_left_behind", "Processes of a sandbox still live: 7")
    ]
