"""The browser's half of making an App: for an organization too, under a name that is free, and with a code that ends."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.judges.openapi import Judge
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge

MANIFEST = {
    "name": "Made here",
    "url": "http://127.0.0.1/",
    "redirect_url": "http://127.0.0.1:9/setup/callback",
}


@pytest.fixture
def forge(tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge) -> Iterator[JudgedForge]:
    with judged_forge(tmp_path / "forge", judge, webhook_judge) as served:
        yield served


@pytest.fixture
def browser(forge: JudgedForge) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=forge.url, follow_redirects=True, timeout=60, verify=False) as http:
        sent(http, http.get("/login").text, "/login", login="maintainer")
        yield http


def sent(http: httpx.Client, page: str, action: str, **fields: str) -> httpx.Response:
    """Send the form of a page that leads there."""
    assert f'action="{action}"' in page
    csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
    return http.post(action, data={"csrf": csrf, **fields})


def confirmed(http: httpx.Client, above: str = "", **more: str) -> httpx.Response:
    """Bring a manifest as another site's form does, and confirm it."""
    text = json.dumps({**MANIFEST, **more})
    page = http.post(f"{above}/settings/apps/new?state=s1", data={"manifest": text})
    assert page.status_code == 200, page.text[:300]
    http.follow_redirects = False
    answer = sent(
        http,
        page.text,
        f"{above}/settings/apps/confirm",
        manifest=text,
        state="s1",
        name=more.get("name", ""),
    )
    http.follow_redirects = True
    return answer


def converted(forge: JudgedForge, answer: httpx.Response) -> httpx.Response:
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["state"] == ["s1"]
    with forge.client("") as nobody:
        return nobody.post(f"/app-manifests/{query['code'][0]}/conversions")


def test_an_organization_gets_an_app_of_its_own_and_installs_it_itself(
    forge: JudgedForge, browser: httpx.Client
) -> None:
    with forge.client() as admin:
        admin.post("/_test/users", json={"login": "acme", "type": "Organization"}).raise_for_status()
    made: dict[str, Any] = converted(forge, confirmed(browser, "/organizations/acme")).json()
    assert (made["owner"]["login"], made["owner"]["type"]) == ("acme", "Organization")
    page = browser.get("/apps/made-here/installations/new").text
    assert "All repositories of acme" in page
    sent(browser, page, "/apps/made-here/installations/new", selection="all")
    assert (
        forge.app.state.forge.db.one("SELECT login FROM installations JOIN users ON users.id = account_id")[
            "login"
        ]
        == "acme"
    )


def test_an_organization_that_one_does_not_administer_is_not_there(
    forge: JudgedForge, browser: httpx.Client
) -> None:
    with forge.client() as admin:
        admin.post("/_test/users", json={"login": "acme", "type": "Organization"}).raise_for_status()
        admin.post("/_test/users", json={"login": "passer-by"}).raise_for_status()
    assert browser.get("/organizations/nobody/settings/apps/new").status_code == 404
    assert browser.get("/organizations/maintainer/settings/apps/new").status_code == 404
    with httpx.Client(base_url=forge.url, follow_redirects=True, timeout=60, verify=False) as other:
        sent(other, other.get("/login").text, "/login", login="passer-by")
        assert other.get("/organizations/acme/settings/apps/new").status_code == 404


def test_a_name_is_given_once(forge: JudgedForge, browser: httpx.Client) -> None:
    assert converted(forge, confirmed(browser)).status_code == 201
    again = confirmed(browser, name="MADE here")
    assert again.status_code == 422
    assert "exists already" in again.text


@pytest.mark.parametrize(
    ("age", "status"), [(timedelta(minutes=59), 201), (timedelta(hours=1), 404)], ids=str
)
def test_a_code_ends_after_an_hour_and_works_once(
    forge: JudgedForge, browser: httpx.Client, age: timedelta, status: int
) -> None:
    answer = confirmed(browser)
    own = forge.app.state.forge
    own.db.run("UPDATE app_manifests SET created_at = ?", own.clock.text(-age))
    assert converted(forge, answer).status_code == status
    assert converted(forge, answer).status_code == 404
