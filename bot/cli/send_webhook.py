"""`gitwright send-webhook`: sends a payload to a bot, signed as GitHub signs it."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from typing import BinaryIO

import click

from bot.errors import UserError
from bot.settings import Settings, load_settings
from bot.web.sending import Sent, send


def url_of(settings: Settings, url: str | None) -> str:
    """Give the address to send to: the given one, else that of the bot with these settings."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - read, not bound
    return url or f"http://{f'[{host}]' if ':' in host else host}:{settings.port}/webhook"


def secret_of(settings: Settings) -> bytes:
    """Give the secret to sign with, the first while several are valid."""
    if not settings.webhook_secret:
        raise UserError("There is no webhook secret to sign with. Set GITWRIGHT_WEBHOOK_SECRET to the bot's.")
    return settings.webhook_secret[0].get_secret_value().encode()


def told(sent: Sent, as_json: bool) -> int:
    """Print what was answered, and give the exit code."""
    if as_json:
        click.echo(json.dumps({"id": sent.id, "status": sent.status, "answer": sent.answer}))
    else:
        click.echo(f"{sent.id}: {sent.status} {sent.answer}")
    return 0 if sent.taken else 1


@click.command("send-webhook")
@click.argument("event")
@click.argument("payload", type=click.File("rb"))
@click.option("--url", help="Where to; default: the bot of these settings.")
@click.option("--id", "id_", help="The delivery's id; default: a new one. A known id has no second effect.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(event: str, payload: BinaryIO, url: str | None, id_: str | None, as_json: bool) -> None:
    """Send the payload of a file (`-`: standard input) as the webhook EVENT, signed as GitHub signs it.

    For trying out and for tests; the secret is that of the settings. Exit code 1 where it is not taken.
    """
    settings = load_settings()
    body = payload.read()
    sent = asyncio.run(
        send(url_of(settings, url), secret_of(settings), event, id_ or str(uuid.uuid4()), body)
    )
    sys.exit(told(sent, as_json))
