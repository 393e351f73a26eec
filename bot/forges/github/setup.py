"""Owns what set-up asks a forge before the bot has an identity there: make an App, and who is it that these secrets name."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from githubkit import BaseAuthStrategy, TokenAuthStrategy, UnauthAuthStrategy

from bot.broker.credential import Credential
from bot.broker.doors import Place
from bot.broker.inside import Inside
from bot.broker.vault import APP, PERSON
from bot.errors import RetryableError
from bot.forges.github import default_git_url, views
from bot.forges.github.apps import AppFacts, MadeApp, facts, made
from bot.forges.github.transport import Access, Api

TIMEOUT = 10.0  # seconds for one try
PATIENCE = 30.0  # seconds for an answer with all tries: a person looks at an empty page meanwhile


@dataclass(frozen=True, slots=True)
class Front:
    """The forge at `api_url`, asked by somebody who is nobody there yet."""

    api_url: str
    api_version: str
    timeout: float = TIMEOUT

    async def convert(self, code: str) -> MadeApp:
        """Turn the code that the forge sent after a manifest was confirmed into the App, its key and its secret.

        A code works once, for an hour (docs.github.com, "Registering a GitHub App from a manifest"). Raises
        RetryableError where the forge gave no answer (it may have made the App), NotFoundError, ForgeError.
        """
        path = f"/app-manifests/{quote(code, safe='')}/conversions"
        return made(await self._ask("POST", path, UnauthAuthStrategy()))

    async def app(self, app_id: str, private_key: str) -> AppFacts:
        """Ask which App this key signs for; ForgeError with status 401 or 404 where it does not fit."""
        asker = Credential(app_id, private_key)
        return facts(await self._ask("GET", "/app", TokenAuthStrategy(APP), asker))

    async def person(self, token: str) -> str:
        """Ask whose token this is; ForgeError with status 401 where it is nobody's."""
        asker = Credential(secret=token)
        return views.read(
            views.UserView, await self._ask("GET", "/user", TokenAuthStrategy(PERSON), asker)
        ).login

    async def _ask(
        self, method: str, path: str, strategy: BaseAuthStrategy, asker: Credential | None = None
    ) -> Any:
        place = Place(self.api_url, default_git_url(self.api_url))
        broker = Inside(asker, place, lambda: datetime.now(UTC), 1) if asker else None
        api = Api(
            self.api_url,
            version=self.api_version,
            limit=1,
            write_gap=0,
            now=lambda: datetime.now(UTC),
            timeout=self.timeout,
            transport=broker.transport() if broker else None,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                return (await api.send(method, path, Access(strategy))).json()
        except TimeoutError as error:
            raise RetryableError(f"{method} {path}: no answer within {PATIENCE:g} s") from error
        finally:
            await api.aclose()
            if broker is not None:
                await broker.aclose()


def web_url(api_url: str) -> str:
    """Derive where a forge shows its pages from where its API is; without a slash at the end."""
    return default_git_url(api_url).removesuffix("/{owner}/{repo}.git")


def api_url(web: str) -> str:
    """Derive where a forge's API is from the address that people type into a browser.

    github.com, GHE.com, and GHES, whose way the embedded forge follows. Raises ValueError with what is wrong.
    """
    text = web.strip().rstrip("/")
    if "://" not in text:
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"is no address: {error}") from error
    if parts.scheme not in {"http", "https"} or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must be an address such as https://github.com or https://github.example.com")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+", host):
        raise ValueError("must name a host, such as https://github.example.com")
    if not re.fullmatch(r"(/[\w.~-]+)*", parts.path, re.ASCII):
        raise ValueError("must not hold more than the host and plain folders")
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    host = host.removeprefix("www.")
    if host in {"github.com", "api.github.com"}:
        return "https://api.github.com"
    if host.endswith(".ghe.com"):
        return f"https://api.{host.removeprefix('api.')}"
    return f"{parts.scheme}://{netloc}{parts.path.removesuffix('/api/v3')}/api/v3"
