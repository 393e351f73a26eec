"""Readiness: what lacks is named, the forge is asked anew, and nobody can have it asked without end."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.engine.store import Store
from bot.forges.github import GitHubForge
from bot.readiness import Readiness
from tests.forges.scripted_server import Asked, Say, ScriptedServer, scripted_server
from tests.forges.test_auth import pem, rsa_key


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


def app(asked: Asked) -> Say:
    return Say(200, {"id": 7, "slug": "robot", "permissions": {}, "events": []})


def made(server: ScriptedServer) -> GitHubForge:
    return GitHubForge(server.url, app_id="77", private_key=pem(rsa_key()), clock=Now())


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        running.otherwise = app
        yield running


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path}/bot.db", Now())
    yield opened
    await opened.close()


async def test_a_forge_that_stops_answering_is_told_although_it_answered_before(
    server: ScriptedServer, store: Store
) -> None:
    forge = made(server)
    ready = Readiness(store, forge, None, good=0.0, bad=0.0)
    assert await forge.identity() == "robot"
    assert await ready() == {"database": "ok", "forge": "ok"}

    server.otherwise = lambda asked: Say(401, {"message": "Bad credentials"})
    found = await ready()
    assert found["database"] == "ok"
    assert "401" in found["forge"]

    server.otherwise = app
    assert (await ready())["forge"] == "ok"
    await forge.aclose()


async def test_whoever_asks_again_and_again_does_not_spend_the_forges_limits(
    server: ScriptedServer, store: Store
) -> None:
    forge = made(server)
    ready = Readiness(store, forge, None, good=3600, bad=3600)
    for _ in range(5):
        assert (await ready())["forge"] == "ok"
    assert server.lines == ["GET /app"]
    await forge.aclose()


async def test_a_database_that_does_not_answer_is_named_and_nothing_counted(
    server: ScriptedServer, store: Store, tmp_path: Path
) -> None:
    forge = made(server)
    ready = Readiness(store, forge, None)
    parts, counts = await ready.overview()
    assert (parts["database"], counts["events"]) == ("ok", 0)
    with sqlite3.connect(tmp_path / "bot.db") as other:
        other.execute("DROP TABLE timers")
    other.close()
    parts, counts = await ready.overview()
    assert "timers" in parts["database"]
    assert counts == {}
    await forge.aclose()
