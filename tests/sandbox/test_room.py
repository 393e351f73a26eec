"""Who nearly fills a disk is ended, wherever its box may write and with or without walls; others go on, or are not to blame."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import OutOfRoomError, SandboxError
from bot.ports import Sandbox, SandboxPolicy
from bot.sandbox import NoSandbox
from bot.sandbox.room import Room
from tests.support.disks import MEGABYTE, small_disk
from tests.support.ordinary import only_root
from tests.support.walls import walls

# With six of 64 MiB left it waits for its end, which may be a while in coming: were it faster, all would be full.
_FILL = (
    "i=0; while [ $i -lt 58 ]; do head -c 1048576 /dev/zero >>$1/much || exit 1; i=$((i+1)); done; sleep 100"
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as place:
        yield place


@pytest.fixture
async def boxes(request: pytest.FixtureRequest) -> Sandbox:
    return await walls() if request.param == "bwrap" else NoSandbox(allowed=True)


def _policy(folder: Path) -> SandboxPolicy:
    for name in ("work", "home", "scratch"):
        (folder / name).mkdir(parents=True)
    shown = {folder / "scratch": "/scratch.git"}
    return SandboxPolicy(work=folder / "work", home=folder / "home", writable=shown)


def _fill(folder: Path, left: int) -> None:
    """Have so many MiB left."""
    with (folder / "host").open("wb") as file:
        file.write(bytes((64 - left) * MEGABYTE))


@only_root
@pytest.mark.parametrize(
    ("boxes", "where"),
    [
        *(("bwrap", "."), ("bwrap", "$HOME"), ("bwrap", "/scratch.git")),
        *(("none", "."), ("none", "$HOME")),
    ],
    indirect=["boxes"],
)
async def test_who_fills_the_disk_is_ended_and_nobody_else(boxes: Sandbox, where: str, disk: Path) -> None:
    script = f"set -- {where}; {_FILL}"
    async with boxes.open(_policy(disk / "other")) as other:
        with pytest.raises(OutOfRoomError, match="disk is nearly full"):
            async with boxes.open(_policy(disk / "mine")) as box:
                await box.run(["sh", "-c", script], timeout=90)
        much = next(disk.glob("mine/*/much"))
        assert much.stat().st_size > 40 * MEGABYTE
        assert (await other.run(["sh", "-c", "echo lives >here; cat here"], timeout=60)).output == "lives\n"


@only_root
def test_it_is_looked_soon_and_sooner_still_where_little_is_left(disk: Path, tmp_path: Path) -> None:
    """What a disk has left is written within seconds, so whoever looked later would find nothing left."""
    _fill(disk, 40)
    for folder, seconds in ((disk / "mine", 0.1), (tmp_path / "elsewhere", 1.0)):
        pause = Room(_policy(folder))._look()
        assert isinstance(pause, float)
        assert 0 < pause <= seconds


@only_root
@pytest.mark.parametrize("boxes", ["bwrap", "none"], indirect=True)
async def test_a_conversation_ends_as_well_and_nobody_begins_another(boxes: Sandbox, disk: Path) -> None:
    script = f"set -- .; {_FILL}"
    async with (
        boxes.open(_policy(disk / "mine")) as box,
        box.start(["sh", "-c", script]) as talk,
    ):
        assert await talk.read(100) == b""
        with pytest.raises(OutOfRoomError):
            await box.run(["true"], timeout=60)


@only_root
@pytest.mark.parametrize("boxes", ["bwrap", "none"], indirect=True)
async def test_all_end_where_nobody_is_to_blame_and_hardly_anything_is_left(
    boxes: Sandbox, disk: Path
) -> None:
    async with boxes.open(_policy(disk / "mine")) as box:
        _fill(disk, 7)
        assert (await box.run(["sleep", "2"], timeout=60)).code == 0
        _fill(disk, 3)
        with pytest.raises(SandboxError, match="all boxes on it"):
            await box.run(["sleep", "80"], timeout=90)


@only_root
@pytest.mark.parametrize("boxes", ["bwrap", "none"], indirect=True)
async def test_of_two_that_end_only_who_wrote_much_has_failed(boxes: Sandbox, disk: Path) -> None:
    async with AsyncExitStack() as stack:
        stood = await stack.enter_async_context(boxes.open(_policy(disk / "stood")))
        wrote = await stack.enter_async_context(boxes.open(_policy(disk / "wrote")))
        await wrote.run(["sh", "-c", "head -c 2097152 /dev/zero >much"], timeout=60)
        talks = [await stack.enter_async_context(box.start(["sleep", "60"])) for box in (stood, wrote)]
        _fill(disk, 4)  # and two less are left, where half of what has to be are four
        async with asyncio.timeout(60):
            assert [await talk.read(100) for talk in talks] == [b"", b""]
        with pytest.raises(SandboxError, match="all boxes on it"):
            await stood.run(["true"], timeout=60)
        with pytest.raises(OutOfRoomError, match="what wrote to it"):
            await wrote.run(["true"], timeout=60)


@only_root
async def test_nobody_is_blamed_by_a_look_that_did_not_come_to_its_end(disk: Path) -> None:
    policy = _policy(disk / "mine")
    room = Room(policy, look_seconds=0.0)
    (policy.work / "little").write_text("x")
    _fill(disk, 7)
    async with asyncio.timeout(60):
        assert (await room.gone())[1] is SandboxError


@only_root
@pytest.mark.parametrize("boxes", ["bwrap", "none"], indirect=True)
async def test_no_box_is_opened_where_too_little_room_is_left(boxes: Sandbox, disk: Path) -> None:
    _fill(disk, 7)
    with pytest.raises(SandboxError, match="7 MiB"):
        async with boxes.open(_policy(disk / "mine")):
            pass
    async with boxes.open(replace(_policy(disk / "tried"), watched=False)) as box:
        assert (await box.run(["true"], timeout=60)).code == 0, (
            "the canaries' box is no reason to start without one"
        )
    _fill(disk, 9)
    async with boxes.open(_policy(disk / "again")) as box:
        assert (await box.run(["true"], timeout=60)).code == 0
