"""The doors: only where they lead to, and as a stream however much passes."""

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from bot.broker.client import Apart, Line, git_at
from bot.broker.credential import Credential
from bot.broker.door import Door
from bot.broker.doors import Doors, Place
from bot.broker.inside import Inside
from bot.broker.serving import loopback, served
from bot.broker.vault import PERSON
from bot.broker.ways import Ways
from bot.sockets import nearby
from tests.forges.scripted_server import Say, ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


def place_of(server: ScriptedServer, api: str = "/api/v3") -> Place:
    return Place(f"{server.url}{api}", f"{server.url}/{{owner}}/{{repo}}.git")


def doors_of(server: ScriptedServer, api: str = "/api/v3") -> Doors:
    return Doors(Credential(secret="ghp_mine"), place_of(server, api), now)


def now() -> datetime:
    return datetime.now(UTC)


ME = {"authorization": f"token {PERSON}"}


@pytest.mark.parametrize(
    ("api", "path", "passes"),
    [
        ("/api/v3", "/api/v3/user", True),
        ("/api/v3", "/api/graphql", True),
        ("/api/v3", "/acme/greeter.git/info/refs?service=git-receive-pack", False),
        ("/api/v3", "/api/v3/../../acme/greeter.git/git-receive-pack", False),
        ("/api/v3", "/api/v3/%2e%2e/x", False),
        ("", "/user", True),
        ("", "/acme/greeter.git/git-receive-pack", False),
        ("", "/acme/greeter.git/git%2dreceive-pack", False),
        ("", "/acme/greeter.git/info/refs", False),
    ],
)
async def test_the_door_to_the_api_leads_to_the_api_alone(
    server: ScriptedServer, api: str, path: str, passes: bool
) -> None:
    doors, listening = doors_of(server, api), loopback()
    async with served(doors.api, listening):
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        body = '{"query": "query { viewer { login } }"}' if path.endswith("graphql") else ""
        writer.write(
            f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nhost: h\r\nauthorization: token {PERSON}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()
        )
        status = (await reader.readline()).split()[1]
        writer.close()
    await doors.aclose()
    assert (status == b"200", len(server.asked)) == (passes, int(passes))


async def test_what_leads_to_another_server_is_asked_without_a_secret(server: ScriptedServer) -> None:
    async with scripted_server() as elsewhere:
        server.answers = [Say(302, None, {"location": f"{elsewhere.url}/log"})]
        inside = Inside(Credential(secret="ghp_mine"), place_of(server), now, 1)
        way = inside.transport()
        first = await way.handle_async_request(httpx.Request("GET", f"{server.url}/api/v3/logs", headers=ME))
        assert first.status_code == 302, "a redirect is handed back"
        await first.aread()
        second = await way.handle_async_request(
            httpx.Request("GET", first.headers["location"], headers={"authorization": "token gwh_x"})
        )
        await second.aread()
        await inside.aclose()
        assert server.asked[0].headers["authorization"] == "token ghp_mine"
        assert "authorization" not in elsewhere.asked[0].headers


SIZE = 64 << 20


async def test_packs_pass_as_streams_both_ways(server: ScriptedServer, tmp_path: Path) -> None:
    """A sink that counts, and answers with as much: the broker between holds a few hundred KiB at a time."""
    seen = {"in": 0}

    class Sink(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            assert isinstance(request.stream, httpx.AsyncByteStream)
            async for chunk in request.stream:
                seen["in"] += len(chunk)
            return httpx.Response(200, content=_much())

    async def _much() -> AsyncIterator[bytes]:
        for _ in range(SIZE >> 20):
            yield bytes(1 << 20)

    listening = loopback()
    tracemalloc.start()  # the peak of this alone: that of the process may come from an earlier test
    async with (
        served(Door(Sink(), "http://forge.invalid", httpx.Timeout(60)), listening),
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        url = git_at(listening.getsockname()[1], "http://forge.invalid/o/r.git/git-upload-pack")
        came = 0
        async with client.stream("POST", url, content=_much()) as answer:
            async for chunk in answer.aiter_raw():
                came += len(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (seen["in"], came) == (SIZE, SIZE)
    assert peak < SIZE // 4, "no quarter of it was ever held"


async def test_a_forge_that_is_not_there_is_told_as_it_is_without_a_broker(tmp_path: Path) -> None:
    place = Place("http://127.0.0.1:9", "http://127.0.0.1:9/{owner}/{repo}.git")
    doors = Doors(Credential(secret="t"), place, now)
    listening = socket.socket(socket.AF_UNIX)
    straight = Ways(place.api_url, httpx.Limits())
    with nearby(tmp_path / "s") as path:
        listening.bind(path)
        listening.listen()
        way = Apart(place.api_url, Line(path, httpx.Limits()), straight)
        async with served(doors.api, listening):
            with pytest.raises(httpx.ConnectError):
                await way.handle_async_request(httpx.Request("GET", "http://127.0.0.1:9/x", headers=ME))
    await way.aclose()
    await doors.aclose()


async def test_a_socket_that_was_lent_keeps_its_path_for_whoever_serves_next(tmp_path: Path) -> None:
    path = tmp_path / "lent.sock"
    keepers = socket.socket(socket.AF_UNIX)
    with nearby(path) as name:
        keepers.bind(name)
        keepers.listen()
        for _ in range(2):
            async with served(_nothing, keepers.dup()):
                pass
            assert path.is_socket()
    keepers.close()


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("nobody asks")
