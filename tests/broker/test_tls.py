"""The broker's process over TLS: whom it trusts it has read before it gives up its user, and it trusts nobody else."""

import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from bot.broker.credential import Credential
from bot.broker.doors import Place
from bot.broker.keeper import Keeper
from bot.broker.vault import PERSON
from tests.forges.scripted_server import Asked, Say, scripted_server
from tests.support.tls import served_as

HELD = "ghp_of-a-person"


@dataclass
class Forge:
    """A forge that speaks TLS with a certificate of its own authority, whose file this user alone may read."""

    folder: Path
    context: ssl.SSLContext
    authority: Path

    @asynccontextmanager
    async def brokered(self) -> AsyncIterator[tuple[Keeper, httpx.AsyncClient]]:
        """A broker of it, as a process with our environment."""
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(scripted_server(self.context))
            server.otherwise = _answer
            url = server.url.replace("127.0.0.1", "localhost")
            place = Place(url, f"{url}/{{owner}}/{{repo}}.git")
            keeper = Keeper(Credential(secret=HELD), place, self.folder, 4)
            await keeper.start()
            stack.push_async_callback(keeper.aclose)
            client = httpx.AsyncClient(transport=keeper.transport(), base_url=url, timeout=60)
            yield keeper, await stack.enter_async_context(client)


@pytest.fixture
def forge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forge:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"):
        monkeypatch.delenv(name, raising=False)
    context, authority = served_as("localhost", tmp_path)
    tmp_path.chmod(0o700)
    authority.chmod(0o600)
    return Forge(tmp_path, context, authority)


def _answer(asked: Asked) -> Say:
    return Say(200, {"by": asked.headers.get("authorization", "")})


async def asked_of_git(keeper: Keeper, client: httpx.AsyncClient) -> httpx.Response:
    told = await client.post(
        "/app/installations/0/access_tokens", json={}, headers={"authorization": f"token {PERSON}"}
    )
    basic = base64.b64encode(f"x-access-token:{told.json()['token']}".encode()).decode()
    url = await keeper.git(str(client.base_url.join("/o/r.git")))
    async with httpx.AsyncClient(trust_env=False, timeout=60) as straight:
        return await straight.get(
            f"{url}/info/refs?service=git-upload-pack", headers={"authorization": f"Basic {basic}"}
        )


async def test_an_authority_of_ones_own_is_trusted_at_both_doors(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(forge.authority))
    async with forge.brokered() as (keeper, client):
        told = await client.get("/user", headers={"authorization": f"token {PERSON}"})
        assert told.json() == {"by": f"token {HELD}"}
        assert (await asked_of_git(keeper, client)).status_code == 200


async def test_whom_git_is_told_to_trust_is_trusted_at_its_door_alone(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSL_CAINFO", str(forge.authority))
    async with forge.brokered() as (keeper, client):
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await client.get("/user", headers={"authorization": f"token {PERSON}"})
        assert (await asked_of_git(keeper, client)).status_code == 200


async def test_nobody_is_trusted_unasked(forge: Forge) -> None:
    async with forge.brokered() as (keeper, client):
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await client.get("/user", headers={"authorization": f"token {PERSON}"})
        assert (await asked_of_git(keeper, client)).status_code == 502
