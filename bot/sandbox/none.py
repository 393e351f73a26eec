"""Owns the back end that isolates nothing, which only an operator can ask for."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from bot import process
from bot.errors import SandboxError
from bot.ports import Completed, SandboxPolicy
from bot.sandbox.lend import lend

FIX = (
    "No sandbox: agents and tests would run with the rights of the bot itself. "
    "On Linux install bubblewrap 0.8 or later and allow user namespaces; on macOS run the bot in a Linux "
    "container or virtual machine. To go on without isolation all the same, on a machine that holds nothing "
    "else, set `GITWRIGHT_SANDBOX=none`."
)


class NoSandbox:
    """Runs commands plainly; refused unless it was explicitly allowed."""

    level = "none"

    def __init__(self, allowed: bool = False) -> None:
        self._allowed = allowed

    def open(self, policy: SandboxPolicy) -> AbstractAsyncContextManager[PlainBox]:
        if not self._allowed:
            raise SandboxError(FIX)
        return lend(partial(PlainBox, policy))


class PlainBox:
    """Commands in the work folder, with a clean environment and nothing else between them and the machine."""

    def __init__(self, policy: SandboxPolicy) -> None:
        self._policy = policy
        self._left: list[int] = []

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        cap: int = 200_000,
        on_line: process.OnLine | None = None,
    ) -> Completed:
        """Run a command; on time-out its process tree is killed as far as it can be found."""
        started = time.monotonic()
        finished = await process.run(
            argv,
            env=self._env(),
            timeout=timeout,
            cwd=self._policy.work,
            cap=cap,
            on_line=on_line,
            sweep=True,
        )
        output = (finished.stdout + finished.stderr)[-cap:].decode("utf-8", "replace")
        return Completed(finished.code, output, time.monotonic() - started)

    @asynccontextmanager
    async def start(self, argv: Sequence[str]) -> AsyncIterator[process.Dialog]:
        """Start a command and lend its streams; at the end its tree is killed as far as it can be found."""
        child = await process.spawn(argv, env=self._env(), cwd=self._policy.work)
        try:
            async with process.dialog(child) as talk:
                yield talk
        finally:
            self._left += await child.kill()
            await child.stop()

    def _env(self) -> dict[str, str]:
        policy = self._policy
        env = {"PATH": policy.path, "HOME": str(policy.home), "LANG": "C.UTF-8"}
        scratch = next((str(p) for p, inside in policy.writable.items() if inside == "/scratch.git"), None)
        if scratch is not None and policy.pointer_git is not None:
            env |= {"GIT_DIR": scratch, "GIT_WORK_TREE": str(policy.work)}
        return {**env, **policy.env}

    async def close(self) -> list[int]:
        return self._left
