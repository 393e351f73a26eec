"""The API through a company's proxy: a real one, which alone knows where the forge is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from githubkit import TokenAuthStrategy

from bot.errors import RetryableError, UserError
from bot.forges.github.inspection import Inspection
from bot.forges.github.setup import Front
from bot.forges.github.transport import Access, Api, Timing
from tests.forges.scripted_server import Say, ScriptedServer, scripted_server
from tests.support.proxy import PASSWORD, Proxy, running_proxy
from tests.support.tls import served_as

HOST = "forge.example.test"  # no name server knows it
ME = Access(TokenAuthStrategy("ghp_mine"))


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def proxy(server: ScriptedServer) -> AsyncIterator[Proxy]:
    with running_proxy(urlsplit(server.url).port or 0) as running:
        yield running


async def no_time(_: float) -> None:
    await asyncio.sleep(0)


def api_at(url: str) -> Api:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return Api(url, version="", limit=3, write_gap=0, now=lambda: now, timing=Timing(sleep=no_time))


async def test_the_api_is_asked_through_the_proxy_that_the_environment_names(
    server: ScriptedServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    api = api_at(f"http://{HOST}/api/v3")
    await api.send("GET", "/x", ME)
    await api.send("POST", "/y", ME, json={"a": 1})
    await api.aclose()
    assert proxy.lines == [f"GET http://{HOST}/api/v3/x", f"POST http://{HOST}/api/v3/y"]
    assert server.lines == ["GET /api/v3/x", "POST /api/v3/y"]
    assert server.asked[1].body == {"a": 1}
    assert all("proxy-authorization" not in asked.headers for asked in server.asked)


async def test_set_up_asks_through_it_too(
    server: ScriptedServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    server.otherwise = lambda asked: Say(200, {"login": "ann", "id": 7})
    assert await Front(f"http://{HOST}", "").person("ghp_mine") == "ann"
    assert proxy.lines == [f"GET http://{HOST}/user"]


async def test_over_https_the_proxy_sees_the_hosts_name_and_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = served_as(HOST, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    async with scripted_server(context) as server:
        with running_proxy(urlsplit(server.url).port or 0) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            api = api_at(f"https://{HOST}")
            await api.send("GET", "/x", ME)
            await api.send("GET", "/y", ME)
            await api.aclose()
    assert proxy.lines == [f"CONNECT {HOST}:443"], "one tunnel serves both"
    assert server.lines == ["GET /x", "GET /y"]
    assert "ghp_mine" in server.asked[0].headers["authorization"]
    assert "authorization" not in proxy.headers[0]


async def test_a_proxy_that_refuses_is_named_without_its_password_and_nothing_was_sent(
    server: ScriptedServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    proxy.refuse = 403
    api = api_at(f"https://{HOST}")
    with pytest.raises(RetryableError) as caught:
        await api.send("POST", "/x", ME)
    await api.aclose()
    assert str(caught.value) == f"POST /x: no answer (the proxy {proxy.open_url}: 403 Forbidden)"
    assert PASSWORD not in str(caught.value)
    assert server.asked == []
    assert len(proxy.headers) > 1, "a POST that nobody got is tried again"


async def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "127.0.0.1:9")
    api = api_at(f"https://{HOST}")
    with pytest.raises(RetryableError, match=r"the proxy http://127\.0\.0\.1:9: "):
        await api.send("GET", "/x", ME)
    await api.aclose()


async def test_a_redirect_goes_the_way_of_the_host_it_leads_to(
    server: ScriptedServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    server.answers = [Say(302, None, {"location": f"http://logs.{HOST}/log"}), Say(200, {"fine": True})]
    api = api_at(server.url)  # on this machine, so straight
    assert (await api.send("GET", "/x", ME)).json() == {"fine": True}
    await api.aclose()
    assert proxy.lines == [f"GET http://logs.{HOST}/log"]
    assert server.lines == ["GET /x", "GET /log"]


async def test_a_date_that_something_on_the_way_has_spoilt_says_nothing_of_the_time(
    server: ScriptedServer,
) -> None:
    said = "Fri, 02 Jan 2026 00:00:00 GMT"
    inspection = Inspection(server.url, token="ghp_mine")
    for date, known in ((said, True), (f"{said}, {said}", False), ("yesterday", False)):
        server.answers = [Say(200, {"login": "ann", "id": 7, "type": "User"}, {"date": date})]
        met = await inspection.reception()
        assert (met.name, met.skew is not None) == ("ann", known), date
    await inspection.aclose()


def test_a_proxy_that_cannot_be_used_is_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(UserError, match=rf"ALL_PROXY, by which {HOST} would be reached"):
        api_at(f"https://{HOST}")
