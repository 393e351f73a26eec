"""Owns the file lock that keeps a second process out of a data folder, and out of the embedded database in it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from bot.errors import UserError


class FileLock:
    """Held from `take` until `release` or the process's end, however it ends; taken twice, it is released twice."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._times = 0

    def take(self) -> None:
        """Take the lock; UserError where another process holds it."""
        if self._descriptor is None:
            self._descriptor = self._taken()
        self._times += 1

    def _taken(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise UserError(
                f"Another Gitwright (process {holder}) works with `{self._path.parent}`. Stop it first, or give"
                " this one another GITWRIGHT_DATA_DIR. Several processes can share work on PostgreSQL only; on PostgreSQL"
                " each process needs a GITWRIGHT_DATA_DIR of its own."
            ) from None
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        return descriptor

    def release(self) -> None:
        """Give the lock back; the file stays, since removing it could split the lock in two."""
        self._times = max(0, self._times - 1)
        if self._descriptor is not None and not self._times:
            os.close(self._descriptor)
            self._descriptor = None
