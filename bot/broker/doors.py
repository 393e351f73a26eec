"""Owns what the broker is made of: a vault, the way for git beside it, and a door for each."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote, urlsplit

import httpx

from bot.broker.credential import Credential
from bot.broker.door import Door
from bot.broker.pusher import Pusher
from bot.broker.vault import Vault
from bot.broker.ways import Ways

_API = httpx.Timeout(20.0, connect=5.0)  # as who asks has it
_GIT = httpx.Timeout(180.0, connect=10.0)  # git itself gives a silent server two minutes
_LIMITS = httpx.Limits(max_connections=64)
_GIT_LIMITS = httpx.Limits(max_connections=32)
_GITS = re.compile(r"(?i)/(info/refs|git-(upload|receive)-pack)/*\Z")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a forge is: its API, and the template of its repositories' addresses."""

    api_url: str
    git_url: str


class Doors:
    """Both doors of one forge and what is behind them."""

    def __init__(
        self,
        credential: Credential,
        place: Place,
        now: Callable[[], datetime],
        ways: Ways | None = None,
    ) -> None:
        """UserError for a credential, or a proxy on the way, that cannot be used."""
        ways = ways or Ways(place.api_url, _LIMITS)
        self.vault = Vault(ways, credential, place.api_url, now)
        git = place.git_url.replace("{owner}", "o").replace("{repo}", "r")
        self._pusher = Pusher(self.vault, Ways(git, _GIT_LIMITS, _trusted() or ways.trusted), place.git_url)
        self.api = Door(self.vault, place.api_url, _API, _below(place.api_url))
        self.git = Door(self._pusher, git, _GIT)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.vault.aclose()
        await self._pusher.aclose()


def _trusted() -> ssl.SSLContext | None:
    """Trust whom git was told to trust, where it was told."""
    file = os.environ.get("GIT_SSL_CAINFO")
    return ssl.create_default_context(cafile=file) if file else None


def _below(api_url: str) -> Callable[[str], bool]:
    """Give what tells whether a path is the API's: repositories may be at the same origin, and have their own door."""
    base = urlsplit(api_url).path.rstrip("/").removesuffix("/v3")

    def opens(path: str) -> bool:
        plain = unquote(path)
        inside = plain.startswith(f"{base}/") and "/../" not in f"{plain}/" and "/./" not in f"{plain}/"
        return inside and not _GITS.search(plain)

    return opens
