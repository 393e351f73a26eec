"""The whole examination on a judged forge: an App as it should be, and what is found where it is not."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import stat
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bot.doctor import CHECKS
from bot.doctor.check import Check, Finding, Result, ok
from bot.doctor.examine import Examined, examine
from bot.doctor.report import as_json, as_lines
from bot.doctor.world import NotLookedAtError, World, open_world
from bot.errors import UserError
from bot.settings import Settings, load_settings
from bot.web.setup_manifest import template
from bot.wiring import SystemClock, build
from tests.judges.openapi import Judge
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge
from tests.stories import stage
from tests.stories.scripts import BYE, FILES, ONE_TASK
from tests.support.proxy import running_proxy

SLUG = f"{stage.OWNER}/{stage.REPO}"
SLOW = ("machine.sandbox",)  # proved by the sandbox's own tests
QUICK = tuple(check for check in CHECKS if check.name not in SLOW)
ENVIRON = {"PATH": "/usr/bin:/bin"}


class Shifted:
    """A clock that goes wrong."""

    def __init__(self, offset: timedelta) -> None:
        self._offset = offset

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset


class Scene:
    """A forge with the App on it, and its repository's maintainer."""

    def __init__(self, forge: JudgedForge, app: Mapping[str, Any], settings: Settings) -> None:
        self.forge, self.app, self.settings = forge, app, settings
        self.admin = forge.client()
        self.seen = 0

    def call(self, method: str, path: str, **options: Any) -> Any:
        return stage.ok(self.admin.request(method, path, **options))

    def put(self, path: str, text: str) -> None:

        content = base64.b64encode(text.encode()).decode()
        self.call(
            "PUT", f"/repos/{SLUG}/contents/{path}", json={"message": f"Write {path}", "content": content}
        )

    async def examined(
        self, *names: str, fix: bool = False, named: tuple[str, ...] = (), **settings: Any
    ) -> Examined:
        """Make the named checks, or all that are quick."""
        given = self.settings.model_copy(update=settings)
        world = open_world(lambda: given, ENVIRON, SystemClock(), named)
        checks = [check for check in QUICK if not names or check.name in names]
        try:
            return await examine(world, checks, fix=fix, seconds=100)
        finally:
            await world.aclose()

    async def finding(self, name: str, **options: Any) -> Finding:
        [result] = (await self.examined(name, **options)).results
        return result.finding

    def writes(self) -> list[str]:
        """Every call but those that read, and tokens minted and revoked, since this was asked last."""
        lines = (self.forge.data / "requests.jsonl").read_text().splitlines()
        fresh, self.seen = lines[self.seen :], len(lines)
        calls = [json.loads(line) for line in fresh]
        told = [f"{call['method']} {call['path']}" for call in calls if call["actor_type"] != "user"]
        return [
            each
            for each in told
            if not each.startswith("GET ")
            and not each.endswith("/access_tokens")
            and each != "DELETE /installation/token"
        ]


@pytest.fixture
def scene(tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge) -> Iterator[Scene]:
    script = stage.write_script(tmp_path / "script", ONE_TASK, {"bye.patch": BYE})
    with judged_forge(tmp_path / "forge", judge, webhook_judge) as forge:
        app = stage.prepare(forge, 9, FILES, None, tmp_path)
        settings = stage.settings(forge, app, tmp_path, script, None)
        made = Scene(forge, app, settings)
        made.writes()
        with made.admin:
            yield made


def levels(found: Examined) -> dict[str, str]:
    return {each.check: each.finding.level for each in found.results}


async def test_an_app_as_it_should_be_has_nothing_to_mend_but_labels_and_nothing_is_written(
    scene: Scene,
) -> None:
    found = await scene.examined()

    wrong = {name: level for name, level in levels(found).items() if level != "ok"}
    assert wrong.pop("machine.sqlite", "warning") == "warning"  # the machine's own
    assert wrong == {"webhook.deliveries": "failed", "repository.labels": "warning"}
    assert {each.repository for each in found.results} == {None, SLUG}
    assert sorted(each.check for each in found.results) == sorted(check.name for check in QUICK)
    assert scene.writes() == []
    assert not scene.settings.data_dir.exists()


async def test_fix_makes_the_labels_and_says_each(scene: Scene) -> None:
    first = await scene.examined("repository.labels", fix=True)
    again = await scene.examined("repository.labels", fix=True)

    assert first.results[0].finding.level == "ok"
    assert first.results[0].done[0] == "made the label `agent:plan`"
    assert len(scene.writes()) == len(first.results[0].done) == 6
    assert again.results[0].done == ()
    made = {
        each["name"]: each["description"] for each in scene.call("GET", f"/repos/{SLUG}/labels?per_page=100")
    }
    assert made["agent:plan"] == "Have agents plan this issue"


async def examined_here(folder: Path, name: str, *, fix: bool = False) -> Result:
    """Make one check of the machine, without a forge."""
    world = open_world(lambda: load_settings(None, data_dir=folder), ENVIRON, SystemClock())
    [result] = (await examine(world, [check for check in QUICK if check.name == name], fix=fix)).results
    return result


async def test_fix_closes_the_data_folder_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)

    assert (await examined_here(folder, "machine.data")).finding.level == "warning"
    result = await examined_here(folder, "machine.data", fix=True)
    assert (result.finding.level, len(result.done)) == ("ok", 1)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_bot_at_work_on_the_same_data_is_not_disturbed(scene: Scene) -> None:
    bot = await build(scene.settings)
    await bot.start()
    try:
        found = await scene.examined("database", "machine.data", "forge.identity")
        assert set(levels(found).values()) == {"ok"}
        assert "(schema " in found.results[1].finding.text
        assert (await bot.readiness())["database"] == "ok"
    finally:
        await bot.stop()
    before = scene.settings.data_dir.stat().st_mtime_ns
    stopped = await scene.finding("database")
    assert "(schema " in stopped.text
    assert scene.settings.data_dir.stat().st_mtime_ns == before, "a file was made in the folder"


async def test_a_database_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "gitwright.sqlite").write_text("This is a letter.\n" * 100)

    found = (await examined_here(tmp_path, "database")).finding
    assert found.level == "failed"
    assert "not a database" in found.text


async def test_a_repository_with_everything_in_the_way(scene: Scene) -> None:
    scene.put(".github/gitwright.yml", "labls: {}\n")
    scene.put(".github/workflows/ci.yml", "on: push\njobs: {a: {steps: [{run: '${{ secrets.KEY }}'}]}}\n")
    scene.put("CODEOWNERS", "tasks/ @ada\n")
    scene.put(".drone.yml", "kind: pipeline\n")
    head = scene.call("GET", f"/repos/{SLUG}/git/ref/heads/main")["object"]["sha"]
    scene.call("POST", f"/repos/{SLUG}/git/refs", json={"ref": "refs/heads/agent", "sha": head})
    refs = {"include": ["refs/heads/agent/**/*"], "exclude": []}
    wish = {
        "name": "R",
        "enforcement": "active",
        "conditions": {"ref_name": refs},
        "rules": [{"type": "creation"}],
    }
    scene.call("POST", f"/repos/{SLUG}/rulesets", json=wish)

    found = {each.check: each.finding for each in (await scene.examined()).results if each.repository}

    said = found["repository.settings"]
    assert (said.level, said.details) == (
        "failed",
        ("line 1: The key `labls` is not known. Did you mean `labels`?",),
    )
    assert found["repository.branches"].text == "A branch `agent` makes branches below `agent/` impossible."
    assert found["repository.rules"].details == (
        f"creation from {SLUG} on `agent/issue-1/backlog`: nobody may make this branch, so nothing can be pushed",
        f"creation from {SLUG} on `agent/issue-1/T-1-a1`: nobody may make this branch, so nothing can be pushed",
    )
    assert found["repository.secrets"].details == (".github/workflows/ci.yml:2: `secrets.KEY`, on push",)
    assert "@ada" in found["repository.owners"].text
    assert found["repository.ci"].text == "Pull requests are checked by .github/workflows/ci.yml, .drone.yml."


async def test_an_app_with_other_permissions_events_and_webhook(scene: Scene) -> None:
    db = scene.forge.app.state.forge.db
    asked = {"metadata": "read", "issues": "write", "administration": "write"}
    events = json.dumps(["issues", "watch"])
    db.run(
        "UPDATE apps SET permissions = ?, events = ?, webhook_content_type = 'form' WHERE slug = ?",
        json.dumps(asked),
        events,
        scene.app["slug"],
    )
    db.run("UPDATE installations SET permissions = ?", json.dumps({"metadata": "read"}))

    found = {each.check: each.finding for each in (await scene.examined()).results}

    assert "missing: contents: write" in found["app.permissions"].details
    assert "not needed: administration: write" in found["app.permissions"].details
    assert "not needed: watch" in found["app.events"].details
    assert found["app.installations"].details == (f"{stage.OWNER}: not approved yet: issues: write",)
    assert found["webhook.config"].text == "The webhook sends `form`."


async def test_deliveries_that_nobody_took_are_counted(scene: Scene) -> None:
    scene.call("POST", f"/repos/{SLUG}/issues", json={"title": "Anybody there?"})
    await asyncio.to_thread(scene.forge.settle)

    found = await scene.finding("webhook.deliveries")
    assert found.level == "failed"
    assert found.text.startswith("Of the last")
    assert "never arrived" in found.text


async def test_a_suspended_installation_and_a_repository_that_nobody_knows(scene: Scene) -> None:
    scene.forge.app.state.forge.db.run("UPDATE installations SET suspended_at = '2026-01-01T00:00:00Z'")

    found = await scene.examined("app.installations", "repository.state")
    assert levels(found) == {"app.installations": "failed"}  # and none of its repositories
    named = await scene.examined("repository.state", named=("maintainer/nothing", SLUG))
    assert [(each.repository, each.finding.step) for each in named.results] == [
        ("maintainer/nothing", "Compare the name, and install the App on it."),
        (SLUG, "Do what `app.installations` says."),
    ]


async def test_of_many_repositories_ten_are_looked_at_and_that_is_said(scene: Scene) -> None:
    [installation] = scene.forge.app.state.forge.db.all("SELECT id FROM installations")
    for number in range(11):
        made = scene.call("POST", "/user/repos", json={"name": f"more-{number}", "private": True})
        scene.call("PUT", f"/user/installations/{installation['id']}/repositories/{made['id']}")

    found = await scene.examined("repository.state")
    assert len(found.results) == 10
    assert found.notes == ("The first 10 repositories were looked at; name others with --repo.",)
    [empty] = (await scene.examined("repository.state", named=("maintainer/more-10",))).results
    assert empty.finding.text == "The repository is empty."


async def test_of_thousands_of_repositories_neither_some_nor_a_named_one_is_out_of_reach(
    scene: Scene,
) -> None:
    db = scene.forge.app.state.forge.db
    [installation] = db.all("SELECT id FROM installations")
    [row] = db.all("SELECT * FROM repos WHERE name = ?", stage.REPO)
    names = [name for name in dict(row) if name != "id"]
    for number in range(1_050):
        values = [f"many-{number}" if name == "name" else row[name] for name in names]
        marks = ", ".join("?" * len(names))
        db.run(f"INSERT INTO repos ({', '.join(names)}) VALUES ({marks})", *values)
    db.run("UPDATE installations SET repository_selection = 'all' WHERE id = ?", installation["id"])

    found = await scene.examined("repository.token")
    assert len(found.results) == 10
    assert found.notes == ("The first 10 repositories were looked at; name others with --repo.",)
    named = await scene.examined("repository.token", named=("maintainer/many-1049",))
    assert levels(named) == {"repository.token": "ok"}


async def test_a_wrong_clock_and_a_wrong_key_are_told_apart(scene: Scene) -> None:
    async def at(offset: timedelta) -> dict[str, Finding]:
        world = open_world(lambda: scene.settings, ENVIRON, Shifted(offset))
        try:
            checks = [check for check in QUICK if check.name.startswith(("forge.", "app."))]
            return {each.check: each.finding for each in (await examine(world, checks)).results}
        finally:
            await world.aclose()

    ahead = await at(timedelta(minutes=20))
    assert ahead["forge.clock"].level == "failed"
    assert re.search("clock is 1[12][0-9][0-9] s ahead of", ahead["forge.clock"].text)
    assert (await at(timedelta(0)))["forge.clock"].level == "ok"
    other = scene.settings.model_copy(update={"app_id": "4711"})
    world = open_world(lambda: other, ENVIRON, SystemClock())
    try:
        found = (
            await examine(world, [check for check in QUICK if check.name.startswith(("forge.", "app."))])
        ).results
    finally:
        await world.aclose()
    assert {each.check: each.finding.level for each in found} == {
        "forge.identity": "failed",
        "forge.clock": "ok",
        "app.permissions": "unknown",
        "app.events": "unknown",
        "app.installations": "unknown",
    }
    assert "GITWRIGHT_APP_ID" in found[0].finding.step


async def test_a_proxy_on_the_way_is_used_and_named(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://forge.example.test"
    with running_proxy(urlsplit(scene.forge.url).port or 0) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        through = await scene.finding("forge.identity", github_api_url=url)
    assert (through.level, proxy.lines[0]) == ("ok", f"GET {url}/app")
    assert through.text.endswith(f", by way of the proxy {proxy.open_url}.")
    gone = await scene.finding("forge.identity", github_api_url=url)
    assert gone.level == "failed"
    assert gone.text.startswith(f"{url} gives no usable answer, by way of the proxy {proxy.open_url}: ")
    monkeypatch.setenv("HTTP_PROXY", "socks5://proxy.corp:1080")
    assert "HTTP_PROXY, by which" in (await scene.finding("settings", github_api_url=url)).text


async def test_token_mode(scene: Scene, tmp_path: Path) -> None:
    settings = load_settings(
        None,
        github_api_url=scene.forge.url,
        token=scene.forge.token,
        data_dir=tmp_path / "b",
        models="scripted",
    )
    hook = {"url": "https://bot.example.com/webhook", "content_type": "json", "secret": "s"}

    async def at() -> Examined:
        world = open_world(lambda: settings, ENVIRON, SystemClock(), (SLUG,))
        try:
            return await examine(
                world, [check for check in QUICK if check.name.startswith(("forge.", "app.", "repo"))]
            )
        finally:
            await world.aclose()

    before = levels(await at())
    assert (before["repository.token"], before["repository.webhook"]) == ("ok", "failed")
    assert before["app.permissions"] == "ok"
    made = scene.call("POST", f"/repos/{SLUG}/hooks", json={"name": "web", "config": hook})
    found = {each.check: each.finding for each in (await at()).results}["repository.webhook"]
    assert (found.level, "missing: issues" in found.details) == ("failed", True), (
        "by default it is pushes only"
    )
    wanted = {"events": template()["default_events"]}
    scene.call("PATCH", f"/repos/{SLUG}/hooks/{made['id']}", json=wanted)
    assert levels(await at())["repository.webhook"] == "ok"


async def test_with_no_network_it_says_so_and_ends(tmp_path: Path) -> None:
    settings = load_settings(None, github_api_url="http://127.0.0.1:9", token="t", data_dir=tmp_path)
    world = open_world(lambda: settings, ENVIRON, SystemClock(), (SLUG,))
    began = time.monotonic()
    try:
        found = await examine(world, QUICK, seconds=90)
    finally:
        await world.aclose()

    assert time.monotonic() - began < 90
    said = {each.check: each.finding for each in found.results}
    assert said["forge.identity"].level == "failed"
    assert "GITWRIGHT_GITHUB_API_URL" in said["forge.identity"].step
    assert (said["machine.git"].level, said["database"].level) == ("ok", "ok")
    assert said["repository.found"].level == "unknown"


async def test_a_check_that_hangs_fails_or_cannot_be_made_is_a_finding() -> None:
    async def hangs(_world: World) -> Finding:
        await asyncio.sleep(60)
        return ok("Never.")

    async def breaks(_world: World) -> Finding:
        raise OSError("the disk is on fire")

    async def knows(_world: World) -> Finding:
        raise UserError("GITWRIGHT_X must be a number.")

    async def waits(_world: World) -> Finding:
        raise NotLookedAtError("First things first.", "Mend `settings`.")

    checks = [
        Check(name="hangs", asks="?", look=hangs, patience=0.05),
        Check(name="breaks", asks="?", look=breaks),
        Check(name="knows", asks="?", look=knows),
        Check(name="waits", asks="?", look=waits),
    ]
    world = World(None, "No settings.", {}, None)
    found = await examine(world, checks)
    late = await examine(world, [Check(name="late", asks="?", look=hangs)], seconds=0.3)
    assert [(each.finding.level, each.finding.text) for each in found.results] == [
        ("unknown", "No answer within 0.05 s."),
        ("unknown", "It could not be looked at: the disk is on fire."),
        ("failed", "GITWRIGHT_X must be a number."),
        ("unknown", "First things first."),
    ]
    assert not found.good
    assert [(each.finding.level, each.finding.text) for each in late.results] == [
        ("unknown", "The examination ended after 0.3 s."),
    ]
    assert not late.good


def test_lines_and_json() -> None:
    failed = Finding("failed", "It is broken.", "Mend it.", ("here", "there"))
    found = Examined(
        (Result("a", None, ok("Fine.")), Result("b", "o/n", failed, ("did a thing",))), ("A note.",)
    )
    assert as_lines(found) == [
        "ok       a                      Fine.",
        "o/n:",
        "failed   b                      It is broken.",
        "                                - here",
        "                                - there",
        "                                done: did a thing",
        "                                next: Mend it.",
        "A note.",
        "1 ok, 1 failed.",
    ]
    assert as_json(found)[1] == {
        "check": "b",
        "repository": "o/n",
        "level": "failed",
        "text": "It is broken.",
        "next": "Mend it.",
        "details": ["here", "there"],
        "done": ["did a thing"],
    }
