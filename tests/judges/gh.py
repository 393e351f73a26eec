"""GitHub's own command line as a judge: how `gh` is run against a forge, over a unix socket of its own making."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_RUN_S = 60
_PIECE = 65_536
HOST = "forge.test"


def missing() -> str | None:
    """Why it cannot run here, None if it can."""
    return None if shutil.which("gh") else "gh is not installed"


@dataclass(frozen=True, slots=True)
class Told:
    """What one call of `gh` ended with."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Gh:
    """`gh` with a configuration of its own and a token; nothing of the machine's is read or written."""

    folder: Path
    token: str

    def __call__(self, *words: str, repo: str | None = None) -> Told:
        """Run `gh` with these words, on `owner/name` where it is given."""
        on = ("-R", f"{HOST}/{repo}") if repo is not None else ()
        done = subprocess.run(
            ["gh", *words, *on],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_RUN_S,
            check=False,
        )
        return Told(done.returncode, done.stdout, done.stderr)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GH_CONFIG_DIR": str(self.folder / "config"),
            "GH_HOST": HOST,
            "GH_ENTERPRISE_TOKEN": self.token,
            "GH_NO_UPDATE_NOTIFIER": "1",
            "GH_PROMPT_DISABLED": "1",
            "NO_COLOR": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
        }


@contextmanager
def connected(folder: Path, url: str, token: str) -> Iterator[Gh]:
    """`gh` whose every call ends at the forge at `url`; it speaks plain HTTP, as GHES has it, to a socket."""
    folder.mkdir(parents=True, exist_ok=True)
    _, _, address = url.partition("://")
    host, _, port = address.partition(":")
    # Names of sockets are short, and where a test's own folder lies is not.
    with (
        tempfile.TemporaryDirectory(prefix="gwgh", dir="/tmp") as short,
        _piped(Path(short) / "s", (host, int(port))),
    ):
        gh = Gh(folder, token)
        told = gh("config", "set", "http_unix_socket", str(Path(short) / "s"))
        assert told.code == 0, told.err
        yield gh


@contextmanager
def _piped(path: Path, target: tuple[str, int]) -> Iterator[None]:
    """Hand every connection to the socket at `path` on to `target`."""
    loop = asyncio.new_event_loop()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*target)
        there = there_writer.get_extra_info("socket")
        there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        finally:
            there_writer.close()
            writer.close()

    # asyncio lets go of a connection on which the other side has said its last: it would be collected as garbage.
    held: set[asyncio.Task[None]] = set()

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = loop.create_task(carry(reader, writer))
        held.add(task)
        task.add_done_callback(held.discard)

    server = loop.run_until_complete(asyncio.start_unix_server(take, str(path)))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_closed(server, held), loop).result(_RUN_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_RUN_S)
        loop.close()


async def _closed(server: asyncio.Server, held: set[asyncio.Task[None]]) -> None:
    server.close()
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    await asyncio.sleep(0)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while piece := await source.read(_PIECE):
            target.write(piece)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
    except ConnectionError:  # one of the two has gone, and with it whoever wanted the bytes
        target.close()
