"""The broker as a process: what it is given and shows, that it comes back, and that it ends with the bot."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from githubkit import TokenAuthStrategy

from bot.broker.credential import Credential
from bot.broker.doors import Place
from bot.broker.keeper import Keeper, alive, socket_of
from bot.broker.vault import APP
from bot.errors import BotError, ForgeError, UserError
from bot.forges.github.auth import READ, AppTokens
from bot.forges.github.transport import Access, Api
from tests.forges.scripted_server import Asked, Say, ScriptedServer, scripted_server
from tests.forges.test_auth import pem, rsa_key
from tests.support.descriptors import few_descriptors

KEY = pem(rsa_key())
_MINT = "/app/installations/5/access_tokens"
ENDS = "2099-01-01T00:00:00Z"


def forge(asked: Asked) -> Say:
    if asked.path.endswith("/access_tokens"):
        return Say(201, {"token": "ghs_behind", "expires_at": ENDS})
    return Say(200, {"id": 7, "slug": "robot", "by": asked.headers["authorization"]})


@dataclass
class Room:
    server: ScriptedServer
    keeper: Keeper
    api: Api


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    key = tmp_path / "app.pem"
    key.write_text(KEY)
    key.chmod(0o600)
    async with scripted_server() as server:
        server.otherwise = forge
        place = Place(server.url, f"{server.url}/{{owner}}/{{repo}}.git")
        keeper = Keeper(Credential("77", file=str(key)), place, tmp_path, 10)
        await keeper.start()
        api = Api(
            server.url,
            version="",
            limit=5,
            write_gap=0,
            now=lambda: datetime.now(UTC),
            timeout=60,
            transport=keeper.transport(),
        )
        try:
            yield Room(server, keeper, api)
        finally:
            await api.aclose()
            await keeper.aclose()


async def until(holds: Callable[[], bool], seconds: float = 90.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)


async def answering(keeper: Keeper) -> None:
    async with asyncio.timeout(90):
        while await keeper.trouble():
            await asyncio.sleep(0.1)


def gone(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


async def test_the_forge_hears_the_secret_and_the_bot_a_handle(room: Room, tmp_path: Path) -> None:
    tokens = AppTokens(room.api, lambda: datetime.now(UTC))
    token = await tokens.lease(5, 42, READ)
    assert token.secret.startswith("gwh_")
    told = (await room.api.send("GET", "/repos/a/b", token.access())).json()
    assert told["by"] == "token ghs_behind"
    assert room.server.asked[0].headers["authorization"].startswith("Bearer eyJ")
    with pytest.raises(ForgeError, match="401") as caught:
        await room.api.send("GET", "/x", Access(TokenAuthStrategy("gwh_made-up")))
    assert caught.value.status == 401
    assert "GET /x" not in room.server.lines


async def test_its_environment_and_command_line_hold_no_secret_and_its_socket_is_for_one_user(
    room: Room, tmp_path: Path
) -> None:
    await room.api.send("GET", "/app", Access(TokenAuthStrategy(APP)))
    there = Path("/proc") / str(room.keeper.pid)
    if os.geteuid() == 0:
        seen = (there / "environ").read_bytes() + (there / "cmdline").read_bytes()
        assert b"PRIVATE KEY" not in seen
        assert {name.partition(b"=")[0] for name in seen.split(b"\0")} & {
            b"HOME",
            b"GITWRIGHT_TOKEN",
        } == set()
        status = (there / "status").read_text()
        assert "Uid:\t65533\t65533\t65533\t65533\n" in status
        assert "CapEff:\t0000000000000000\n" in status
        assert "NoNewPrivs:\t1\n" in status
    else:
        with pytest.raises(PermissionError):
            (there / "environ").read_bytes()
    assert socket_of(tmp_path).stat().st_mode & 0o777 == 0o600
    assert Path("/proc/self/environ").read_bytes(), "our own can be read"


async def test_it_is_started_again_and_handles_are_asked_for_anew(room: Room) -> None:
    tokens = AppTokens(room.api, lambda: datetime.now(UTC))
    token = await tokens.lease(5, 42, READ)
    first = room.keeper.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: room.keeper.pid not in {None, first})
    with pytest.raises(ForgeError) as caught:
        await room.api.send("GET", "/repos/a/b", token.access())
    assert caught.value.status == 401
    tokens.forget(token)
    again = await tokens.lease(5, 42, READ)
    assert again.secret != token.secret
    await room.api.send("GET", "/repos/a/b", again.access())
    await answering(room.keeper)


async def test_it_comes_back_after_a_moment_without_descriptors(room: Room) -> None:
    first = room.keeper.pid
    assert first is not None
    with few_descriptors(0):
        os.kill(first, signal.SIGKILL)
        await until(lambda: room.keeper.pid is None)
        await asyncio.sleep(1.0)  # the first tries to start it come at once
        assert room.keeper.pid is None
    await until(lambda: room.keeper.pid is not None)
    await answering(room.keeper)


async def test_what_is_under_way_when_it_dies_may_be_tried_again(room: Room) -> None:
    room.server.otherwise = lambda asked: Say(hang=True)
    asking = asyncio.create_task(room.api.send("POST", _MINT, Access(TokenAuthStrategy(APP))))
    await until(lambda: f"POST {_MINT}" in room.server.lines)
    assert room.keeper.pid is not None
    os.kill(room.keeper.pid, signal.SIGKILL)
    with pytest.raises(BotError, match="no answer"):
        await asyncio.wait_for(asking, 60)


async def test_an_orderly_end_leaves_neither_process_nor_socket(room: Room, tmp_path: Path) -> None:
    pid = room.keeper.pid
    assert pid is not None
    assert not gone(pid)
    await room.keeper.aclose()
    assert gone(pid)
    assert not socket_of(tmp_path).exists()
    assert await alive(socket_of(tmp_path)) is None


@pytest.mark.parametrize(
    ("credential", "said"),
    [
        (Credential("7", "hunter2"), "is no PEM private key"),
        (Credential("7", file="/nowhere.pem"), "cannot be read"),
        (Credential(secret=" "), "is empty"),
    ],
)
async def test_a_credential_that_cannot_be_used_is_said_before_anything_runs(
    tmp_path: Path, credential: Credential, said: str
) -> None:
    keeper = Keeper(
        credential, Place("http://127.0.0.1:9", "http://127.0.0.1:9/{owner}/{repo}.git"), tmp_path, 1
    )
    with pytest.raises(UserError, match=said) as caught:
        await keeper.start()
    assert "hunter2" not in str(caught.value)
    assert keeper.pid is None


OWNER = """
import asyncio, sys
from pathlib import Path
from bot import log
from bot.broker.credential import Credential
from bot.broker.doors import Place
from bot.broker.keeper import Keeper

async def main():
    log.set_up()  # not on standard output
    place = Place("http://127.0.0.1:9", "http://127.0.0.1:9/{owner}/{repo}.git")
    keeper = Keeper(Credential("7", file=sys.argv[1]), place, Path(sys.argv[2]), 1)
    await keeper.start()
    print(keeper.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_it_ends_with_a_bot_that_was_killed(tmp_path: Path) -> None:
    key = tmp_path / "app.pem"
    key.write_text(KEY)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(key), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert owner.stdout is not None
        pid = int(await asyncio.to_thread(owner.stdout.readline))
        assert not gone(pid)
        owner.kill()
        await until(lambda: gone(pid))
    finally:
        owner.kill()
        owner.communicate()


def test_a_data_folder_with_a_long_name_has_its_socket_elsewhere(tmp_path: Path) -> None:
    near = Path("/var/lib/gitwright")
    assert socket_of(near) == near / "broker.sock"
    far = socket_of(tmp_path / ("x" * 120))
    assert len(os.fsencode(far)) < 108
    assert far != socket_of(tmp_path / ("y" * 120))
