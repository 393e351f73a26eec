"""Owns the index that the host keeps of a checkout: it tells git which files of a worktree it need not read again.

An agent can set a file's time of change back, but not the time at which its inode changed, which the index holds too.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bot import files

_LARGEST = 256 << 20  # bytes of an index; where it is larger git reads all files again
_TICK_SECONDS = 0.03  # more than a tick of the clock that file systems write down


@dataclass(frozen=True, slots=True)
class Kept:
    """An index in a folder of the host's own, as it was when the files had just been written."""

    file: Path
    digest: bytes

    def lend(self, target: Path) -> bool:
        """Copy it with its time, by which git knows what may have changed just after; False where it is not as it was."""
        data = files.read_beneath(self.file.parent, self.file.name, _LARGEST)
        if data is None or hashlib.sha256(data).digest() != self.digest:
            return False
        _copy(data, target, self.file.stat().st_mtime_ns)
        return True


def keep(folder: Path, name: str, target: Path) -> Kept | None:
    """Keep the index `name` that git has written in `folder`; to be called before anybody changes what it tells of.

    None where there is no such index, or none that can be read.
    """
    data = files.read_beneath(folder, name, _LARGEST)
    if data is None:
        return None
    _copy(data, target, (folder / name).lstat().st_mtime_ns)
    return Kept(target, hashlib.sha256(data).digest())


def _copy(data: bytes, target: Path, when: int) -> None:
    with target.open("xb") as file:
        file.write(data)
    os.utime(target, ns=(when, when))


def tells(folder: Path) -> bool:
    """Try whether its file system writes down when a file is changed through a mapping: some in memory do not.

    Only where it does can an index be believed.
    """
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(b"-")
        file.flush()
        before = os.fstat(file.fileno()).st_ctime_ns
        time.sleep(_TICK_SECONDS)
        with mmap.mmap(file.fileno(), 1) as mapping:
            mapping[0:1] = b"+"
            mapping.flush()
        return os.fstat(file.fileno()).st_ctime_ns != before
