"""Owns disks that are soon full, for those who may mount."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEGABYTE = 1 << 20


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """Lend one of 64 MiB at a new folder, of which an eighth has to be left."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    subprocess.run(mount, check=True, timeout=60)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True, timeout=60)
