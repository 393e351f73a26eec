"""Owns `gitwright serve`: the bot as a process that can be killed and started again at any time."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType

import click
import uvicorn

from bot import log
from bot.errors import UserError
from bot.settings import Settings, load_settings
from bot.web.app import create_app
from bot.web.webhook import Webhook
from bot.wiring import Bot, build

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
    settings = load_settings(**({"script": script} if script else {}))
    log.set_up(secrets=settings.secrets())
    sys.exit(asyncio.run(serve(settings)))


async def serve(settings: Settings) -> int:
    """Serve until a signal comes; 0 after an orderly end, 1 where nothing could be served."""
    early = _Early()
    if settings.mode == "setup":
        raise UserError(
            "No credentials. Set GITWRIGHT_APP_ID, GITWRIGHT_PRIVATE_KEY_PATH and GITWRIGHT_WEBHOOK_SECRET of a "
            "GitHub App, or try `gitwright demo`, which needs none."
        )
    try:
        async with running(settings) as bot:
            return await _listen(bot)
    except asyncio.CancelledError:
        if not early.came:
            raise
        return 0


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Bot]:
    """Have the bot work inside of the block; it is stopped however the block, or its start, ends."""
    bot = await build(settings)
    try:
        await bot.start()
        yield bot
    finally:
        await bot.stop()


async def _listen(bot: Bot) -> int:
    settings = bot.settings
    secrets = [secret.get_secret_value().encode() for secret in settings.webhook_secret]
    config = uvicorn.Config(
        create_app(Webhook(secrets, bot.store.add_delivery, bot.clock), bot.ready),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
        lifespan="off",  # the bot runs around its server, and an early signal ends that one quietly
    )
    pid = settings.data_dir / "serve.pid"
    server = Server(config, pid)
    pid.write_text(f"{os.getpid()}\n", encoding="ascii")
    try:
        await server.serve()
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

    def __init__(self, config: uvicorn.Config, pid: Path, limit: float = SHUTDOWN) -> None:
        super().__init__(config)
        self._pid = pid
        self._limit = limit

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
