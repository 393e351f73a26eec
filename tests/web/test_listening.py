"""The port: who waits for whom, and how long, on a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from bot.errors import UserError
from bot.web.listening import Hurried, bound, most_connections

_SOON = 0.3  # seconds


class _Soon(Hurried):
    patience = _SOON


async def _slow(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body, then take long to answer."""
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(3 * _SOON)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def _served(**more: object) -> AsyncIterator[int]:
    sockets = bound("127.0.0.1", 0)
    config = uvicorn.Config(_slow, http=_Soon, lifespan="off", log_config=None, **more)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve(sockets))
    try:
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.01)
            yield sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait_for(task, 10)


_HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


@pytest.mark.parametrize("part", [b"", b"POST / HTTP/1.1\r\n", _HEAD + b"bo"], ids=["", "a head", "a body"])
async def test_a_connection_on_which_no_whole_request_comes_is_ended(part: bytes) -> None:
    async with _served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(part)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 10 * _SOON)
        writer.close()


async def test_an_answer_that_takes_long_is_waited_for_and_the_next_request_too() -> None:
    async with _served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(_HEAD + b"body")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        writer.close()


async def test_above_the_limit_people_are_told_to_come_back() -> None:
    async with _served(limit_concurrency=2) as port:
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_HEAD + b"body")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 503")
        for each in (writer, *(other for _, other in others)):
            each.close()
    assert 64 <= most_connections() <= 2_000


def test_a_port_in_use_is_named_with_the_next_step() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"Port {port} on 127\.0\.0\.1 is in use\..*GITWRIGHT_PORT"):
            bound("127.0.0.1", port)


def test_an_address_of_another_machine_is_named_with_the_next_step() -> None:
    with pytest.raises(UserError, match=r"Nothing can listen on 192\.0\.2\.1, port 0: .*GITWRIGHT_HOST"):
        bound("192.0.2.1", 0)
    with pytest.raises(UserError, match=r"Nothing can listen on a\.\.b, port 0: .*GITWRIGHT_HOST"):
        bound("a..b", 0)


def test_a_name_of_several_addresses_is_bound_on_one_port() -> None:
    taken = bound("localhost", 0)
    try:
        assert len({each.getsockname()[1] for each in taken}) == 1
        assert {each.proto for each in taken} == {socket.IPPROTO_TCP}, "else answers wait 40 ms for Nagle"
    finally:
        for each in taken:
            each.close()
