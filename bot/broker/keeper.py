"""Owns the broker's process on the bot's side: started, started again, listened to, ended; the bot's way to its doors."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import stat
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import structlog

from bot import process
from bot.broker import own
from bot.broker.client import Apart, Line, git_at
from bot.broker.credential import Credential
from bot.broker.door import ALIVE
from bot.broker.doors import Place
from bot.broker.serving import CONNECTIONS, loopback
from bot.broker.ways import Ways
from bot.errors import BotError, UserError

PATIENCE = 5.0  # seconds for the broker to say that it is alive
_START = 90.0  # seconds for it to be ready: Python reads a lot until then, and a busy machine has little time for it
_END = 5.0  # seconds for it to end by itself
_PAUSES = (0.0, 0.0, 0.5, 2.0, 5.0, 15.0)  # seconds before it is started again; the last one from then on
_SETTLED = 60.0  # seconds of work after which the pauses begin anew
_LONGEST_PATH = 100  # bytes; the kernel has room for 108 in the address of a unix socket
# What it has of our environment: how the forge is reached, and whom to trust on the way.
_INHERITED = [
    *("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"),
    *(f"{name}_PROXY" for name in ("HTTP", "HTTPS", "ALL", "NO")),
    *(f"{name}_proxy" for name in ("http", "https", "all", "no")),
]
_HERE = Path(__file__).resolve().parents[2]  # where `bot` is found
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

_log = structlog.get_logger(__name__)


class Keeper:
    """A broker in a process of its own. The sockets are ours, so calls wait while it is started again."""

    def __init__(self, credential: Credential, place: Place, data_dir: Path, calls: int) -> None:
        """UserError where a proxy on the way to the forge cannot be used."""
        self._credential = credential
        self._place = place
        self._path = socket_of(data_dir)
        self._limits = httpx.Limits(max_connections=max(calls, 1))
        self._straight = Ways(place.api_url, self._limits)
        self._child: process.Child | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[None] | None = None
        self._api: socket.socket | None = None
        self._git: socket.socket | None = None

    async def start(self) -> None:
        """Have it ready; a UserError says what is wrong with the credential, a BotError why it does not start."""
        self._api, self._git = _listening(self._path), loopback()
        try:
            await self._spawn()
        except BaseException:
            await self.aclose()
            raise
        self._watching = asyncio.create_task(self._watch(), name="broker")
        self._watching.add_done_callback(_watched)

    @property
    def mode(self) -> str:
        return self._credential.mode

    @property
    def pid(self) -> int | None:
        """Name its process; None where there is none at the moment."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    def transport(self) -> httpx.AsyncBaseTransport:
        return Apart(self._place.api_url, Line(str(self._path), self._limits), self._straight)

    async def git(self, url: str) -> str:
        assert self._git is not None
        return git_at(self._git.getsockname()[1], url)

    async def find(self, data: bytes) -> list[own.Found]:
        return await own.asked(str(self._path), data)

    async def trouble(self) -> str:
        return "" if await alive(self._path) else "the broker does not answer"

    async def aclose(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._end()
        for each in (self._api, self._git):
            if each is not None:
                each.close()
        self._path.unlink(missing_ok=True)
        await self._straight.aclose()

    async def _spawn(self) -> None:
        assert self._api is not None
        assert self._git is not None
        numbers = (self._api.fileno(), self._git.fileno())
        self._child = child = await process.spawn(
            [sys.executable, "-s", "-m", "bot.broker"],
            env=process.inherited(*_INHERITED),
            cwd=_HERE,
            pass_fds=numbers,
        )
        self._tasks = [asyncio.create_task(_retold(child.stderr), name="broker's log")]
        order = {
            "credential": asdict(self._credential),
            "place": asdict(self._place),
            "api": numbers[0],
            "git": numbers[1],
        }
        # Its standard input stays open as long as we live: its end is how it hears of ours.
        await child.feed(json.dumps(order).encode() + b"\n", close=False)
        try:
            async with asyncio.timeout(_START):
                said = await child.stdout.readline()
                told = json.loads(said) if said.startswith(b"{") else {}
        except (TimeoutError, ValueError):  # nothing, too much, or half of it
            told = {}
        if "ready" not in told:
            await self._end()
            if "problem" in told:
                raise UserError(told["problem"])
            raise BotError("the broker, which holds the App's key, does not start; the log tells more")
        _log.info("broker_started", pid=child.pid, uid=told["ready"])

    async def _watch(self) -> None:
        """Start it again whenever it has ended."""
        loop = asyncio.get_running_loop()
        tries = 0
        while True:
            began = loop.time()
            if self._child is not None:
                while await self._child.wait(60.0) is None:
                    pass
                _log.error("broker_ended", code=self._child.returncode)
                await self._end()
            tries = 0 if loop.time() - began > _SETTLED else tries + 1
            await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            try:
                await self._spawn()
            except BotError as error:
                _log.error("broker_not_started", error=str(error))

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        try:
            await child.feed(b"", close=True)
            await child.wait(_END)
        finally:  # also where who waits is cancelled: nobody else knows of it any more
            await child.stop()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


async def alive(path: Path) -> bool | None:
    """Ask the broker at a socket whether it is alive; None where no bot listens there."""
    try:
        async with asyncio.timeout(PATIENCE), httpx.AsyncHTTPTransport(uds=str(path)) as line:
            answer = await line.handle_async_request(httpx.Request("GET", f"http://broker{ALIVE}"))
            await answer.aread()
    except httpx.ConnectError:
        return None
    except (httpx.HTTPError, OSError, TimeoutError):
        return False
    return answer.status_code == 200


def socket_of(data_dir: Path) -> Path:
    """Name the broker's socket: in DATA_DIR, or where that has too long a name, in a folder that stands for it."""
    usual = data_dir.absolute() / "broker.sock"
    if len(os.fsencode(usual)) <= _LONGEST_PATH:
        return usual
    name = hashlib.sha256(os.fsencode(usual)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"gitwright-{os.geteuid()}-{name}" / "broker.sock"


def _listening(path: Path) -> socket.socket:
    """Listen at a path, for this user alone; what an ended bot left there is taken away: DATA_DIR is ours alone."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    found = path.parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise UserError(f"{path.parent} is not this user's. Set GITWRIGHT_DATA_DIR to a folder that is.")
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        made.bind(str(path))
        made.listen(CONNECTIONS)
    except OSError as error:
        made.close()
        raise UserError(f"The broker's socket {path} cannot be made: {error.strerror}") from error
    finally:
        os.umask(before)
    return made


def _watched(watching: asyncio.Task[None]) -> None:
    """Say that nobody starts the broker again any more, which only a fault of ours can bring about."""
    if not watching.cancelled() and (error := watching.exception()):
        _log.critical("broker_not_watched", error=repr(error))


async def _retold(stream: asyncio.StreamReader) -> None:
    """Say in our log what the broker says in its."""
    tail = process.Tail(1 << 16)

    async def line(text: str) -> None:
        told: Any = None
        with suppress(ValueError):
            told = json.loads(text)
        if not isinstance(told, dict):
            _log.warning("broker_said", text=text)
            return
        level = _LEVELS.get(str(told.pop("level", "")), 30)
        told.pop("timestamp", None)
        _log.log(
            level,
            str(told.pop("event", "broker_said")),
            **{f"broker_{key}": value for key, value in told.items()},
        )

    await process.drain(stream, tail, line)
