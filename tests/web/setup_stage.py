"""Owns the stage of the set-up tests: set-up served in this process, a judged forge over a socket, a browser's manners."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from bot.errors import BotError
from bot.settings import Settings, load_settings
from bot.web.setup import Setup
from tests.judges.served import JudgedForge

HERE = "http://127.0.0.1:8080"


@dataclass
class Noon:
    """A clock that a test moves."""

    at: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def pass_by(self, **span: float) -> None:
        self.at += timedelta(**span)


@dataclass
class Start:
    """Stands for the bot's start: counts, and fails as often as a test wants."""

    failures: list[BotError] = field(default_factory=list)
    count: int = 0

    async def __call__(self) -> None:
        self.count += 1
        if self.failures:
            raise self.failures.pop(0)


@dataclass
class Stage:
    """Set-up before anything was done, and a browser without the token."""

    data: Path
    forge: JudgedForge
    setup: Setup
    clock: Noon
    start: Start
    http: httpx.AsyncClient
    csrf: str = ""

    @property
    def stored(self) -> dict[str, Any] | None:
        """What the credentials file holds, and in `private_key` and `token` what the files hold that it names."""
        path = self.data / "credentials.json"
        if not path.exists():
            return None
        told: dict[str, Any] = json.loads(path.read_text())
        beside = {name.removesuffix("_path"): each for name, each in told.items() if name.endswith("_path")}
        return {**told, **{name: (self.data / each).read_text() for name, each in beside.items()}}

    async def enter(self) -> str:
        """Open the address of the console; gives the page."""
        came = await self.http.get("/setup", params={"token": self.setup.token}, follow_redirects=True)
        assert came.status_code == 200, came.text
        found = re.search(r'name="csrf" value="([^"]+)"', came.text)
        assert found is not None
        self.csrf = found[1]
        return came.text

    async def send(self, action: str, **fields: str) -> httpx.Response:
        """Send a form of the first page, with the token against forgery that it carries."""
        return await self.http.post(f"/setup/{action}", data={"csrf": self.csrf, **fields})

    async def review(self, **fields: str) -> tuple[str, dict[str, Any]]:
        """Fill in the first form; gives the address that the manifest goes to, and the manifest."""
        filled = {"owner": "me", "name": "Our bot", "hook": f"{HERE}/webhook", **fields}
        page = await self.send("app", **filled)
        assert page.status_code == 200, said(page)
        target = re.search(r'<form method="post" action="([^"]+)"', page.text)
        manifest = re.search(r'name="manifest" value="([^"]+)"', page.text)
        assert target is not None
        assert manifest is not None
        return unescape(target[1]), json.loads(unescape(manifest[1]))

    async def confirmed(self, **fields: str) -> dict[str, str]:
        """Confirm the manifest at the forge; gives the query with which it leads back."""
        target, manifest = await self.review(**fields)
        with self.forge.client() as admin:
            code = (
                admin.post("/_test/app-manifests", json={"manifest": manifest})
                .raise_for_status()
                .json()["code"]
            )
        return {"code": code, "state": parse_qs(urlsplit(target).query)["state"][0]}

    async def back(self, query: dict[str, str]) -> httpx.Response:
        """Come back from the forge."""
        return await self.http.get("/setup/callback", params=query)

    def fault(self, kind: str, route: str = "^POST /app-manifests/.+/conversions$", **more: float) -> None:
        """Let calls, of conversions unless told otherwise, go wrong at the forge; one unless `more` says so."""
        with self.forge.client() as admin:
            admin.post("/_test/faults", json={"kind": kind, "route": route, **more}).raise_for_status()

    def faultless(self) -> None:
        """Let no more calls go wrong; one that is held back goes on."""
        with self.forge.client() as admin:
            admin.delete("/_test/faults").raise_for_status()

    def faulty(self) -> bool:
        """Tell whether a call has gone wrong."""
        with self.forge.client() as admin:
            faults = admin.get("/_test/faults").raise_for_status().json()
        return any(each["hits"] for each in faults)


@asynccontextmanager
async def staged(data: Path, forge: JudgedForge, **settings: Any) -> AsyncIterator[Stage]:
    """Set the stage; `settings` come on top of the forge's address; None takes one away."""
    data.mkdir(exist_ok=True)
    wanted = {"github_api_url": forge.url, "data_dir": data, **settings}
    chosen: Settings = load_settings(
        None, **{name: value for name, value in wanted.items() if value is not None}
    )
    clock, start = Noon(), Start()
    setup = Setup(chosen, clock, start)
    transport = httpx.ASGITransport(setup.app())
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as http:
        yield Stage(data, forge, setup, clock, start, http)


def said(answer: httpx.Response) -> str:
    """Give the words of a page, one block a line."""
    body = re.sub(r"<style>.*?</style>|<head>.*?</head>", "", answer.text, flags=re.DOTALL)
    blocks = re.sub(
        r"</?(p|h1|h2|li|ul|div|td|tr|form|header|footer|main|label|legend|details|summary)\b[^>]*>",
        "\n",
        body,
    )
    lines = (" ".join(line.split()) for line in re.sub(r"<[^>]+>", "", blocks).splitlines())
    return unescape("\n".join(line for line in lines if line))


def problems(page: httpx.Response) -> list[str]:
    """Give what the page says is wrong, all of it in one place."""
    alert = re.search(r'<div class="problem" role="alert">(.*?)</div>', page.text, re.DOTALL)
    assert alert is not None
    return [unescape(each) for each in re.findall(r">([^<]+)</a>", alert[1])]
