"""Issues, labels, comments and reactions: GitHub's answers, its refusals, and the events that follow."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from forge import tokens
from tests.forge.stage import REPO, Stage, staged
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, webhook_judge: WebhookJudge
) -> Iterator[Stage]:
    data: Path = tmp_path_factory.mktemp("issues") / "forge"
    with staged(data, judge, webhook_judge) as ready:
        yield ready


def test_an_issue_is_opened_with_labels_and_announced_with_one_event_for_each(stage: Stage) -> None:
    stage.settle()
    stage.receiver.deliveries.clear()
    issue = stage.issue("With labels", body="Text", labels=["bug", {"name": "agent:plan"}])
    assert [label["name"] for label in issue["labels"]] == ["bug", "agent:plan"]
    assert stage.settle() == ["issues.opened", "issues.labeled", "issues.labeled"]
    told = stage.told("issues", "labeled")
    assert told["label"]["name"] == "bug"
    assert told["installation"]["id"] == stage.installation["id"]


def test_an_issue_is_closed_and_reopened_with_reasons(stage: Stage) -> None:
    number = stage.issue()["number"]
    closed = stage.person.patch(
        f"{REPO}/issues/{number}", json={"state": "closed", "state_reason": "not_planned"}
    )
    assert (closed.json()["state"], closed.json()["state_reason"]) == ("closed", "not_planned")
    assert closed.json()["closed_by"]["login"] == "maintainer"
    opened = stage.person.patch(f"{REPO}/issues/{number}", json={"state": "open"}).json()
    assert (opened["state"], opened["state_reason"], opened["closed_at"]) == ("open", "reopened", None)
    assert stage.settle()[-2:] == ["issues.closed", "issues.reopened"]


def test_an_edit_tells_what_stood_there_and_an_edit_without_change_tells_nothing(stage: Stage) -> None:
    number = stage.issue("Old", body="old text")["number"]
    stage.person.patch(f"{REPO}/issues/{number}", json={"title": "New", "body": "new text"})
    stage.settle()
    stage.receiver.deliveries.clear()
    stage.person.patch(f"{REPO}/issues/{number}", json={"title": "Newer"})
    stage.person.patch(f"{REPO}/issues/{number}", json={"title": "Newer"})
    assert stage.settle() == ["issues.edited"]
    assert stage.told("issues", "edited")["changes"] == {"title": {"from": "New"}}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 422),
        ({"title": "  "}, 422),
        ({"title": "x" * 257}, 422),
        ({"title": "t", "body": "x" * 65_537}, 422),
        ({"title": "t", "body": "x" * 65_536}, 201),
        ({"title": "t", "labels": [3]}, 422),
    ],
)
def test_only_texts_of_githubs_sizes_are_taken(stage: Stage, fields: dict[str, object], status: int) -> None:
    assert stage.person.post(f"{REPO}/issues", json=fields).status_code == status


def test_issues_are_listed_by_state_label_and_time(stage: Stage) -> None:
    first = stage.issue("Listed", labels=["one-of-a-kind", "bug"])["number"]
    second = stage.issue("Listed too", labels=["one-of-a-kind"])["number"]
    stage.person.patch(f"{REPO}/issues/{first}", json={"state": "closed"})

    def listed(**query: str) -> list[int]:
        answer = stage.person.get(f"{REPO}/issues", params=query).raise_for_status()
        return [issue["number"] for issue in answer.json()]

    assert listed(labels="one-of-a-kind") == [second]
    assert listed(labels="one-of-a-kind", state="all") == [second, first]
    assert listed(labels="one-of-a-kind,bug", state="closed") == [first]
    assert listed(labels="one-of-a-kind", since="2199-01-01T00:00:00Z") == []
    assert listed(labels="one-of-a-kind", state="all", direction="asc", per_page="1") == [first]
    link = stage.person.get(f"{REPO}/issues", params={"per_page": "1", "state": "all"}).headers["link"]
    assert 'rel="next"' in link


def test_a_pull_request_is_an_issue_with_a_key_of_its_own(stage: Stage) -> None:
    stage.commit("topic", {"a.txt": "a\n"})
    pull = stage.person.post(f"{REPO}/pulls", json={"title": "Topic", "head": "topic", "base": "main"})
    number = pull.raise_for_status().json()["number"]
    seen = stage.person.get(f"{REPO}/issues/{number}").json()
    assert seen["pull_request"]["url"].endswith(f"/pulls/{number}")
    stage.person.post(f"{REPO}/issues/{number}/labels", json={"labels": ["bug"]}).raise_for_status()
    stage.person.delete(f"{REPO}/issues/{number}/labels/bug").raise_for_status()
    stage.person.patch(f"{REPO}/issues/{number}", json={"state": "closed"}).raise_for_status()
    assert stage.settle()[-4:] == [
        "pull_request.opened",
        "pull_request.labeled",
        "pull_request.unlabeled",
        "pull_request.closed",
    ]


def test_labels_of_an_issue_are_added_replaced_removed_and_created_on_the_way(stage: Stage) -> None:
    path = f"{REPO}/issues/{stage.issue()['number']}/labels"

    def names(answer: object) -> list[str]:
        assert isinstance(answer, list)
        return sorted(label["name"] for label in answer)

    assert names(stage.person.post(path, json={"labels": ["bug", "brand new"]}).json()) == [
        "brand new",
        "bug",
    ]
    assert names(stage.person.post(path, json={"labels": ["Bug"]}).json()) == ["brand new", "bug"]
    assert stage.person.get(f"{REPO}/labels/brand%20new").json()["color"] == "ededed"
    assert names(stage.person.put(path, json={"labels": ["question"]}).json()) == ["question"]
    assert stage.person.delete(f"{path}/bug").status_code == 404
    assert names(stage.person.delete(f"{path}/question").json()) == []
    assert stage.person.post(path, json={"labels": ["bug"]}).status_code == 200
    assert stage.person.delete(path).status_code == 204
    assert stage.person.get(path).json() == []


def test_a_repositorys_labels_are_created_changed_and_deleted(stage: Stage) -> None:
    new = {"name": "agent:done", "color": "00FF00", "description": "Finished"}
    assert stage.person.post(f"{REPO}/labels", json=new).json()["color"] == "00ff00"
    again = stage.person.post(f"{REPO}/labels", json={**new, "name": "AGENT:done"})
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "already_exists")
    assert stage.person.post(f"{REPO}/labels", json={"name": "x", "color": "green"}).status_code == 422
    changed = stage.person.patch(f"{REPO}/labels/agent:done", json={"new_name": "agent/finished"}).json()
    assert (changed["name"], changed["description"]) == ("agent/finished", "Finished")
    assert stage.person.get(f"{REPO}/labels/agent%2Ffinished").status_code == 200
    assert stage.person.delete(f"{REPO}/labels/agent%2Ffinished").status_code == 204
    assert stage.person.get(f"{REPO}/labels/agent%2Ffinished").status_code == 404
    assert "bug" in [label["name"] for label in stage.person.get(f"{REPO}/labels").json()]


def test_comments_are_written_edited_and_deleted_with_events(stage: Stage) -> None:
    number = stage.issue()["number"]
    comment = stage.bot.post(f"{REPO}/issues/{number}/comments", json={"body": "First"}).json()
    assert comment["user"]["login"] == "helper[bot]"
    assert comment["performed_via_github_app"]["slug"] == "helper"
    url = f"{REPO}/issues/comments/{comment['id']}"
    assert stage.bot.patch(url, json={"body": "Second"}).json()["body"] == "Second"
    assert stage.bot.get(url).json()["body"] == "Second"
    assert [each["body"] for each in stage.bot.get(f"{REPO}/issues/{number}/comments").json()] == ["Second"]
    assert comment["id"] in [each["id"] for each in stage.bot.get(f"{REPO}/issues/comments").json()]
    assert stage.person.delete(url).status_code == 204
    assert stage.bot.get(url).status_code == 404
    assert stage.settle()[-3:] == ["issue_comment.created", "issue_comment.edited", "issue_comment.deleted"]


@pytest.mark.parametrize(
    ("body", "status"), [("", 422), (" \n", 422), ("x" * 65_537, 422), ("x" * 65_536, 201)]
)
def test_a_comment_is_neither_blank_nor_longer_than_githubs(stage: Stage, body: str, status: int) -> None:
    number = stage.issue()["number"]
    answer = stage.person.post(f"{REPO}/issues/{number}/comments", json={"body": body})
    assert answer.status_code == status


def test_a_locked_conversation_is_closed_to_all_who_may_not_write(stage: Stage) -> None:
    number = stage.issue()["number"]
    assert (
        stage.person.put(f"{REPO}/issues/{number}/lock", json={"lock_reason": "resolved"}).status_code == 204
    )
    refused = stage.bot.post(f"{REPO}/issues/{number}/comments", json={"body": "Hello"})
    assert (refused.status_code, "locked" in refused.json()["message"]) == (403, True)
    assert stage.person.post(f"{REPO}/issues/{number}/comments", json={"body": "Mine"}).status_code == 201
    assert stage.person.delete(f"{REPO}/issues/{number}/lock").status_code == 204
    assert stage.bot.post(f"{REPO}/issues/{number}/comments", json={"body": "Hello"}).status_code == 201


def test_a_reader_opens_issues_but_labels_closes_and_edits_only_its_own(stage: Stage) -> None:
    with stage.user("reader", "read") as reader:
        other = stage.issue()["number"]
        own = reader.post(f"{REPO}/issues", json={"title": "Mine", "labels": ["bug"]}).json()
        assert own["labels"] == []
        assert reader.post(f"{REPO}/issues/{own['number']}/labels", json=["bug"]).status_code == 403
        assert reader.patch(f"{REPO}/issues/{other}", json={"state": "closed"}).status_code == 403
        assert reader.patch(f"{REPO}/issues/{own['number']}", json={"state": "closed"}).status_code == 200
        comment = stage.person.post(f"{REPO}/issues/{other}/comments", json={"body": "Not yours"}).json()
        url = f"{REPO}/issues/comments/{comment['id']}"
        assert reader.patch(url, json={"body": "Yours"}).status_code == 403
        assert reader.delete(url).status_code == 403


def test_an_outsider_sees_nothing_of_a_private_repository(stage: Stage) -> None:
    number = stage.issue()["number"]
    with stage.user("outsider") as outsider:
        for path in (f"{REPO}/issues", f"{REPO}/issues/{number}", f"{REPO}/labels", f"{REPO}/hooks"):
            assert outsider.get(path).status_code == 404
        assert outsider.post(f"{REPO}/issues/{number}/comments", json={"body": "x"}).status_code == 404


@pytest.mark.parametrize("on", ["issue", "comment"])
def test_a_reaction_is_new_once_and_taken_back_by_its_author(stage: Stage, on: str) -> None:
    number = stage.issue()["number"]
    path = f"{REPO}/issues/{number}/reactions"
    if on == "comment":
        made = stage.person.post(f"{REPO}/issues/{number}/comments", json={"body": "Look"}).json()
        path = f"{REPO}/issues/comments/{made['id']}/reactions"
    first = stage.bot.post(path, json={"content": "eyes"})
    again = stage.bot.post(path, json={"content": "eyes"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert stage.bot.post(path, json={"content": "shrug"}).status_code == 422
    stage.person.post(path, json={"content": "heart"})
    assert len(stage.bot.get(path).json()) == 2
    assert [each["content"] for each in stage.bot.get(path, params={"content": "heart"}).json()] == ["heart"]
    assert stage.person.delete(f"{path}/{first.json()['id']}").status_code == 403
    assert stage.bot.delete(f"{path}/{first.json()['id']}").status_code == 204
    assert stage.bot.delete(f"{path}/{first.json()['id']}").status_code == 404
    seen = stage.person.get(path.removesuffix("/reactions")).json()["reactions"]
    assert (seen["heart"], seen["eyes"], seen["total_count"]) == (1, 0, 1)


def test_what_is_not_there_is_not_found(stage: Stage) -> None:
    for path in (
        "issues/9999",
        "issues/9999/comments",
        "issues/comments/9999",
        "issues/nonsense",
        "labels/none",
    ):
        assert stage.person.get(f"{REPO}/{path}").status_code == 404


def test_an_app_with_pull_requests_only_touches_no_issue(stage: Stage) -> None:
    number = stage.issue()["number"]
    comment = stage.bot.post(f"{REPO}/issues/{number}/comments", json={"body": "x"}).json()["id"]
    stage.commit("narrow", {"narrow.txt": "n\n"})
    new = {"title": "Narrow", "head": "narrow", "base": "main"}
    pull = stage.person.post(f"{REPO}/pulls", json=new).raise_for_status().json()["number"]
    token, _ = tokens.mint_installation(
        stage.forge, stage.app, stage.installation, {"pull_requests": "write"}, None
    )
    with stage.served.client(token) as narrow:
        assert narrow.post(f"{REPO}/issues/{pull}/comments", json={"body": "x"}).status_code == 201
        assert narrow.post(f"{REPO}/issues/{pull}/labels", json={"labels": ["bug"]}).status_code == 200
        for refused in (
            narrow.post(f"{REPO}/issues/{number}/comments", json={"body": "x"}),
            narrow.post(f"{REPO}/issues/{number}/labels", json={"labels": ["bug"]}),
            narrow.patch(f"{REPO}/issues/{number}", json={"state": "closed"}),
            narrow.patch(f"{REPO}/issues/comments/{comment}", json={"body": "y"}),
            narrow.post(f"{REPO}/issues/comments/{comment}/reactions", json={"content": "eyes"}),
            narrow.get(f"{REPO}/issues/{number}"),
        ):
            assert refused.status_code == 403
            assert refused.json()["message"] == "Resource not accessible by integration"
