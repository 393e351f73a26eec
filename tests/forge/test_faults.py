"""Fault switches: each kind does what it says, where it says, as often as it says, and then no more."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.forge.stage import REPO, Stage, named, payload, staged
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge

ISSUES = "^POST /repos/maintainer/demo/issues$"


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, webhook_judge: WebhookJudge
) -> Iterator[Stage]:
    data: Path = tmp_path_factory.mktemp("faults") / "forge"
    with staged(data, judge, webhook_judge) as ready:
        yield ready


@pytest.fixture(autouse=True)
def _quiet(stage: Stage) -> Iterator[None]:
    stage.settle()
    stage.receiver.deliveries.clear()
    yield
    stage.person.delete("/_test/faults").raise_for_status()


def _open(stage: Stage, title: str = "Issue") -> httpx.Response:
    return stage.bot.post(f"{REPO}/issues", json={"title": title})


def _titles(stage: Stage) -> list[str]:
    listed = stage.person.get(f"{REPO}/issues", params={"per_page": "100", "state": "all"}).json()
    return [issue["title"] for issue in listed]


def test_an_error_before_the_write_leaves_nothing_behind(stage: Stage) -> None:
    stage.fault("error_before", route=ISSUES, count=2)
    assert [_open(stage, "Before").status_code for _ in range(3)] == [502, 502, 201]
    assert _titles(stage).count("Before") == 1


def test_an_error_after_the_write_hides_that_it_happened(stage: Stage) -> None:
    stage.fault("error_after", route=ISSUES, status=504)
    assert _open(stage, "After").status_code == 504
    assert _titles(stage).count("After") == 1
    assert stage.told("issues", "opened")["issue"]["title"] == "After"


def test_a_cut_connection_hides_it_too(stage: Stage) -> None:
    stage.fault("cut", route=ISSUES)
    with pytest.raises(httpx.RemoteProtocolError):
        _open(stage, "Cut")
    assert _titles(stage).count("Cut") == 1
    assert _open(stage, "Whole").status_code == 201


def test_a_slow_answer_comes_late_and_right(stage: Stage) -> None:
    stage.fault("slow", route=ISSUES, seconds=0.4)
    started = time.monotonic()
    assert _open(stage).status_code == 201
    assert time.monotonic() - started >= 0.4


@pytest.mark.parametrize(
    ("kind", "status", "sent", "absent"),
    [
        ("primary_limit", 403, {"x-ratelimit-remaining": "0"}, ["retry-after"]),
        ("primary_limit_past_reset", 403, {"x-ratelimit-remaining": "0"}, ["retry-after"]),
        ("secondary_limit_retry_after", 403, {"retry-after": "7", "x-ratelimit-remaining": "4900"}, []),
        ("secondary_limit_bare", 403, {"x-ratelimit-remaining": "4900"}, ["retry-after"]),
        ("too_many_bare", 429, {}, ["retry-after"]),
        ("forbidden_integration", 403, {}, ["retry-after"]),
    ],
)
def test_each_refusal_has_githubs_shape(
    stage: Stage, kind: str, status: int, sent: dict[str, str], absent: list[str]
) -> None:
    stage.fault(kind, route=ISSUES, seconds=7)
    answer = _open(stage, kind)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in sent} == sent
    assert [name for name in absent if name in answer.headers] == []
    assert answer.json()["message"]
    if kind.startswith("primary"):
        ahead = int(answer.headers["x-ratelimit-reset"]) - time.time()
        assert (ahead > 0) == (kind == "primary_limit")
    assert kind not in _titles(stage)
    assert _open(stage).status_code == 201


def test_the_first_looks_at_each_pull_request_do_not_know_whether_it_merges(stage: Stage) -> None:
    numbers = []
    for name in ("one", "two"):
        stage.commit(name, {f"{name}.txt": f"{name}\n"})
        new = {"title": name, "head": name, "base": "main"}
        numbers.append(stage.person.post(f"{REPO}/pulls", json=new).raise_for_status().json()["number"])
    etag = stage.person.get(f"{REPO}/pulls/{numbers[0]}").headers["etag"]
    stage.fault("mergeable_null", count=2)

    def look(number: int, **headers: str) -> Any:
        answer = stage.person.get(f"{REPO}/pulls/{number}", headers=headers)
        return answer.json()["mergeable"] if answer.status_code == 200 else answer.status_code

    assert [look(numbers[0], **{"if-none-match": etag}), look(numbers[0]), look(numbers[0])] == [
        None,
        None,
        True,
    ]
    assert [look(numbers[1]), look(numbers[1]), look(numbers[1])] == [None, None, True]
    assert look(numbers[0], **{"if-none-match": etag}) == 304


def test_over_graphql_only_an_answer_that_tells_of_a_pull_request_counts(stage: Stage) -> None:
    stage.commit("asked", {"asked.txt": "asked\n"})
    new = {"title": "Asked", "head": "asked", "base": "main"}
    number = stage.person.post(f"{REPO}/pulls", json=new).raise_for_status().json()["number"]
    stage.fault("mergeable_null", count=1)
    stage.fault("graphql_limited", route="^POST /graphql", count=1)

    def ask(fields: str) -> Any:
        owner, name = REPO.split("/")[-2:]
        query = f'{{ repository(owner: "{owner}", name: "{name}") {{ {fields} }} }}'
        return stage.person.post("/graphql", json={"query": query}).raise_for_status().json()

    assert ask("id")["errors"][0]["type"] == "RATE_LIMITED"  # the other switch is not hidden by this one
    ask("id")
    pull = f"pullRequest(number: {number}) {{ number mergeable }}"
    told = [ask(pull)["data"]["repository"]["pullRequest"]["mergeable"] for _ in range(2)]
    assert told == ["UNKNOWN", "MERGEABLE"]
    assert [each["hits"] for each in stage.person.get("/_test/faults").json()] == [1, 1]


def test_a_duplicated_delivery_comes_twice_under_one_guid(stage: Stage) -> None:
    stage.fault("duplicate", event=r"^issues\.opened$")
    stage.issue()
    assert stage.settle() == ["issues.opened", "issues.opened"]
    first, second = stage.receiver.deliveries
    assert first.headers["x-github-delivery"] == second.headers["x-github-delivery"]
    assert first.body == second.body


def test_a_lost_delivery_never_comes_but_is_listed_as_failed_and_can_be_redelivered(stage: Stage) -> None:
    stage.fault("lost", event=r"^issues\.opened$")
    stage.issue("Lost")
    assert stage.settle() == []
    failed = stage.as_app.get("/app/hook/deliveries", params={"status": "failure"}).json()[0]
    assert (failed["event"], failed["action"]) == ("issues", "opened")
    stage.as_app.post(f"/app/hook/deliveries/{failed['id']}/attempts").raise_for_status()
    assert stage.told("issues", "opened")["issue"]["title"] == "Lost"


def test_a_delayed_delivery_comes_later_than_those_after_it(stage: Stage) -> None:
    for seconds in (0.5, 5, 30):  # the next only where the machine stood still for as long as the one before
        stage.receiver.deliveries.clear()
        stage.fault("delay", event="opened", seconds=seconds)
        number = stage.issue()["number"]
        stage.person.post(f"{REPO}/issues/{number}/comments", json={"body": "Sooner"}).raise_for_status()
        stage.receiver.wait(named("issue_comment", "created"))
        if (told := stage.settle())[0] == "issue_comment.created":
            break
    assert told == ["issue_comment.created", "issues.opened"]


def test_a_reordered_delivery_is_overtaken_by_the_next_one_and_follows_at_once(stage: Stage) -> None:
    stage.fault("reorder", event="opened", seconds=30)
    number = stage.issue()["number"]
    for body in ("One", "Two"):
        stage.person.post(f"{REPO}/issues/{number}/comments", json={"body": body}).raise_for_status()
        stage.settle()
    told = [payload(each).get("comment", {}).get("body", "opened") for each in stage.receiver.deliveries]
    assert told == ["One", "opened", "Two"]


def test_faults_are_listed_with_their_hits_and_cleared(stage: Stage) -> None:
    stage.fault("error_before", route=ISSUES, count=5)
    _open(stage)
    (listed,) = stage.person.get("/_test/faults").json()
    assert (listed["kind"], listed["count"], listed["hits"]) == ("error_before", 5, 1)
    stage.person.delete("/_test/faults").raise_for_status()
    assert stage.person.get("/_test/faults").json() == []
    assert _open(stage).status_code == 201


def test_what_faults_hold_back_goes_on_when_they_are_cleared(stage: Stage) -> None:
    stage.fault("delay", event="opened", seconds=600)
    _open(stage)
    stage.person.delete("/_test/faults").raise_for_status()
    assert stage.settle() == ["issues.opened"]
    stage.fault("slow", route=ISSUES, seconds=600)
    with ThreadPoolExecutor(1) as beside:
        held = beside.submit(_open, stage)
        deadline = time.monotonic() + 60
        while stage.person.get("/_test/faults").json()[0]["hits"] == 0:
            assert time.monotonic() < deadline, "the call never met the fault"
            time.sleep(0.01)
        stage.person.delete("/_test/faults").raise_for_status()
        assert held.result(60).status_code == 201


def test_only_the_site_administrator_switches_faults(stage: Stage) -> None:
    with stage.user("nobody") as nobody:
        for client in (nobody, stage.bot, stage.as_app):
            assert client.post("/_test/faults", json={"kind": "cut"}).status_code == 404
            assert client.get("/_test/idle").status_code == 404
    assert stage.person.post("/_test/faults", json={"kind": "meteor"}).status_code == 422
    assert stage.person.post("/_test/faults", json={"kind": "cut", "route": "("}).status_code == 422
