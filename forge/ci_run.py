"""Runs one CI command: a scratch checkout of a commit, a process group of its own, and a time limit."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 300.0  # seconds
TAIL = 30_000  # bytes of output that are kept: the end is where the failure stands
_GRACE = 2.0  # seconds for the last output once the group is killed


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended; `exit_code` is None if its time was up."""

    exit_code: int | None
    output: str
    seconds: float


class CheckoutError(Exception):
    """git could not lay out the commit."""


@contextlib.asynccontextmanager
async def checkout(repository: Path, sha: str) -> AsyncIterator[Path]:
    """Lay out the files of `sha` in a scratch folder, without a work tree's `.git`; removed at the end.

    Raises CheckoutError.
    """
    scratch = Path(tempfile.mkdtemp(prefix="forge-ci-"))
    try:
        source = scratch / "src"
        (scratch / "home").mkdir()
        source.mkdir()
        # An index of its own: nothing in the bare repository changes, and export-ignore attributes do not apply.
        env = _environment(scratch) | {"GIT_INDEX_FILE": str(scratch / "index"), "GIT_CONFIG_NOSYSTEM": "1"}
        git = ("git", f"--git-dir={repository}", "-c", "core.bare=false", f"--work-tree={source}")
        await _git(*git, "read-tree", sha, cwd=source, env=env)
        await _git(*git, "checkout-index", "--all", "--force", cwd=source, env=env)
        yield source
    finally:
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


async def run_command(command: str, source: Path, timeout: float = TIMEOUT) -> CommandResult:
    """Run `sh -c command` in a checkout; its whole process group is gone when this returns or is cancelled."""
    started = time.monotonic()
    async with _pipe() as (into, lines):
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            command,
            cwd=source,
            env=_environment(source.parent),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=into,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        os.close(into)
        tail = bytearray()
        reading = asyncio.create_task(_keep_tail(lines, tail))
        exit_code: int | None = None
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    exit_code = await process.wait()
        finally:
            # Also after a normal end: what the command left in the background goes with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await reading
    return CommandResult(exit_code, tail.decode(errors="replace"), time.monotonic() - started)


@contextlib.asynccontextmanager
async def _pipe() -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
    """Open a pipe of our own; with asyncio's, waiting for a command waits for all who hold its output, too."""
    out_of, into = os.pipe()
    lines = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(out_of, "rb", buffering=0)
    )
    try:
        yield into, lines
    finally:
        transport.close()


def _environment(scratch: Path) -> dict[str, str]:
    """Return what a command sees: the caller's PATH and nothing else of the forge's own environment."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(scratch / "home"),
        "TMPDIR": str(scratch / "home"),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "CI": "true",
    }


async def _keep_tail(stream: asyncio.StreamReader, tail: bytearray) -> None:
    while chunk := await stream.read(65_536):
        tail += chunk
        del tail[:-TAIL]


async def _git(*command: str, cwd: Path, env: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=env, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            _, complaint = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise CheckoutError(complaint.decode(errors="replace").strip())
