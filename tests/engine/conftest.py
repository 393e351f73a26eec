"""Owns what the engine's tests share: both databases, and an engine and a store on each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.engine.dbos_engine import DbosEngine
from bot.engine.store import Store
from tests.engine.postgres import PostgresServer, postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

WAIT_SECONDS = 60.0


@dataclass
class SettableClock:
    """Stands until it is moved."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def forward(self, **amount: float) -> None:
        self.time += timedelta(**amount)


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True)
class Place:
    """Where the tests of one backend keep their data."""

    backend: str
    store_url: str
    engine_url: str


@pytest.fixture(scope="session")
def launched_template(postgres_server: PostgresServer) -> str:
    """A database in which an engine was started once, so that the tests' copies need no migration."""
    url = postgres_server.fresh_database()

    async def launch() -> None:
        engine = DbosEngine(url, {}, {"tracks": 1, "jobs": 1, "actions": 1}, RealClock())
        await engine.start()
        await engine.stop(0)

    asyncio.run(launch())
    return str(sa.make_url(url).database)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place("sqlite", f"sqlite:///{tmp_path}/store.sqlite", f"sqlite:///{tmp_path}/engine.sqlite")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.fresh_database(request.getfixturevalue("launched_template"))
    return Place("postgres", url, url)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
async def store(place: Place, clock: SettableClock) -> AsyncIterator[Store]:
    store = await Store.open(place.store_url, clock)
    yield store
    await store.close()


async def until(reached: Callable[[], bool | Awaitable[bool]], seconds: float = WAIT_SECONDS) -> None:
    """Wait for something to become true; fails when it does not."""
    async with asyncio.timeout(seconds):
        while True:
            answer = reached()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.005)
