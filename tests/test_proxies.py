"""Which way leads to an address, as the environment says."""

from __future__ import annotations

import os

import pytest

from bot.errors import UserError
from bot.live_secrets import LiveSecrets
from bot.log import Redactor
from bot.proxies import hidden, proxy_for, secrets, shown
from bot.settings import load_settings

API = "https://api.github.com"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("said", "url", "way"),
    [
        ({}, API, None),
        ({"HTTPS_PROXY": "http://p:1"}, API, "http://p:1"),
        ({"HTTPS_PROXY": "p:1"}, API, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "https_proxy": "https://q:2"}, API, "https://q:2"),
        ({"HTTPS_PROXY": "http://p:1", "https_proxy": ""}, API, None),
        ({"HTTP_PROXY": "http://p:1"}, API, None),
        ({"HTTP_PROXY": "http://p:1"}, "http://ghes.corp/api/v3", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, API, "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "HTTPS_PROXY": "http://q:2"}, API, "http://q:2"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, API, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.b, github.com"}, API, None),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": ".github.com"}, API, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "hub.com"}, API, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.github.com:443"}, API, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "fd00::1"}, "https://[fd00::1]/api/v3", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://[fd00::1]/api/v3", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "http://127.0.0.1:8000/api/v3", None),
        ({"ALL_PROXY": "http://p:1"}, "https://[::1]:8000", None),
        ({"ALL_PROXY": "http://p:1"}, "http://localhost:8000", None),
        ({"ALL_PROXY": "socks5://p:1"}, "file:///srv/clone", None),
    ],
)
def test_the_way_to_an_address(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], url: str, way: str | None
) -> None:
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == way


@pytest.mark.parametrize(
    "said", ["socks5://p:1", "http://", "http://p:port", "http://u:pa#ss@p:1", "http://p:1 "]
)
def test_what_is_no_proxy_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", said)
    with pytest.raises(UserError, match=r"^HTTPS_PROXY, by which api\.github\.com would") as caught:
        proxy_for(API)
    assert "pa#ss" not in str(caught.value)


def test_credentials_of_a_proxy_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://hugo:p%40ss-word@p:1")
    monkeypatch.setenv("http_proxy", "a-token@q:2")
    assert set(secrets()) == {"p%40ss-word", "p@ss-word", "a-token"}
    assert set(secrets()) <= set(load_settings(None).secrets())
    text = "Invalid proxy URL 'http://hugo:p%40ss-word@p:1', http://a-token@q:2"
    for safe in (hidden(text), Redactor(LiveSecrets(load_settings(None).secrets())).text(text)):
        assert "ss-word" not in safe
        assert "a-token" not in safe
    assert shown("http://hugo:p%40ss-word@p:1") == "http://p:1"
