"""Git through a company's proxy: a real one, which alone knows where the forge is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.errors import RetryableError
from bot.git import WorktreeManager
from bot.ports import GitAccess
from tests.git.conftest import REPO
from tests.git.server import TOKEN, GitServer
from tests.support.proxy import PASSWORD, Proxy, running_proxy
from tests.support.tls import served_as

HOST = "forge.example.test"  # no name server knows it
ACCESS = GitAccess(f"https://{HOST}/r.git", TOKEN)


@pytest.fixture
def server(tmp_path: Path, seeded: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitServer]:
    context, authority = served_as(HOST, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setenv("GIT_SSL_CAINFO", str(authority))
    running = GitServer(seeded, context)
    yield running
    running.close()


@pytest.fixture
def proxy(server: GitServer) -> Iterator[Proxy]:
    with running_proxy(server.port) as running:
        yield running


async def test_git_goes_through_the_proxy_that_the_environment_names(
    manager: WorktreeManager, server: GitServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    mirror = await manager.mirror(REPO)
    await mirror.fetch(ACCESS)
    assert await mirror.resolve("main") is not None
    assert set(proxy.lines) == {f"CONNECT {HOST}:443"}
    assert any(server.seen), "the token reached the forge"
    assert all("authorization" not in headers for headers in proxy.headers), "and not the proxy"


async def test_a_proxy_that_refuses_asks_for_another_try_without_its_password(
    manager: WorktreeManager, server: GitServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    mirror = await manager.mirror(REPO)
    for proxy.refuse in (403, 502):
        with pytest.raises(RetryableError) as caught:
            await mirror.fetch(ACCESS)
        assert str(proxy.refuse) in str(caught.value)
        assert PASSWORD not in str(caught.value)
    assert server.seen == []


async def test_what_no_proxy_names_is_asked_straight(
    manager: WorktreeManager, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "other.test,.example.test")
    with pytest.raises(RetryableError, match="Could not resolve host"):
        await (await manager.mirror(REPO)).fetch(ACCESS)
    assert proxy.headers == []
