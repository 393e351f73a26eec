"""A repository that does not fit on the disk is named as such, and leaves the room that others need."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.errors import SandboxError, UserError
from bot.git import GitMirror
from bot.git.room import within_room
from bot.git.zone import Zone
from bot.ports import GitAccess
from tests.support.disks import MEGABYTE, small_disk
from tests.support.ordinary import only_root
from tests.support.walls import walls

_LEAST = 8  # MiB that have to be left, of 64


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as place:
        yield place


@pytest.fixture
async def mirror(disk: Path) -> GitMirror:
    made = GitMirror(disk / "7.git")
    await made.prepare()
    return made


def _left(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize // MEGABYTE


def _large(folder: Path, megabytes: int) -> GitAccess:
    """Make a repository of so many incompressible MiB."""
    folder.mkdir()
    (folder / "large").write_bytes(os.urandom(megabytes * MEGABYTE))
    who = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    for args in (["init", "-q", "-b", "main"], ["add", "-A"], [*who, "commit", "-qm", "base"]):
        subprocess.run(["git", *args], cwd=folder, check=True, timeout=60)
    return GitAccess(f"file://{folder}/.git", "")


@only_root
async def test_a_repository_that_fills_the_disk_is_refused_and_removed(
    mirror: GitMirror, disk: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"does not fit on the bot's disk: git was ended after [1-9]\d+ MiB"):
        await mirror.fetch(_large(tmp_path / "much", 80))
    assert _left(disk) > 60
    await mirror.fetch(_large(tmp_path / "less", 20))
    assert await mirror.resolve("main") is not None
    assert _left(disk) < 45


async def _brings(mirror: GitMirror, megabytes: int) -> str:
    """Write as git does, slower; and very slowly once there is too little room, so that who looks has its turn."""
    with (mirror.git_dir / "objects/pack/tmp_pack_x").open("wb") as pack:
        for _ in range(megabytes):
            await asyncio.sleep(0.02 if _left(mirror.git_dir) >= _LEAST else 2)
            pack.write(bytes(MEGABYTE))
            pack.flush()
    return "done"


@only_root
async def test_git_is_ended_before_no_room_is_left(mirror: GitMirror, disk: Path) -> None:
    least = 64

    async def bring() -> str:
        nonlocal least
        try:
            return await _brings(mirror, 63)
        finally:
            least = _left(disk)

    with pytest.raises(UserError, match="does not fit"):
        await within_room(mirror.git_dir, bring())
    assert 0 < least <= _LEAST
    assert _left(disk) > 60


@only_root
async def test_who_brings_little_is_not_to_blame_for_a_full_disk(mirror: GitMirror, disk: Path) -> None:
    (disk / "others").write_bytes(bytes(58 * MEGABYTE))
    assert await within_room(mirror.git_dir, _brings(mirror, 0)) == "done"
    assert await within_room(mirror.git_dir, asyncio.sleep(0.5, "done")) == "done"


@only_root
async def test_what_is_cancelled_leaves_nothing(mirror: GitMirror, disk: Path) -> None:
    old = mirror.git_dir / "objects/pack/tmp_pack_old"
    old.touch()
    fetching = asyncio.create_task(within_room(mirror.git_dir, _brings(mirror, 40)))
    await asyncio.sleep(0.5)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert list(mirror.git_dir.glob("objects/pack/tmp_*")) == [old]


@only_root
async def test_what_git_itself_needs_too_much_room_for_in_a_box_is_for_later(disk: Path) -> None:
    for name in ("work", "home"):
        (disk / name).mkdir()
    script = "while head -c 1048576 /dev/zero >>much; do sleep 0.02; done; sleep 60"
    with pytest.raises(SandboxError, match="disk is nearly full"):
        async with Zone(await walls()).open(disk / "work", disk / "home") as box:
            await box.run(["sh", "-c", script], timeout=60)
