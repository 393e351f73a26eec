"""Owns `gitwright serve`: the bot as a process that can be killed and started again at any time."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType

import click
import structlog
import uvicorn
from starlette.types import ASGIApp

from bot import brokered, credentials, log
from bot.core.unboxed import WARNING
from bot.engine.lock import FileLock
from bot.errors import UserError
from bot.proxies import is_loopback
from bot.settings import Settings, load_settings
from bot.web.addresses import in_the_clear
from bot.web.app import Switch, create_app
from bot.web.dashboard import Overview
from bot.web.listening import bound, config, queue, refusals_told
from bot.web.setup import Setup
from bot.web.webhook import Webhook
from bot.wiring import Bot, SystemClock, build, folder_lock

_log = structlog.get_logger(__name__)

SHUTDOWN = 14.0  # seconds; whatever hangs then is left to the next start
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@click.command("serve")
@click.option(
    "--script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Script for the model and agent named `scripted`.",
)
def command(script: Path | None) -> None:
    """Receive webhooks and work on tracks until SIGTERM or SIGINT; a second signal exits at once."""
    overrides = {"script": script} if script else {}
    settings = load_settings(**overrides)
    log.set_up(secrets=settings.secrets())
    sys.exit(asyncio.run(serve(settings, lambda: load_settings(**overrides))))


async def serve(settings: Settings, reread: Callable[[], Settings]) -> int:
    """Serve until a signal comes; 0 after an orderly end, 1 where nothing could be served.

    Without credentials the set-up page is served until it has stored some, which `reread` then finds.
    """
    _check_hearing(settings)
    early = _Early()
    for path in credentials.exposed(settings.data_dir):
        _log.warning("credentials_exposed", file=str(path), mend="chmod 600")
    if in_the_clear(settings.github_api_url):
        _log.warning("forge_in_the_clear", url=settings.github_api_url, mend="use its https:// address")
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = folder_lock(settings)
    lock.take()
    try:
        with _port(settings) as sockets:
            if settings.mode == "setup":
                return await _set_up(settings, reread, lock, sockets)
            async with running(settings, lock) as bot:
                return await _listen(app_of(bot), settings, sockets)
    except asyncio.CancelledError:
        if not early.came:
            raise
        return 0
    finally:
        lock.release()


def _check_hearing(settings: Settings) -> None:
    if deaf := settings.deaf():
        lines = ("The settings are not usable for a server; mend these and start again:", *deaf)
        raise UserError("\n- ".join(lines))


@contextmanager
def _port(settings: Settings) -> Iterator[list[socket.socket]]:
    """Have the port before anything starts, so that a start for nothing disturbs nobody's work."""
    sockets = bound(settings.host, settings.port)
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


@asynccontextmanager
async def running(settings: Settings, lock: FileLock | None = None) -> AsyncIterator[Bot]:
    """Have the bot work inside of the block; it is stopped however the block, or its start, ends."""
    if settings.sandbox == "none":
        click.echo(f"{'!' * 80}\n{WARNING}\n{'!' * 80}", err=True)
    async with brokered.beside(settings) as broker:
        bot = await build(settings, broker=broker)
    try:
        await bot.start(lock)
        yield bot
    finally:
        await bot.stop()


def app_of(bot: Bot) -> ASGIApp:
    """Give what a bot serves over HTTP."""
    secrets = [secret.get_secret_value().encode() for secret in bot.settings.webhook_secret]

    async def look() -> Overview:
        return Overview(bot.sandbox.level, bot.sandbox.name, *await bot.readiness.overview())

    return create_app(Webhook(secrets, bot.store.add_delivery, bot.clock), bot.readiness, look)


async def _set_up(
    settings: Settings, reread: Callable[[], Settings], lock: FileLock, sockets: list[socket.socket]
) -> int:
    """Serve the set-up page, and from its end on the bot, at the same port."""
    if (
        settings.webhook_secret
    ):  # it would win over the one that the forge makes, and no webhook would be taken
        raise UserError(
            "GITWRIGHT_WEBHOOK_SECRET is set, and neither GITWRIGHT_APP_ID nor GITWRIGHT_TOKEN. Set the rest too; or take it "
            "away, and the page for set-up is served, where the forge makes the secret."
        )

    def load() -> Settings:
        found = reread()
        _check_hearing(found)
        log.set_up(secrets=(*found.secrets(), setup.token))
        return found

    later = _Later(load, lock)
    setup = Setup(settings, SystemClock(), later.start)
    later.switch = Switch(setup.app())
    log.set_up(secrets=(*settings.secrets(), setup.token))

    def announce(port: int) -> None:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - read only
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"Set up Gitwright: http://{shown}:{port}/setup?token={setup.token}")
        if not is_loopback(settings.host):
            _log.warning(
                "setup_page_in_the_open", host=settings.host, mend="reach it over HTTPS or an SSH tunnel"
            )

    try:
        return await _listen(later.switch, settings, sockets, announce)
    finally:
        await later.stop()


class _Later:
    """Starts the bot while its port is open already, in a task of its own, in which it also stops."""

    switch: Switch

    def __init__(self, load: Callable[[], Settings], lock: FileLock) -> None:
        self._load = load
        self._lock = lock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the bot and have it served; raises what kept it from starting, and may be called again then."""
        started = asyncio.Event()
        self._task = asyncio.create_task(self._run(started), name="bot")
        waiting = asyncio.create_task(started.wait())
        try:
            await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not started.is_set():
            self._task.result()

    async def _run(self, started: asyncio.Event) -> None:
        async with running(self._load(), self._lock) as bot:
            self.switch.bot = app_of(bot)
            started.set()
            await asyncio.Event().wait()  # until it is stopped

    async def stop(self) -> None:
        """Stop the bot, if it runs or starts, and wait until it has."""
        if self._task is None or self._task.done():
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.result()


async def _listen(
    app: ASGIApp,
    settings: Settings,
    sockets: list[socket.socket],
    announce: Callable[[int], None] | None = None,
) -> int:
    """Serve `app` until a signal comes; `announce` is told the port once it is open."""
    pid = settings.data_dir / "serve.pid"
    server = Server(config(app, settings.host, settings.port), pid, announce=announce)
    pid.write_text(f"{os.getpid()}\n", encoding="ascii")
    try:
        await server.serve(sockets)
    finally:
        pid.unlink(missing_ok=True)
    return 0 if server.started else 1


class _Early:
    """Takes signals until the server does: the first cancels the task that made this, the second exits at once."""

    def __init__(self) -> None:
        self.came = False
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        for number in _SIGNALS:
            signal.signal(number, self._take)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        if self.came or self._task is None:
            os._exit(1)
        self.came = True
        faulthandler.dump_traceback_later(SHUTDOWN, exit=True)
        # Not an exception right here, at any line of any code: the task ends where it waits, and tidies up.
        self._loop.call_soon_threadsafe(self._task.cancel)


class Server(uvicorn.Server):
    """Stops in order on the first signal, at once on the second, and in any case within its time."""

    def __init__(
        self,
        config: uvicorn.Config,
        pid: Path,
        limit: float = SHUTDOWN,
        announce: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(config)
        self._pid = pid
        self._limit = limit
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port, and tell which it is."""
        with refusals_told(self.config.host, self.config.port):
            await super().startup(sockets)
            queue(sockets or ())
        if self.started and self._announce is not None:
            self._announce(self.servers[0].sockets[0].getsockname()[1])

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take signals until the process ends; the base class would raise them once more when it has stopped."""
        for number in _SIGNALS:
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self._pid.unlink(missing_ok=True)
            os._exit(1)  # the warden ends what this process started
        # From outside of Python: it says where each thread hangs, and exits with 1.
        faulthandler.dump_traceback_later(self._limit, exit=True)
        super().handle_exit(sig, frame)
