"""The port: who waits for whom, and how long, on a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from bot.errors import UserError
from bot.web.listening import Hurried, bound

_SOON = 0.3  # seconds


class _Soon(Hurried):
    patience = _SOON


class _Late(Hurried):
    """For what must not be ended by it, however slow the machine is."""

    patience = 60.0


@asynccontextmanager
async def _served(protocol: type[Hurried] = _Soon, **more: object) -> AsyncIterator[int]:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, then take longer to answer than a request may take to arrive."""
        assert scope["type"] == "http"
        while (await receive()).get("more_body"):
            pass
        await asyncio.sleep(1.5 * protocol.patience)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    sockets = bound("127.0.0.1", 0)
    config = uvicorn.Config(slow, http=protocol, lifespan="off", log_config=None, **more)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve(sockets))
    try:
        async with asyncio.timeout(60):
            while not server.started:
                await asyncio.sleep(0.01)
        yield sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait_for(task, 60)


_HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


@pytest.mark.parametrize("part", [b"", b"POST / HTTP/1.1\r\n", _HEAD + b"bo"], ids=["", "a head", "a body"])
async def test_a_connection_on_which_no_whole_request_comes_is_ended(part: bytes) -> None:
    async with _served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(part)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 60)
        writer.close()


async def test_an_answer_that_takes_long_is_waited_for_and_the_next_request_too() -> None:
    # More patience only where the machine stood still before it had asked, for as long as there was patience.
    assert await _answered_twice(2 * _SOON) or await _answered_twice(3.0) or await _answered_twice(15.0)


async def _answered_twice(seconds: float) -> bool:
    class Patient(Hurried):
        patience = seconds

    async with _served(Patient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for _ in range(2):
                writer.write(_HEAD + b"body")
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        except (ConnectionResetError, asyncio.IncompleteReadError):
            return False
        finally:
            writer.close()
    return True


async def test_at_the_limit_people_are_told_to_come_back() -> None:
    async with _served(_Late, limit_concurrency=2) as port:
        _, other = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_HEAD + b"body")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 503")
        for each in (writer, other):
            each.close()


async def test_above_the_limit_nobody_keeps_a_connection_by_saying_nothing() -> None:
    async with _served(_Late, limit_concurrency=2) as port:
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        for reader, _ in others[2:]:
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 60)
        assert not any(reader.at_eof() for reader, _ in others[:2])
        for _, writer in others:
            writer.close()


async def test_a_crowd_that_says_nothing_leaves_files_for_the_work(tmp_path: Path) -> None:
    """In a process of its own, which may open 96 files: 200 connections come at once while it works with ten."""
    command = (sys.executable, "-c", _CROWDED, str(tmp_path / "pid"))
    server = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    crowd: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        async with asyncio.timeout(90):
            port = int(await server.stdout.readline())
            crowd += await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(200)))
            server.stdin.write(b"all are here\n")
            assert json.loads(await server.stdout.read()) == {"connections": 48, "refused": []}
    finally:
        for _, writer in crowd:
            writer.close()
        if server.returncode is None:
            server.kill()
        await server.wait()


_CROWDED = """
import asyncio, contextlib, json, pathlib, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
from bot.cli.serve import Server
from bot.web.listening import bound, config

async def work(refused):
    while True:
        try:
            with contextlib.ExitStack() as files:
                for _ in range(10):
                    files.enter_context(open("/dev/null"))
        except OSError as error:
            refused.append(str(error))
        await asyncio.sleep(0)

async def main():
    sockets = bound("127.0.0.1", 0)
    print(sockets[0].getsockname()[1], flush=True)
    sys.stdin.readline()
    server = Server(config(None, "127.0.0.1", 0), pathlib.Path(sys.argv[1]))
    serving = asyncio.create_task(server.serve(sockets))
    refused = []
    working = asyncio.create_task(work(refused))
    begun = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < begun + 1 or len(server.server_state.connections) < 48:
        await asyncio.sleep(0.05)  # until as many are in as may be; others are turned away meanwhile
    working.cancel()
    print(json.dumps({"connections": len(server.server_state.connections), "refused": refused}))
    server.should_exit = server.force_exit = True
    await serving

asyncio.run(main())
"""


def test_a_port_in_use_is_named_with_the_next_step() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"Port {port} on 127\.0\.0\.1 is in use\..*GITWRIGHT_PORT"):
            bound("127.0.0.1", port)


def test_of_two_servers_the_second_learns_at_once_that_the_port_is_taken() -> None:
    (one,) = bound("127.0.0.1", 0)
    with closing(one), pytest.raises(UserError, match=r"is in use"):
        bound("127.0.0.1", one.getsockname()[1])


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
