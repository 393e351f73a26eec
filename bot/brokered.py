"""Owns what the settings say of the broker: with which credential, for which forge."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from bot.broker.credential import Credential
from bot.broker.doors import Place
from bot.broker.hardening import unread
from bot.broker.inside import Inside
from bot.broker.keeper import Keeper
from bot.forges.github import default_git_url
from bot.ports import Clock
from bot.settings import PREFIX, Settings


def credential_of(settings: Settings) -> Credential:
    """Give who the bot is; a secret that lies in a file is not read."""
    given, file = (
        (settings.private_key, settings.private_key_path)
        if settings.app_id
        else (settings.token, settings.token_path)
    )
    return Credential(
        settings.app_id,
        given.get_secret_value() if given is not None else None,
        str(file.absolute()) if file is not None else None,
    )


def place_of(settings: Settings) -> Place:
    """Give where the forge is."""
    url = settings.github_api_url
    return Place(url, settings.github_git_url or default_git_url(url))


def inside(settings: Settings, clock: Clock | None = None) -> Inside:
    """Make a broker in this process, for what ends soon and for tests; UserError for a credential that cannot be used."""
    now = clock.now if clock is not None else lambda: datetime.now(UTC)
    return Inside(credential_of(settings), place_of(settings), now, settings.api_calls)


@asynccontextmanager
async def beside(settings: Settings) -> AsyncIterator[Keeper]:
    """Start a broker in a process of its own; it is closed with what it is handed to, or where the block fails.

    A secret that lies in no file has to stay in this process for the broker's next start: it is kept from neighbours.
    """
    credential = credential_of(settings)
    if credential.file is None:
        unread()
        for name in ("PRIVATE_KEY", "TOKEN"):
            os.environ.pop(f"{PREFIX}{name}", None)
    keeper = Keeper(credential, place_of(settings), settings.data_dir, settings.api_calls)
    await keeper.start()
    try:
        yield keeper
    except BaseException:
        await keeper.aclose()
        raise
