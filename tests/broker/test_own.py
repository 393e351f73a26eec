"""Whether a secret of the broker's stands in given bytes: asked of the real process, and never let through unanswered."""

import asyncio
import base64
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from bot.broker import own
from bot.broker.credential import Credential
from bot.broker.doors import Place
from bot.broker.inside import Inside
from bot.broker.keeper import Keeper, socket_of
from bot.broker.vault import APP
from bot.errors import RetryableError
from tests.forges.scripted_server import Asked, Say, scripted_server
from tests.forges.test_auth import pem, rsa_key

KEY = pem(rsa_key())
LINE = KEY.splitlines()[5]
TOKEN = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"


def forge(asked: Asked) -> Say:
    return Say(201, {"token": TOKEN, "expires_at": "2099-01-01T00:00:00Z"})


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Keeper]:
    key = tmp_path / "app.pem"
    key.write_text(KEY)
    async with scripted_server() as server:
        server.otherwise = forge
        place = Place(server.url, f"{server.url}/{{owner}}/{{repo}}.git")
        made = Keeper(Credential("77", file=str(key)), place, tmp_path, 10)
        await made.start()
        try:
            async with httpx.AsyncClient(
                transport=made.transport(), base_url=server.url, timeout=60
            ) as client:
                path = "/app/installations/5/access_tokens"
                told = await client.post(path, json={}, headers={"authorization": f"token {APP}"})
                assert told.status_code == 201
                yield made
        finally:
            await made.aclose()


async def test_the_broker_finds_its_own_however_they_are_written(keeper: Keeper) -> None:
    assert await keeper.find(b"") == []
    assert await keeper.find(b"nothing of it here, not even " + LINE.encode()[:-1]) == []
    for secret in (LINE, TOKEN, KEY):
        plain = secret.strip().encode()
        ways = [plain, plain.hex().encode(), plain[::-1], base64.b64encode(b"ab" + plain)]
        names = []
        for way in ways:
            found = await keeper.find(b"some\n" + way + b"\nmore")
            assert found, way[:20]
            assert plain not in repr(found).encode()
            names.append({name for name, _ in found})
        assert set.intersection(*names), "one secret has one name, however it is written"


async def test_no_border_between_two_questions_hides_one(keeper: Keeper) -> None:
    token = TOKEN.encode()
    for start in (own.PART - 20, own.PART, own.PART + own.OVERLAP - 20, 2 * own.PART - 1):
        assert [at for _, at in await keeper.find(b"x" * start + token + b"x" * own.PART)] == [start]


async def test_a_question_is_bounded(keeper: Keeper, tmp_path: Path) -> None:
    way = httpx.AsyncHTTPTransport(uds=str(socket_of(tmp_path)))
    async with httpx.AsyncClient(transport=way, base_url="http://broker", timeout=60) as client:
        told = await client.post(own.FIND, content=b"x" * (own.PART + own.OVERLAP + 1))
        assert told.status_code == 413


async def test_a_broker_that_is_started_again_is_waited_for(keeper: Keeper) -> None:
    assert keeper.pid is not None
    os.kill(keeper.pid, signal.SIGKILL)
    async with asyncio.timeout(100):
        assert await keeper.find(LINE.encode())


async def test_where_no_broker_answers_nobody_can_tell(tmp_path: Path) -> None:
    with pytest.raises(RetryableError, match="does not say whether its secrets"):
        await own.asked(str(tmp_path / "none"), b"x", (0.01, 0.01))


async def test_a_broker_in_the_same_process_finds_its_own_too() -> None:
    place = Place("http://127.0.0.1:9", "http://127.0.0.1:9/{owner}/{repo}.git")
    inside = Inside(Credential(secret=TOKEN), place, lambda: datetime.now(UTC), 1)
    assert [at for _, at in await inside.find(b"..." + TOKEN.encode())] == [3]
    await inside.aclose()
