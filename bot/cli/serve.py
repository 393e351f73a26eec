"""Owns `gitwright serve`: the bot as a process that can be killed and started again at any time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import click
import uvicorn

from bot import log
from bot.errors import UserError
from bot.settings import Settings, load_settings
from bot.web.app import Parts, create_app
from bot.web.webhook import Webhook
from bot.wiring import build

SHUTDOWN = 14  # seconds; whatever hangs then is left to the next start


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
    """Serve until a signal comes; 0 after an orderly end, 1 where the bot could not start."""
    if settings.mode == "setup":
        raise UserError(
            "No credentials. Set GITWRIGHT_APP_ID, GITWRIGHT_PRIVATE_KEY_PATH and GITWRIGHT_WEBHOOK_SECRET of a "
            "GitHub App, or try `gitwright demo`, which needs none."
        )
    bot = await build(settings)
    secrets = [secret.get_secret_value().encode() for secret in settings.webhook_secret]
    app = create_app(
        Parts(Webhook(secrets, bot.store.add_delivery, bot.clock), bot.ready, bot.start, bot.stop)
    )
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    pid = settings.data_dir / "serve.pid"
    pid.write_text(f"{os.getpid()}\n", encoding="ascii")
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server hands a signal on to whom it took it from when it has stopped: that is nobody's end any more.
        signal.signal(number, lambda *_: None)
    try:
        await server.serve()
    finally:
        pid.unlink(missing_ok=True)
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    """Stops in order on the first signal and at once on the second."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(1)  # agents die with this process: their boxes are bound to its life
        super().handle_exit(sig, frame)
