"""Set-up and input that means harm: never an error of ours, never markup or an address of a stranger's making."""

from __future__ import annotations

import asyncio
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.forges.github.setup import api_url
from bot.settings import load_settings
from bot.web.setup import Setup
from tests.web.setup_stage import HERE, Noon, Start

HOSTILE = [
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
    "https://github.com@evil.example",
    "https://evil.example/#https://github.com",
    "https://exa\r\nmple.com",
    "http://[::1",
    "http://x:99999999",
    "//evil.example",
    "a\x00b",
    "\ud800",
    "../../etc/passwd",
    "x" * 5_000,
]
FIELDS = (
    "form",
    "request",
    "self",
    "problems",
    "csrf",
    "owner",
    "organization",
    "name",
    "server",
    "hook",
    "poll",
    "app_id",
    "private_key",
    "token",
    "webhook_secret",
)
words = st.one_of(
    st.sampled_from(HOSTILE), st.sampled_from(["me", "organization", "on", "acme"]), st.text(max_size=40)
)
TAGS = (
    "html head meta title link style body header b span main ol li h1 h2 p code div ul a section form input fieldset"
    " legend label textarea button details summary small footer table tr th td"
)
ALLOWED = frozenset(TAGS.split())


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def _quoted(fields: dict[str, str]) -> str:
    return str(httpx.QueryParams({k: v.encode("utf-8", "replace").decode() for k, v in fields.items()}))


async def _sent(data: Path, path: str, fields: dict[str, str], headers: dict[str, str]) -> httpx.Response:
    settings = load_settings(None, data_dir=data)  # nothing is fixed: the form names the forge
    setup = Setup(settings, Noon(), Start())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(setup.app()), base_url=HERE) as http:
        page = (await http.get("/setup", params={"token": setup.token}, follow_redirects=True)).text
        csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return await http.post(path, content=_quoted({**fields, "csrf": csrf}), headers={**kind, **headers})


@given(
    fields=st.dictionaries(st.sampled_from(FIELDS), words, max_size=len(FIELDS)),
    origin=st.sampled_from(
        ["", "null", "https://bot.example", 'http://x"><b>', "http://a@b", "http://[::1", "http://[z]"]
    ),
    host=st.sampled_from(
        [
            "127.0.0.1:8080",
            'x"><script>',
            "a b",
            "evil.example/path",
            "[::1",
            "[z]:8",
            "x:99999999",
            "[::1]:8080",
        ]
    ),
)
def test_whatever_is_typed_becomes_text_and_no_failure(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, str], origin: str, host: str
) -> None:
    data = tmp_path_factory.getbasetemp()
    headers = {"host": host, **({"origin": origin} if origin else {})}
    # Not the forms that would ask a forge: what they take is read by the same functions, and refused here.
    answer = asyncio.run(_sent(data, "/setup/app", fields, headers))
    assert answer.status_code in {200, 422}
    seen = _Seen()
    seen.feed(answer.text)
    assert seen.tags <= ALLOWED
    for name, value in seen.attributes:
        assert not name.startswith("on")
        if name in {"href", "action"}:
            assert value.startswith(("#", "/", "https://", "http://", "data:,")), value
            assert "evil.example" not in value.partition("?")[0] or "evil.example" in fields.get("server", "")


@given(words)
def test_an_address_that_is_taken_names_a_host_and_nothing_that_misleads(typed: str) -> None:
    try:
        found = api_url(typed)
    except ValueError:
        return  # refused, with what is wrong with it
    parts = httpx.URL(found)
    assert parts.scheme in {"http", "https"}
    assert parts.host
    assert not parts.userinfo
    assert not parts.query
    assert not parts.fragment
