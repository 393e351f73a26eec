"""Owns the boxes in which git and the bot's own programs meet what others wrote: no network, no credential, one use."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.errors import OutOfRoomError, SandboxError
from bot.ports import Box, Sandbox, SandboxPolicy

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Zone:
    """Lends such boxes; what is shown lies at its own path inside, but for the working directory."""

    sandbox: Sandbox

    @asynccontextmanager
    async def open(
        self, work: Path, home: Path, *, shown: tuple[Path, ...] = (), writable: tuple[Path, ...] = ()
    ) -> AsyncIterator[Box]:
        """Lend a box that may write `work`, `home` and `writable`, and read `shown`; SandboxError where there is no room."""
        try:
            async with self.sandbox.open(_policy(work, home, shown, writable, frozen=False)) as box:
                yield box
        except OutOfRoomError as error:  # it is the bot's own work that needs it, and can be done later
            raise SandboxError(str(error)) from error

    def looking(self, work: Path, home: Path) -> AbstractAsyncContextManager[Box]:
        """Lend a box that may read `work` and write nothing but `home`."""
        return self.sandbox.open(_policy(work, home, (), (), frozen=True))


def _policy(
    work: Path, home: Path, shown: tuple[Path, ...], writable: tuple[Path, ...], *, frozen: bool
) -> SandboxPolicy:
    return SandboxPolicy(
        work=work,
        home=home,
        readable=_same(shown),
        writable=_same(writable),
        path=_path(),
        frozen=frozen,
    )


def _same(paths: tuple[Path, ...]) -> Mapping[Path, str]:
    return {path: str(path) for path in paths}


def _path() -> str:
    """Show git and a Python: the one that the bot itself runs on, without its packages."""
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve().parent
    git = shutil.which("git")
    found = [str(python), *([str(Path(git).parent)] if git else []), *_SYSTEM_PATH.split(":")]
    return ":".join(dict.fromkeys(found))
