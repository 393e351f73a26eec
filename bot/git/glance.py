"""Owns looks at a worktree while an agent works in it: has anything changed since the last one?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bot import files
from bot.errors import SandboxError
from bot.git.boxed import program
from bot.git.boxed.take import CACHE_FOLDERS
from bot.git.zone import Zone
from bot.ports import Sandbox, Talk

_SECONDS = 60.0
_HASH = 64  # characters
_MOST_LAID = 500


class Glance:
    """Asks for a hash of all paths, kinds and contents of a folder; equal hashes mean equal content."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._asking = asyncio.Lock()

    async def __call__(self) -> str:
        """Look once; SandboxError where no answer comes."""
        async with self._asking:
            await self._talk.say(b"\n")
            try:
                async with asyncio.timeout(_SECONDS):
                    return await self._answer()
            except TimeoutError as error:
                raise SandboxError(f"The look at a worktree took longer than {_SECONDS:.0f} s.") from error

    async def _answer(self) -> str:
        said = b""
        while not said.endswith(b"\n"):
            part = await self._talk.read(1 << 10)
            said += part
            if not part or len(said) > _HASH + 1:
                raise SandboxError(f"The look at a worktree ended: {self._talk.errors.strip()[-300:]}")
        return said.decode("ascii", "replace").strip()


@asynccontextmanager
async def glancing(
    sandbox: Sandbox, folder: Path, home: Path, laid: Sequence[str] = ()
) -> AsyncIterator[Glance]:
    """Lend a look at a folder from a box of its own that shows it read-only; `home` is made for it and removed.

    What was `laid` there by the host, paths with all below them, is not looked at, as far as it can be named.
    """
    files.ensure_dir(home)
    try:
        async with Zone(sandbox).looking(folder, home) as box:
            argv = [*program("look"), str(box.work), " ".join(CACHE_FOLDERS), *laid[:_MOST_LAID]]
            async with box.start(argv) as talk:
                yield Glance(talk)
    finally:
        await asyncio.to_thread(files.remove, home)
