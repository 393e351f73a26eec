"""Set-up over HTTP: who is let in, how an App comes back from the forge, and what is stored."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from inline_snapshot import snapshot

from bot.errors import UserError
from bot.settings import load_settings
from tests.judges.openapi import Judge
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge
from tests.web.setup_stage import HERE, Stage, problems, said, staged


def a_key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return made.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


@pytest.fixture(scope="module")
def forge(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, webhook_judge: WebhookJudge
) -> Iterator[JudgedForge]:
    with judged_forge(tmp_path_factory.mktemp("setup") / "forge", judge, webhook_judge) as served:
        yield served


@pytest.fixture(autouse=True)
def _clean_forge(forge: JudgedForge) -> None:
    with forge.client() as admin:
        admin.delete("/_test/faults").raise_for_status()


@pytest.fixture
async def stage(forge: JudgedForge, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path / "bot", forge) as ready:
        yield ready


# --- the door ----------------------------------------------------------------------------------------


async def test_nothing_but_set_up_is_served_before_it_is_done(stage: Stage) -> None:
    assert (await stage.http.get("/healthz")).status_code == 200
    ready = await stage.http.get("/readyz")
    assert (ready.status_code, list(ready.json())) == (503, ["setup"])
    assert (await stage.http.post("/webhook", json={})).status_code == 503
    assert (await stage.http.get("/")).headers["location"] == "/setup"


@pytest.mark.parametrize("query", [{}, {"token": "wrong"}, {"token": ""}, {"token": "wröng"}], ids=str)
async def test_without_the_token_nobody_sees_or_sends_anything(stage: Stage, query: dict[str, str]) -> None:
    page = await stage.http.get("/setup", params=query)
    assert page.status_code == 403
    assert "Open the newest address that the server printed" in said(page)
    assert "set-cookie" not in page.headers
    for path in ("app", "import", "token", "start"):
        assert (await stage.send(path, owner="me")).status_code == 403
    assert (await stage.back({"code": "x", "state": "y"})).status_code == 403


async def test_the_token_leaves_the_address_for_a_cookie_that_scripts_and_other_sites_do_not_get(
    stage: Stage,
) -> None:
    came = await stage.http.get("/setup", params={"token": stage.setup.token})
    assert (came.status_code, came.headers["location"]) == (303, "/setup")
    cookie = came.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert stage.setup.token not in cookie
    assert stage.setup.token not in await stage.enter()


async def test_each_use_of_the_token_ends_what_it_opened_before(stage: Stage) -> None:
    await stage.enter()
    first, forgery_token = dict(stage.http.cookies), stage.csrf
    stage.http.cookies.clear()
    await stage.enter()  # another browser
    assert stage.csrf != forgery_token
    second = dict(stage.http.cookies)
    stage.http.cookies.clear()
    stage.http.cookies.update(first)
    page = await stage.http.get("/setup")
    assert page.status_code == 403
    assert "Another browser has opened set-up since" in said(page)
    assert (await stage.send("app", owner="me")).status_code == 403
    stage.http.cookies.clear()
    stage.http.cookies.update(second)
    assert (await stage.http.get("/setup")).status_code == 200


async def test_what_another_browser_began_is_not_taken_over(stage: Stage) -> None:
    await stage.enter()
    theirs = await stage.confirmed(name="Of somebody else")
    stage.http.cookies.clear()
    await stage.enter()  # the operator, who is then led to the address with their state and code
    ours = await stage.confirmed(name="Of the operator")
    answer = await stage.back(theirs)
    assert answer.status_code == 400
    assert "set-up was opened again" in said(answer)
    assert (stage.stored, stage.start.count) == (None, 0)
    assert (await stage.back(ours)).status_code == 303
    assert "Gitwright works as of-the-operator[bot]" in said(await stage.http.get("/setup"))


@pytest.mark.parametrize(
    ("form", "fault"),
    [("import", "slow"), ("token", "slow"), ("token", "error_before"), ("callback", "slow")],
)
async def test_a_browser_that_is_sent_away_while_the_forge_is_asked_sets_nothing_up(
    forge: JudgedForge, stage: Stage, form: str, fault: str
) -> None:
    await stage.enter()
    fields = an_app(forge, f"Too slow {form} {fault}")
    theirs = await stage.confirmed(name=f"Away {form} {fault}")
    asks: dict[str, Callable[[], Awaitable[httpx.Response]]] = {
        "import": lambda: stage.send("import", **fields),
        "token": lambda: stage.send("token", token=forge.token),
        "callback": lambda: stage.back(theirs),
    }
    # Slow is what is asked until the other browser has come.
    stage.fault(fault, ".", **({"seconds": 60} if fault == "slow" else {"count": 100}))
    slow = asyncio.ensure_future(asks[form]())
    async with asyncio.timeout(60):
        while not stage.faulty():
            await asyncio.sleep(0.01)
        stage.http.cookies.clear()
        await stage.enter()  # another browser
        ours = await stage.confirmed(name=f"Goes on {form} {fault}")
        if fault == "slow":
            stage.faultless()
        answer = await slow
    assert answer.status_code == 403
    assert "Another browser has opened set-up since" in said(answer)
    assert stage.csrf not in answer.text
    assert (stage.stored, stage.start.count) == (None, 0)
    stage.faultless()
    assert (await stage.back(ours)).status_code == 303
    assert stage.start.count == 1


async def test_pages_forbid_scripts_frames_and_everything_from_elsewhere(stage: Stage) -> None:
    await stage.enter()
    page = await stage.http.get("/setup")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'; base-uri 'none'; form-action 'self'" in policy
    assert "script" not in policy
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"


async def test_a_form_of_another_site_changes_nothing(stage: Stage) -> None:
    await stage.enter()
    for csrf in ("", "0" * 43, "ü"):
        stage.csrf = csrf
        assert (await stage.send("app", owner="me", name="x", hook=f"{HERE}/webhook")).status_code == 403
    assert (await stage.http.post("/setup/app", json={})).status_code == 400
    stage.csrf = "x" * (1 << 17)
    assert (await stage.send("app")).status_code == 400


async def test_a_page_that_came_in_the_clear_says_so(forge: JudgedForge, tmp_path: Path) -> None:
    async with staged(tmp_path / "bot", forge) as stage:
        assert "Not encrypted" not in await stage.enter()
        stage.http.base_url = "http://bot.example"  # type: ignore[assignment]
        assert "Not encrypted" in await stage.enter()
        stage.http.base_url = "https://bot.example"  # type: ignore[assignment]
        assert "Not encrypted" not in await stage.enter()


# --- an App from a manifest --------------------------------------------------------------------------


async def test_an_app_is_made_from_its_manifest_stored_and_started(stage: Stage) -> None:
    await stage.enter()
    target, manifest = await stage.review()
    assert target.startswith(f"{stage.forge.url}/settings/apps/new?state=")
    assert manifest["name"] == "Our bot"
    assert manifest["hook_attributes"] == {"url": f"{HERE}/webhook", "active": True}
    assert manifest["redirect_url"] == f"{HERE}/setup/callback"
    assert manifest["default_permissions"]["contents"] == "write"
    assert "issues" in manifest["default_events"]
    assert manifest["public"] is False

    came = await stage.back(await stage.confirmed(name="Made at once"))
    assert (came.status_code, came.headers["location"]) == (303, "/setup")
    stored = stage.stored
    assert stored is not None
    assert (stage.data / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert stored["github_api_url"] == stage.forge.url
    assert stored["private_key"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert stage.start.count == 1
    assert sorted(path.name for path in stage.data.iterdir()) == ["app.private-key.pem", "credentials.json"]

    page = await stage.http.get("/setup")
    assert f'href="{stage.forge.url}/apps/made-at-once/installations/new"' in page.text
    assert stored["private_key"] not in page.text
    assert stored["webhook_secret"] not in page.text
    settings = load_settings(None, data_dir=stage.data, github_api_url=stage.forge.url)
    assert (settings.mode, settings.app_id) == ("app", stored["app_id"])
    assert set(settings.secrets()) == {stored["webhook_secret"]}, "the key is the broker's"


async def test_the_link_is_good_for_one_set_up(stage: Stage) -> None:
    await stage.enter()
    query = await stage.confirmed(name="Only once")
    await stage.back(query)
    assert (await stage.back(query)).headers["location"] == "/setup"
    assert (await stage.send("app", owner="me", name="x")).headers["location"] == "/setup"
    assert stage.start.count == 1
    stage.http.cookies.clear()
    again = await stage.http.get("/setup", params={"token": stage.setup.token})
    assert again.status_code == 403
    assert "set up already" in said(again)


async def test_an_organisations_app_is_made_where_the_organisation_makes_its_apps(stage: Stage) -> None:
    await stage.enter()
    target, _ = await stage.review(owner="organization", organization="acme-inc")
    assert urlsplit(target).path == "/organizations/acme-inc/settings/apps/new"
    own, _ = await stage.review(organization="acme-inc")
    assert urlsplit(own).path == "/settings/apps/new"


async def test_an_enterprise_server_is_named_by_its_address(forge: JudgedForge, tmp_path: Path) -> None:
    async with staged(tmp_path / "bot", forge, github_api_url=None) as stage:
        await stage.enter()
        for server, page in (
            ("https://ghes.example", "https://ghes.example/settings/apps/new"),
            ("ghes.example:8443/", "https://ghes.example:8443/settings/apps/new"),
            ("https://acme.ghe.com", "https://acme.ghe.com/settings/apps/new"),
            ("github.com", "https://github.com/settings/apps/new"),
        ):
            target, _ = await stage.review(server=server, hook="https://bot.example/webhook")
            assert target.partition("?")[0] == page


async def test_a_bot_that_nobody_reaches_may_fetch_its_events(stage: Stage) -> None:
    await stage.enter()
    _, manifest = await stage.review(hook="", poll="on")
    assert manifest["hook_attributes"]["url"] == "https://example.invalid/webhook"
    await stage.back(await stage.confirmed(name="Fetching", poll="on"))
    assert stage.stored is not None
    assert stage.stored["poll_deliveries"] is True


@pytest.mark.parametrize("state", ["", "wrong", "ü"])
async def test_a_state_that_is_not_ours_takes_no_code(stage: Stage, state: str) -> None:
    await stage.enter()
    query = await stage.confirmed(name=f"Foreign {len(state)}")
    answer = await stage.back({**query, "state": state})
    assert answer.status_code == 400
    assert "does not belong to a set-up that is under way" in said(answer)
    assert (stage.stored, stage.start.count) == (None, 0)
    assert (await stage.back(query)).status_code == 303


async def test_a_state_ends_after_an_hour(stage: Stage) -> None:
    await stage.enter()
    query = await stage.confirmed(name="Too late")
    stage.clock.pass_by(minutes=60)
    assert (await stage.back(query)).status_code == 400
    assert stage.stored is None
    stage.clock.pass_by(seconds=-1)
    assert (await stage.back(query)).status_code == 303


async def test_a_conversion_that_fails_before_it_is_done_may_be_tried_again(stage: Stage) -> None:
    await stage.enter()
    query = await stage.confirmed(name="Second try")
    stage.fault("error_before")
    failed = await stage.back(query)
    assert failed.status_code == 502
    assert (stage.stored, stage.start.count) == (None, 0)
    again = re.search(r'href="([^"]+callback[^"]+)"', failed.text)
    assert again is not None
    assert {
        name: value[0] for name, value in parse_qs(urlsplit(again[1].replace("&amp;", "&")).query).items()
    } == query
    assert (await stage.back(query)).status_code == 303
    assert stage.start.count == 1


async def test_a_conversion_whose_answer_was_lost_says_what_to_do_with_the_app(stage: Stage) -> None:
    await stage.enter()
    query = await stage.confirmed(name="Lost answer")
    stage.fault("error_after")
    assert (await stage.back(query)).status_code == 502
    answer = await stage.back(query)
    assert answer.status_code == 502
    assert said(answer).replace(stage.forge.url, "FORGE") == snapshot("""\
Gitwright set-up
The App could not be taken over
FORGE does not know this code: it is good for one time, and for an hour. Begin again. If FORGE has made the App already, delete it there, or make a new private key on its page and import it.
Back to set-up\
""")
    assert stage.stored is None


async def test_a_code_that_is_no_code_is_not_sent_to_the_forge(stage: Stage) -> None:
    await stage.enter()
    query = await stage.confirmed(name="Odd code")
    for code in ("", "../user", "a b", "x" * 300):
        assert (await stage.back({**query, "code": code})).status_code == 400


async def test_a_bot_that_does_not_start_says_why_keeps_the_app_and_starts_when_it_is_mended(
    stage: Stage,
) -> None:
    await stage.enter()
    stage.start.failures = [UserError("bubblewrap is missing: <install> it")]
    await stage.back(await stage.confirmed(name="Not yet"))
    page = await stage.http.get("/setup")
    assert page.status_code == 503
    assert "bubblewrap is missing: <install> it" in said(page)
    assert str(stage.data / "credentials.json") in page.text
    kept = stage.stored
    assert kept is not None
    stage.http.cookies.clear()
    back = await stage.http.get("/setup", params={"token": stage.setup.token}, follow_redirects=True)
    assert (back.status_code, said(back)) == (503, said(page)), "the link opens the page until all is done"
    assert stage.csrf not in back.text
    stage.csrf = re.findall(r'name="csrf" value="([^"]+)"', back.text)[0]
    assert (await stage.send("start")).status_code == 303
    assert (await stage.http.get("/setup")).status_code == 200
    assert (stage.stored, stage.start.count) == (kept, 2)
    assert (await stage.send("start")).status_code == 303
    assert stage.start.count == 2


async def test_credentials_that_cannot_be_written_are_held_until_they_can(stage: Stage) -> None:
    await stage.enter()
    (stage.data / "credentials.json").mkdir()
    await stage.back(await stage.confirmed(name="Held"))
    page = await stage.http.get("/setup")
    assert page.status_code == 503
    assert stage.start.count == 0
    assert "The credentials are not stored yet" in said(page)
    assert "Nothing is lost" not in said(page)
    (stage.data / "credentials.json").rmdir()
    await stage.send("start")
    assert stage.stored is not None
    assert stage.start.count == 1


async def test_credentials_of_another_app_are_kept_and_the_new_ones_are_not_said_to_be_stored(
    stage: Stage,
) -> None:
    await stage.enter()
    others = '{"github_api_url": "https://api.github.com", "token": "ghp_of_somebody"}'
    (stage.data / "credentials.json").write_text(others)
    await stage.back(await stage.confirmed(name="Held too"))
    page = said(await stage.http.get("/setup"))
    assert "holds credentials already" in page
    assert "The credentials are not stored yet" in page
    assert (stage.data / "credentials.json").read_text() == others


# --- an App that exists, and a token -----------------------------------------------------------------


def an_app(forge: JudgedForge, name: str, **manifest: object) -> dict[str, str]:
    """Make an App by hand; gives the fields of the form that imports it."""
    wanted = {"name": name, "url": HERE, "hook_attributes": {"url": f"{HERE}/webhook"}, **manifest}
    with forge.client() as admin:
        code = admin.post("/_test/app-manifests", json={"manifest": wanted}).raise_for_status().json()["code"]
        made = admin.post(f"/app-manifests/{code}/conversions").raise_for_status().json()
    return {"app_id": str(made["id"]), "private_key": made["pem"], "webhook_secret": made["webhook_secret"]}


async def test_an_app_that_exists_is_imported_and_what_it_lacks_is_said(stage: Stage) -> None:
    await stage.enter()
    fields = an_app(stage.forge, "By hand", default_permissions={"issues": "read"}, default_events=["issues"])
    windows = fields["private_key"].replace("\n", "\r\n")
    assert (await stage.send("import", **{**fields, "private_key": windows})).status_code == 303
    stored = stage.stored
    assert stored is not None
    assert stored["private_key"] == fields["private_key"]
    page = said(await stage.http.get("/setup"))
    assert "Gitwright works as by-hand[bot]" in page
    assert "permission issues: write" in page
    assert "event pull_request" in page
    assert f"the address {HERE}/webhook" in page


async def test_a_key_of_another_app_is_refused_before_anything_is_stored(stage: Stage) -> None:
    await stage.enter()
    fields = an_app(stage.forge, "Right key")
    other = a_key()
    for wrong in ({"private_key": other}, {"app_id": "999"}):
        page = await stage.send("import", **{**fields, **wrong})
        assert page.status_code == 422
        assert 'aria-invalid="true"' in page.text
        assert other not in page.text
        assert fields["webhook_secret"] not in page.text
        assert f'value="{ {**fields, **wrong}["app_id"] }"' in page.text
    assert "The forge does not take this key for this App" in said(page)
    assert (stage.stored, stage.start.count) == (None, 0)


async def test_every_problem_of_an_import_is_said_at_once(stage: Stage) -> None:
    await stage.enter()
    page = await stage.send(
        "import", app_id="my app", private_key="-----BEGIN RSA PRIVATE KEY-----\nMIIE", poll=""
    )
    assert page.status_code == 422
    assert problems(page) == snapshot(
        [
            "Give the App ID (a number) or the client ID, from the top of the App's settings page.",
            "This is not a usable private key: damaged, cut off, or locked with a pass phrase. Paste the whole .pem file that the forge gave you.",
            "Give the secret that stands in the App's webhook settings; set one there if there is none.",
        ]
    )


async def test_a_proxy_that_cannot_be_used_is_told_of_before_an_app_is_made(
    forge: JudgedForge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.corp:1080")
    async with staged(tmp_path / "bot", forge, github_api_url="https://api.github.com") as stage:
        await stage.enter()
        page = await stage.send("app", owner="me", name="Gitwright", poll="on")
    assert problems(page) == snapshot(
        [
            "HTTPS_PROXY, by which api.github.com would be reached, names no proxy that can be used: it must be an address such as http://HOST:PORT or https://USER:PASSWORD@HOST:PORT (%-encode what is special in them). Mend it, or add api.github.com to NO_PROXY, and start again."
        ]
    )


async def test_every_problem_of_a_new_app_is_said_at_once(forge: JudgedForge, tmp_path: Path) -> None:
    async with staged(tmp_path / "bot", forge, github_api_url="https://api.github.com") as stage:
        await stage.enter()
        page = await stage.send(
            "app", owner="organization", organization="a/b", name="x" * 35, hook=f"{HERE}/webhook"
        )
        assert problems(page) == snapshot(
            [
                "Give the App a name of 1 to 34 characters, on one line.",
                "Give the organisation's name as it stands in its address: letters, digits and dashes.",
                "https://github.com cannot reach 127.0.0.1 from outside. Give the address of a reverse proxy, a tunnel or a relay (such as a channel of smee.io) that passes events on to this server, or choose to fetch events.",
            ]
        )


async def test_no_secret_goes_to_a_forge_over_plain_http_unless_the_operator_named_it(
    forge: JudgedForge, tmp_path: Path
) -> None:
    async with staged(tmp_path / "bot", forge, github_api_url=None) as stage:
        await stage.enter()
        for form in ("token", "import", "app"):
            page = await stage.send(form, server="http://ghes.example", token="ghp_something")
            assert page.status_code == 422
            assert any(each.startswith("The address must begin with https://") for each in problems(page)), (
                form
            )
    async with staged(tmp_path / "bot", forge, github_api_url="http://ghes.example/api/v3") as stage:
        assert "is reached over plain HTTP" in await stage.enter()
        target, _ = await stage.review(hook="http://bot.example/webhook")
        assert target.startswith("http://ghes.example/settings/apps/new")


async def test_a_forge_that_gives_no_answer_is_named(forge: JudgedForge, tmp_path: Path) -> None:
    async with staged(tmp_path / "bot", forge, github_api_url="http://127.0.0.1:1") as stage:
        await stage.enter()
        page = await stage.send("token", token="ghp_something")
        assert page.status_code == 422
        assert "http://127.0.0.1:1 does not answer as a forge does" in said(page)


async def test_a_persons_token_is_asked_about_and_its_webhook_is_explained(stage: Stage) -> None:
    await stage.enter()
    assert (await stage.send("token", token="ghp_wrong")).status_code == 422
    assert stage.stored is None
    assert (await stage.send("token", token=stage.forge.token)).status_code == 303
    stored = stage.stored
    assert stored is not None
    assert (stored["token"], len(stored["webhook_secret"])) == (stage.forge.token, 64)
    page = await stage.http.get("/setup")
    assert "Gitwright works as maintainer" in said(page)
    assert stored["webhook_secret"] in page.text
    assert stage.forge.token not in page.text
    assert load_settings(None, data_dir=stage.data, github_api_url=stage.forge.url).mode == "token"
