"""What the vault answers holds no token, however an address is spelled."""

from datetime import UTC, datetime

import httpx
import pytest

from bot.broker.credential import Credential
from bot.broker.vault import APP, HANDLE, Vault
from tests.forges.test_auth import pem, rsa_key


class Lenient(httpx.AsyncBaseTransport):
    """A forge, or a proxy before it, that gives a token wherever it is asked for one."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        return httpx.Response(201, json={"token": "ghs_real", "expires_at": "2099-01-01T00:00:00Z"})


async def asked(method: str, path: str) -> tuple[httpx.Response, list[str]]:
    forge = Lenient()
    vault = Vault(
        forge, Credential("7", pem(rsa_key())), "https://h.invalid/api/v3", lambda: datetime.now(UTC)
    )
    request = httpx.Request(
        method, f"https://h.invalid/api/v3{path}", headers={"authorization": f"token {APP}"}
    )
    answer = await vault.handle_async_request(request)
    await answer.aread()
    return answer, forge.asked


async def test_a_token_that_is_asked_for_as_usual_becomes_a_handle() -> None:
    answer, seen = await asked("POST", "/app/installations/5/access_tokens?x=1")
    assert answer.json()["token"].startswith(HANDLE)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/app/installations/5/access_tokens/"),
        ("POST", "//app/installations/5/access_tokens"),
        ("POST", "/app/installations/+5/access_tokens"),
        ("POST", "/installations/5/access_tokens"),
        ("post", "/app/installations/5/Access_Tokens"),
        ("PUT", "/app/installations/5/access_tokens"),
        ("DELETE", "/app/installations/5"),
    ],
)
async def test_as_the_app_nothing_else_is_asked_for_but_to_read(method: str, path: str) -> None:
    answer, seen = await asked(method, path)
    assert answer.status_code == 403
    assert "ghs_real" not in answer.text
    assert seen == []
