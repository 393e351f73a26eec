"""What set-up asks a forge, and where it finds the forge's API and pages."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bot.errors import ForgeError, NotFoundError, RetryableError
from bot.forges.github.setup import Front, api_url, web_url
from tests.judges.openapi import Judge
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge

VERSION = "2022-11-28"


@pytest.fixture(scope="module")
def forge(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, webhook_judge: WebhookJudge
) -> Iterator[JudgedForge]:
    with judged_forge(tmp_path_factory.mktemp("front") / "forge", judge, webhook_judge) as served:
        yield served


def code_for(forge: JudgedForge, name: str) -> str:
    manifest = {"name": name, "url": "http://127.0.0.1/", "hook_attributes": {"url": "http://127.0.0.1:9/"}}
    with forge.client() as admin:
        made = admin.post("/_test/app-manifests", json={"manifest": manifest}).raise_for_status()
    return str(made.json()["code"])


@pytest.mark.parametrize(
    ("typed", "api", "web"),
    [
        ("github.com", "https://api.github.com", "https://github.com"),
        ("https://www.github.com/", "https://api.github.com", "https://github.com"),
        ("https://api.github.com", "https://api.github.com", "https://github.com"),
        ("acme.ghe.com", "https://api.acme.ghe.com", "https://acme.ghe.com"),
        ("https://ghes.example", "https://ghes.example/api/v3", "https://ghes.example"),
        ("https://ghes.example/api/v3/", "https://ghes.example/api/v3", "https://ghes.example"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/api/v3", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000/api/v3", "http://[::1]:8000"),
    ],
)
def test_the_address_that_people_know_leads_to_the_api_and_back(typed: str, api: str, web: str) -> None:
    assert api_url(typed) == api
    assert web_url(api) == web


@pytest.mark.parametrize(
    "typed", ["", "https://a@github.com", "ftp://x", "https://x/?y", "https://x/a b", "x:99999"]
)
def test_what_is_no_address_is_refused_with_the_reason(typed: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|is no address)"):
        api_url(typed)


async def test_an_app_is_handed_over_once_and_its_key_signs_for_it_below_both_prefixes(
    forge: JudgedForge,
) -> None:
    front = Front(api_url(forge.url), VERSION)
    code = code_for(forge, "Handed over")
    made = await front.convert(code)
    assert (made.slug, made.page) == ("handed-over", f"{forge.url}/apps/handed-over")
    assert made.key not in repr(made)
    assert made.webhook_secret not in repr(made)
    assert (await Front(forge.url, VERSION).app(str(made.id), made.key)).slug == made.slug
    with pytest.raises(NotFoundError):
        await front.convert(code)
    with pytest.raises(ForgeError):
        await front.app(str(made.id + 1), made.key)


async def test_a_forge_that_takes_too_long_is_not_waited_for(forge: JudgedForge) -> None:
    with forge.client() as admin:
        admin.post("/_test/faults", json={"kind": "slow", "seconds": 90, "count": 9}).raise_for_status()
        begun = time.monotonic()
        try:
            with pytest.raises(RetryableError, match="no answer"):
                await Front(forge.url, VERSION, timeout=0.3).convert("unknown")
            assert time.monotonic() - begun < 60
        finally:
            admin.delete("/_test/faults").raise_for_status()


async def test_a_token_is_asked_whose_it_is(forge: JudgedForge) -> None:
    assert await Front(forge.url, VERSION).person(forge.token) == "maintainer"
    with pytest.raises(ForgeError) as caught:
        await Front(forge.url, VERSION).person("ghp_wrong")
    assert caught.value.status == 401
