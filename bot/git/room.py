"""Owns the bounds of what git brings: on the disk, where it leaves room for others, and in memory, where it unpacks."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from bot import files
from bot.errors import GitError, UserError
from bot.git.runner import Place, git
from bot.unbroken import unbroken

_LEAST_BYTES = 1 << 30
_PART = 8  # of a small disk that part is the least
_MUCH = 8  # part of the least: who brought less is not who filled the disk
_SECONDS = 0.1
_PACKS = "objects/pack/tmp_*"
# Files go through git piece by piece, and what it maps of the mirror's packs, however large, counts as memory.
_STREAMED = (
    *("-c", "core.bigFileThreshold=1m"),
    *("-c", "core.packedGitWindowSize=32m", "-c", "core.packedGitLimit=128m"),
)
_MEMORY = 512 << 20  # for trees, commits, and what is told as a difference

T = TypeVar("T")


async def within_room(git_dir: Path, fetching: Coroutine[Any, Any, T]) -> T:
    """Have git fetch into a repository, of which nothing else fetches; UserError where that would fill the disk.

    What a git that did not come to its end brought is removed.
    """
    before = _packs(git_dir)
    work = asyncio.create_task(fetching)
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=_SECONDS)
            if not work.done() and await asyncio.to_thread(_filled, git_dir, before):
                raise _full(git_dir, before)
        return work.result()
    except GitError as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise _full(git_dir, before) from error
        raise
    finally:
        await unbroken(_ended(work))
        if work.cancelled() or work.exception() is not None:
            for pack in _packs(git_dir) - before:
                files.remove(pack)


async def unpack(place: Place, pack: bytes) -> None:
    """Take in objects from a pack; GitError for one that is broken, links to nowhere or needs too much memory."""
    await git(place, "unpack-objects", "-q", "--strict", stdin=pack, options=_STREAMED, memory=_MEMORY)


async def _ended(work: asyncio.Task[T]) -> None:
    work.cancel()
    await asyncio.wait({work})


def _filled(git_dir: Path, before: set[Path]) -> bool:
    """Tell whether too little is left, and this git is to blame."""
    found = os.statvfs(git_dir)
    least = min(_LEAST_BYTES, found.f_blocks * found.f_frsize // _PART)
    return found.f_bavail * found.f_frsize < least and _bytes(git_dir, before) > least // _MUCH


def _bytes(git_dir: Path, before: set[Path]) -> int:
    total = 0
    for pack in _packs(git_dir) - before:
        with suppress(OSError):
            total += pack.lstat().st_size
    return total


def _packs(git_dir: Path) -> set[Path]:
    """Name what git has not finished."""
    return set(git_dir.glob(_PACKS))


def _full(git_dir: Path, before: set[Path]) -> UserError:
    return UserError(
        f"The repository does not fit on the bot's disk: git was ended after {_bytes(git_dir, before) >> 20} MiB of it, with "
        "hardly any room left. Give DATA_DIR more room, or take large files out of the repository's branches."
    )
