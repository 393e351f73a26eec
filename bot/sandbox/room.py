"""Owns how little room on a disk is too little: what a box may write in all is bounded by nothing else.

Where there is too little, a box ends that has written much since it was opened; where there is hardly any, every box,
and that is the failure of those alone that were seen to have written much.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bot.errors import BotError, NoRoomError, OutOfRoomError, SandboxError
from bot.ports import SandboxPolicy

_LEAST_BYTES = 512 << 20
_LEAST_FILES = 20_000
_PART = 8  # of a small disk that part is the least
_NEAR = 8  # times the least: then it is looked at more often
_MUCH = 8  # part of the least which is much for one box
_SECONDS = 1.0
_SHORT_SECONDS = 0.1
_LOOK_SECONDS = 1.0  # for what a box wrote; where that takes longer, it may be much
Ending = tuple[str, type[BotError]]  # what to say to those that use the box
_OWN: Ending = ("The disk is nearly full, so what wrote to it was ended.", OutOfRoomError)
_OTHERS: Ending = ("The disk is nearly full, so all boxes on it were ended.", SandboxError)


@dataclass(frozen=True, slots=True)
class _Amount:
    bytes: int
    files: float  # some file systems do not count them, and have room for any number

    def below(self, other: _Amount, times: float = 1) -> bool:
        return self.bytes < other.bytes * times or self.files < other.files * times


class Room:
    """What is left on the disks that a box writes to; NoRoomError where that is too little before it is opened."""

    def __init__(self, policy: SandboxPolicy, look_seconds: float = _LOOK_SECONDS) -> None:
        work = () if policy.frozen else (policy.work,)
        self._folders = (*work, policy.home, *policy.writable) if policy.watched else ()
        self._look_seconds = look_seconds
        self._since = time.time_ns() - 20_000_000  # file systems' clocks are a tick behind
        self._disks = {folder.stat().st_dev: folder for folder in self._folders}
        for folder in self._disks.values():
            left, least = _amounts(folder)
            if left.below(least):
                raise NoRoomError(
                    f"The disk that boxes write to has room for {left.bytes >> 20} MiB in {left.files:.0f} files, "
                    f"and a box is opened where it has for {least.bytes >> 20} MiB in {least.files:.0f}."
                )

    async def gone(self) -> Ending:
        """Wait until this box has to end, for ever where it has not: OutOfRoomError where that is its own failure."""
        found: float | Ending = _SECONDS
        while isinstance(found, float):
            await asyncio.sleep(found)
            found = await asyncio.to_thread(self._look)
        return found

    def _look(self) -> float | Ending:
        """Give the seconds until the next look, or how the box has to end."""
        pause = _SECONDS
        for folder in self._disks.values():
            with suppress(OSError):  # it was removed, or cannot be asked now
                left, least = _amounts(folder)
                if left.below(least):
                    much = self._wrote_much(least)
                    if much:
                        return _OWN
                    if much is None or left.below(least, 0.5):
                        return _OTHERS
                if left.below(least, _NEAR):
                    pause = _SHORT_SECONDS
        return pause

    def _wrote_much(self, least: _Amount) -> bool | None:
        """Tell whether the box wrote much; None where there is too much to look at."""
        began, seen, files = time.monotonic(), 0, 0
        for found in _below(self._folders):
            if found.st_ctime_ns >= self._since:
                seen += found.st_blocks * 512
                files += 1
            if seen * _MUCH > least.bytes or files * _MUCH > least.files:
                return True
            if time.monotonic() - began > self._look_seconds:
                return None
        return False


def _amounts(folder: Path) -> tuple[_Amount, _Amount]:
    """Give the room that others than root have on a disk, and the least that it is to have."""
    found = os.statvfs(folder)
    left = _Amount(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else float("inf"))
    some = min(_LEAST_FILES, found.f_files // _PART) if found.f_files else 0
    return left, _Amount(min(_LEAST_BYTES, found.f_blocks * found.f_frsize // _PART), some)


def _below(folders: Sequence[Path]) -> Iterator[os.stat_result]:
    """Give what is known of each file; what goes away meanwhile is left out."""
    waiting = [str(folder) for folder in folders]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    yield entry.stat(follow_symlinks=False)
