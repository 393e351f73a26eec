"""The check of the database against a real PostgreSQL; SQLite is seen in the whole examination."""

from __future__ import annotations

import time

import pytest
from pydantic import SecretStr

from bot.doctor import database
from bot.doctor.check import Finding
from bot.doctor.world import World
from bot.engine.store import Store
from bot.errors import UserError
from bot.settings import load_settings
from bot.wiring import SystemClock
from tests.engine.postgres import running_postgres


async def looked(url: str) -> Finding:
    settings = load_settings(None, database_url=SecretStr(url))
    [check] = database.CHECKS
    return await check.look(World(settings, "", {}, None))


async def test_postgres_before_and_after_its_first_start_and_when_it_is_gone() -> None:
    with running_postgres() as server:
        url = server.fresh_database()
        before = await looked(url)
        store = await Store.open(url, SystemClock())
        await store.close()
        after = await looked(url)
    gone = await looked(url)

    assert (before.level, after.level, gone.level) == ("ok", "ok", "failed")
    assert "at the first start" in before.text
    assert "(schema " in after.text
    assert "GITWRIGHT_DATABASE_URL" in gone.step


async def test_a_server_that_cannot_be_reached_is_said_in_time_and_without_its_password() -> None:
    began = time.monotonic()
    found = await looked("postgresql://bot:hunter2@127.0.0.1:9/x")

    assert time.monotonic() - began < 30
    assert found.level == "failed"
    assert "hunter2" not in found.text + found.step


async def test_an_address_that_is_none_names_the_setting() -> None:
    with pytest.raises(UserError, match="GITWRIGHT_DATABASE_URL"):
        await looked("mysql://x/y")
