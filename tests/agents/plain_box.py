"""A box without walls for tests of agents: a real process with its own HOME, killed with its group."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from bot.ports import Completed


class PlainBox:
    """Implements Box by an ordinary child process."""

    def __init__(self, work: Path, home: Path) -> None:
        self._work = work
        self._home = home
        self.started: list[int] = []

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        cap: int = 200_000,
        on_line: Callable[[str], Awaitable[None]] | None = None,
    ) -> Completed:
        begun = time.monotonic()
        child = await asyncio.create_subprocess_exec(
            *argv,
            cwd=self._work,
            env={"PATH": os.environ["PATH"], "HOME": str(self._home)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self.started.append(child.pid)
        assert child.stdout is not None
        lines: list[str] = []
        code: int | None = None
        try:
            async with asyncio.timeout(timeout):
                async for raw in child.stdout:
                    lines.append(raw.decode())
                    if on_line is not None:
                        await on_line(raw.decode().rstrip("\n"))
                code = await child.wait()
        except TimeoutError:
            pass
        finally:
            if child.returncode is None:
                os.killpg(child.pid, signal.SIGKILL)
                await child.wait()
        return Completed(code, "".join(lines)[-cap:], time.monotonic() - begun)

    async def close(self) -> list[int]:
        return []
