"""Deliveries: what is sent and how it is signed, their order, receivers that fail, the lists, and redelivery."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from forge import apps, issues, repositories, seed, tokens
from forge.courier import Courier
from forge.state import Forge
from tests.forge.stage import REPO, Stage, named, payload, staged, told_as
from tests.judges.openapi import Judge
from tests.judges.receiver import receiving
from tests.judges.served import judged_forge
from tests.judges.webhooks import WebhookJudge

DELIVERIES = "/app/hook/deliveries"


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, webhook_judge: WebhookJudge
) -> Iterator[Stage]:
    data: Path = tmp_path_factory.mktemp("events") / "forge"
    with staged(data, judge, webhook_judge) as ready:
        yield ready


@pytest.fixture(autouse=True)
def _quiet(stage: Stage) -> Iterator[None]:
    stage.settle()
    stage.receiver.deliveries.clear()
    yield
    stage.receiver.status = 202


def test_a_delivery_carries_githubs_headers_and_a_signature_over_its_bytes(stage: Stage) -> None:
    stage.issue("Grüße 🎉")
    delivery = stage.receiver.wait(named("issues", "opened"))
    secret = stage.forge.app_by_id(stage.app["id"])["webhook_secret"].encode()
    expected = hmac.new(secret, delivery.body, hashlib.sha256).hexdigest()
    assert delivery.headers["x-hub-signature-256"] == f"sha256={expected}"
    assert (
        delivery.headers["x-hub-signature"]
        == f"sha1={hmac.new(secret, delivery.body, hashlib.sha1).hexdigest()}"
    )
    assert delivery.headers["content-type"] == "application/json"
    assert delivery.headers["user-agent"].startswith("GitHub-Hookshot/")
    assert len(delivery.headers["x-github-delivery"]) == 36
    assert delivery.headers["x-github-hook-installation-target-type"] == "integration"
    assert delivery.headers["x-github-hook-installation-target-id"] == str(stage.app["id"])
    assert delivery.headers["x-github-hook-id"].isdecimal()
    told = payload(delivery)
    assert told["issue"]["title"] == "Grüße 🎉"
    assert told["sender"]["login"] == "maintainer"
    assert told["repository"]["full_name"] == "maintainer/demo"
    assert told["installation"]["id"] == stage.installation["id"]


def test_deliveries_arrive_in_the_order_of_the_writes(stage: Stage) -> None:
    numbers = [stage.issue(f"Issue {n}")["number"] for n in range(20)]
    stage.settle()
    opened = [payload(each) for each in stage.receiver.deliveries]
    assert [told["issue"]["number"] for told in opened] == numbers


def test_a_refused_delivery_is_listed_as_failed_with_the_answer_and_not_repeated(stage: Stage) -> None:
    stage.receiver.status = 500
    stage.issue()
    assert stage.settle() == ["issues.opened"]
    failed = stage.as_app.get(DELIVERIES, params={"status": "failure"}).json()[0]
    assert (failed["event"], failed["action"], failed["status_code"]) == ("issues", "opened", 500)
    assert failed["repository_id"] == stage.repo["id"]
    assert failed["id"] not in [each["id"] for each in _listed(stage, status="success")]
    detail = stage.as_app.get(f"{DELIVERIES}/{failed['id']}").json()
    assert detail["request"]["headers"]["X-GitHub-Delivery"] == failed["guid"]
    assert detail["request"]["payload"] == payload(stage.receiver.deliveries[0])
    assert detail["response"]["headers"]["content-length"] == "0"
    time.sleep(0.2)
    assert len(stage.receiver.deliveries) == 1


def test_a_redelivery_repeats_bytes_and_guid_and_is_marked(stage: Stage) -> None:
    stage.receiver.status = 500
    stage.issue()
    stage.settle()
    stage.receiver.status = 202
    first = _listed(stage)[0]
    again = stage.as_app.post(f"{DELIVERIES}/{first['id']}/attempts")
    assert again.status_code == 202
    stage.settle()
    one, two = stage.receiver.deliveries
    assert (one.body, one.headers["x-github-delivery"]) == (two.body, two.headers["x-github-delivery"])
    newest = _listed(stage)[0]
    assert (newest["guid"], newest["redelivery"], newest["status"]) == (first["guid"], True, "OK")
    assert first["redelivery"] is False


def test_a_receiver_that_is_down_fails_its_deliveries_and_gets_the_next_one_once_it_is_back(
    stage: Stage,
) -> None:
    hook = {"url": "http://127.0.0.1:9/webhook", "content_type": "json"}
    stage.as_app.patch("/app/hook/config", json=hook).raise_for_status()
    stage.issue()
    stage.settle()
    lost = _listed(stage)[0]
    assert (lost["status_code"], lost["status"]) == (502, "failed to connect to host")
    stage.as_app.patch("/app/hook/config", json={**hook, "url": stage.receiver.url}).raise_for_status()
    stage.issue()
    assert stage.settle() == ["issues.opened"]


def test_the_list_is_paged_by_a_cursor_without_gap_or_overlap(stage: Stage) -> None:
    for _ in range(5):
        stage.issue()
    stage.settle()
    everything = [each["id"] for each in _listed(stage, per_page="100")]
    walked: list[int] = []
    url = f"{DELIVERIES}?per_page=2"
    for _ in range(3):
        answer = stage.as_app.get(url)
        walked += [each["id"] for each in answer.json()]
        url = answer.links["next"]["url"]
    assert walked == everything[:6]
    assert stage.as_app.get(DELIVERIES, params={"cursor": "nonsense"}).status_code == 422


def test_only_the_app_itself_reads_its_deliveries(stage: Stage) -> None:
    assert stage.bot.get(DELIVERIES).status_code == 401
    assert stage.person.get(DELIVERIES).status_code == 401
    assert stage.as_app.get(f"{DELIVERIES}/999999").status_code == 404
    assert stage.as_app.post(f"{DELIVERIES}/999999/attempts").status_code == 404


def test_a_hook_is_pinged_told_of_its_events_and_forgets_after_its_end(stage: Stage) -> None:
    with receiving() as other:
        new = {
            "config": {"url": other.url, "secret": "hook secret", "content_type": "json"},
            "events": ["issues"],
        }
        made = stage.person.post(f"{REPO}/hooks", json=new)
        assert made.status_code == 201
        hook = made.json()
        assert hook["config"]["secret"] == "********"
        ping = other.wait(named("ping"))
        assert payload(ping)["hook_id"] == hook["id"]
        number = stage.issue()["number"]
        delivery = other.wait(named("issues", "opened"))
        expected = hmac.new(b"hook secret", delivery.body, hashlib.sha256).hexdigest()
        assert delivery.headers["x-hub-signature-256"] == f"sha256={expected}"
        assert delivery.headers["x-github-hook-installation-target-type"] == "repository"
        assert "installation" not in payload(delivery)
        path = f"{REPO}/hooks/{hook['id']}"
        stage.person.patch(path, json={"active": False, "add_events": ["push"]}).raise_for_status()
        assert stage.person.get(path).json()["events"] == ["issues", "push"]
        stage.person.post(f"{REPO}/issues/{number}/comments", json={"body": "x"})
        stage.person.patch(f"{REPO}/issues/{number}", json={"state": "closed"})
        stage.settle()
        assert [told_as(each) for each in other.deliveries] == ["ping", "issues.opened"]
        listed = stage.person.get(f"{path}/deliveries").json()
        assert [each["event"] for each in listed] == ["issues", "ping"]
        assert stage.person.post(f"{path}/deliveries/{listed[0]['id']}/attempts").status_code == 202
        stage.settle()
        assert other.deliveries[-1].body == delivery.body
        assert stage.person.delete(path).status_code == 204
        assert stage.person.get(path).status_code == 404


def test_hooks_are_for_administrators_and_one_to_an_address(stage: Stage) -> None:
    config = {"config": {"url": "http://127.0.0.1:9/", "content_type": "json"}}
    made = stage.person.post(f"{REPO}/hooks", json=config)
    assert made.status_code == 201
    assert stage.person.post(f"{REPO}/hooks", json=config).status_code == 422
    assert stage.person.post(f"{REPO}/hooks", json={"config": {"url": "nowhere"}}).status_code == 422
    with stage.user("hook-writer", "write") as writer:
        assert writer.get(f"{REPO}/hooks").status_code in (403, 404)
    stage.person.delete(f"{REPO}/hooks/{made.json()['id']}").raise_for_status()


def test_an_app_is_told_only_what_it_subscribed_to_where_it_is_installed(stage: Stage) -> None:
    with receiving() as other:
        manifest = apps.Manifest(
            name="Narrow",
            hook_attributes=apps.HookAttributes(url=other.url),
            default_events=["issues"],
            default_permissions={"issues": "read"},
        )
        maintainer = stage.forge.user_by_id(stage.repo["owner_id"])
        new = apps.create(stage.forge, manifest, maintainer["id"])
        installed = apps.install(stage.forge, new.row, maintainer, [stage.repo], maintainer)
        number = stage.issue()["number"]
        stage.person.post(f"{REPO}/issues/{number}/comments", json={"body": "Not for it"})
        apps.suspend(stage.forge, installed, stage.forge.now(), maintainer)
        stage.person.patch(f"{REPO}/issues/{number}", json={"state": "closed"})
        stage.settle()
        told = [told_as(each) for each in other.deliveries]
        assert told == ["installation.created", "issues.opened", "installation.suspend"]
        assert payload(other.deliveries[0])["repositories"][0]["full_name"] == "maintainer/demo"


def test_a_push_tells_its_commits_and_their_files(stage: Stage) -> None:
    before = stage.commit("main", {"keep.txt": "1\n", "old.txt": "1\n"}, "Add two")
    after = stage.commit("main", {"keep.txt": "2\n", "new.txt": "1\n"}, "Change one, add one\n\nWith a body.")
    told = payload(
        stage.receiver.wait(lambda each: told_as(each) == "push" and payload(each)["after"] == after)
    )
    assert (told["ref"], told["before"], told["forced"], told["created"]) == (
        "refs/heads/main",
        before,
        False,
        False,
    )
    commit = told["head_commit"]
    assert (commit["id"], commit["added"], commit["modified"]) == (after, ["new.txt"], ["keep.txt"])
    assert commit["message"] == "Change one, add one\n\nWith a body."
    assert [each["id"] for each in told["commits"]] == [after]


def test_a_status_is_told_with_its_branches(stage: Stage) -> None:
    sha = stage.commit("statused", {"s.txt": "s\n"})
    new = {
        "state": "failure",
        "context": "ci/old",
        "description": "Broken",
        "target_url": "http://127.0.0.1/",
    }
    made = stage.bot.post(f"{REPO}/statuses/{sha}", json=new)
    assert made.status_code == 201
    told = stage.told("status")
    assert (told["sha"], told["state"], told["context"]) == (sha, "failure", "ci/old")
    assert [branch["name"] for branch in told["branches"]] == ["statused"]
    stage.bot.post(f"{REPO}/statuses/{sha}", json={**new, "state": "success"}).raise_for_status()
    combined = stage.bot.get(f"{REPO}/commits/statused/status").json()
    assert (combined["state"], combined["total_count"]) == ("success", 1)
    assert [each["state"] for each in stage.bot.get(f"{REPO}/commits/{sha}/statuses").json()] == [
        "success",
        "failure",
    ]
    assert stage.bot.post(f"{REPO}/statuses/{'0' * 40}", json=new).status_code == 422


def test_a_write_that_fails_leaves_no_delivery(stage: Stage) -> None:
    maintainer = stage.forge.user_by_id(stage.repo["owner_id"])

    def fail() -> None:
        with stage.forge.db.tx():
            stage.forge.events.emit("push", None, stage.repo, maintainer, ref="refs/heads/never")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert stage.forge.events.idle()
    assert stage.settle() == []


def test_what_a_killed_forge_had_not_delivered_is_delivered_by_the_next(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    with receiving() as receiver:
        # A forge that never starts to deliver leaves the same rows as one that is killed before it could.
        left = Forge(tmp_path / "forge", "http://127.0.0.1:1")
        seed.seed(left)
        maintainer = left.user("maintainer")
        assert maintainer is not None
        repo = repositories.create(
            left, maintainer, "demo", private=True, description=None, default_branch="main"
        )
        manifest = apps.Manifest(
            name="Helper",
            hook_attributes=apps.HookAttributes(url=receiver.url),
            default_events=["issues"],
            default_permissions={"issues": "write"},
        )
        new = apps.create(left, manifest, maintainer["id"])
        apps.install(left, new.row, maintainer, [repo], maintainer)
        issues.open_issue(left, repo, tokens.user_actor(left, maintainer), "Survives")
        left.db.close()
        assert receiver.deliveries == []
        with judged_forge(tmp_path / "forge", judge, webhook_judge) as next_one:
            next_one.settle()
        assert [told_as(each) for each in receiver.deliveries] == ["installation.created", "issues.opened"]


def _listed(stage: Stage, **query: str) -> list[dict[str, object]]:
    answer: httpx.Response = stage.as_app.get(DELIVERIES, params=query)
    found: list[dict[str, object]] = answer.raise_for_status().json()
    return found


async def test_a_receiver_that_never_finishes_its_answer_is_given_up_and_those_behind_it_go_out(
    tmp_path: Path,
) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            for _ in range(200):
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass  # given up, as it should be
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    forge = Forge(tmp_path / "forge", "http://127.0.0.1:1")
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    hook = forge.db.run(
        "INSERT INTO hooks (repo_id, url, content_type, events, created_at, updated_at) VALUES (1, ?, 'json', '[]', '', '')",
        url,
    )
    for guid in ("first", "second"):
        forge.db.run(
            "INSERT INTO webhook_deliveries (guid, receiver, hook_id, event, body, created_at)"
            " VALUES (?, 'hook', ?, 'ping', '{}', '')",
            guid,
            hook,
        )
    courier = Courier(forge.db, forge.clock.now, timeout=0.3)
    await courier.start()
    async with asyncio.timeout(60):
        while not courier.idle():
            await asyncio.sleep(0.02)
    await courier.stop()
    done = forge.db.all("SELECT guid, status, status_code FROM webhook_deliveries ORDER BY id")
    assert [tuple(row) for row in done] == [("first", "timed out", 504), ("second", "timed out", 504)]
    server.close()
    await server.wait_closed()
    forge.db.close()
