"""What GitHub takes no more of: texts, names, annotations, versions; and what is archived, locked, suspended or moved."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from forge import tokens
from tests.forge.stage import PERMISSIONS, REPO, Stage, staged
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge

BODY = "é" * 65_536  # characters, not bytes


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, webhook_judge: WebhookJudge
) -> Iterator[Stage]:
    data: Path = tmp_path_factory.mktemp("limits") / "forge"
    with staged(data, judge, webhook_judge) as ready:
        yield ready


def statuses(*answers: httpx.Response) -> list[int]:
    return [answer.status_code for answer in answers]


def test_texts_are_counted_in_characters(stage: Stage) -> None:
    number = stage.issue()["number"]
    stage.commit("long", {"long.txt": "long\n"})
    comments = f"{REPO}/issues/{number}/comments"
    made = stage.bot.post(comments, json={"body": BODY})
    pull = {"title": "Long", "head": "long", "base": "main"}
    assert statuses(
        made,
        stage.bot.post(comments, json={"body": BODY + "x"}),
        stage.bot.patch(f"{REPO}/issues/comments/{made.json()['id']}", json={"body": BODY + "x"}),
        stage.bot.post(f"{REPO}/issues", json={"title": "t", "body": BODY + "x"}),
        stage.bot.post(f"{REPO}/pulls", json={**pull, "body": BODY + "x"}),
    ) == [201, 422, 422, 422, 422]
    opened = stage.bot.post(f"{REPO}/pulls", json={**pull, "body": BODY}).raise_for_status().json()
    path = f"{REPO}/pulls/{opened['number']}"
    assert stage.bot.patch(path, json={"body": BODY + "x"}).status_code == 422


def test_a_check_run_takes_so_much_and_fifty_annotations_at_once(stage: Stage) -> None:
    sha = stage.commit("checked", {"c.txt": "c\n"})
    note = {"path": "c.txt", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}

    def run(summary: str = "s", text: str = "t", annotations: int = 0) -> httpx.Response:
        output = {"title": "t", "summary": summary, "text": text, "annotations": [note] * annotations}
        return stage.bot.post(f"{REPO}/check-runs", json={"name": "c", "head_sha": sha, "output": output})

    most = "s" * 65_535
    assert statuses(run(most, most, 50), run(most + "s"), run(text=most + "s"), run(annotations=51)) == [
        201,
        422,
        422,
        422,
    ]


def test_labels_have_short_names_and_descriptions(stage: Stage) -> None:
    labels = f"{REPO}/labels"
    number = stage.issue()["number"]
    assert statuses(
        stage.bot.post(labels, json={"name": "n" * 50, "description": "d" * 100}),
        stage.bot.post(labels, json={"name": "n" * 51}),
        stage.bot.post(labels, json={"name": "m", "description": "d" * 101}),
        stage.bot.patch(f"{labels}/{'n' * 50}", json={"new_name": "n" * 51}),
        stage.bot.post(f"{REPO}/issues/{number}/labels", json={"labels": ["n" * 51]}),
    ) == [201, 422, 422, 422, 422]


def test_a_version_of_the_api_that_is_not_known_is_refused(stage: Stage) -> None:
    refused = stage.bot.get(REPO, headers={"x-github-api-version": "2099-01-01"})
    assert refused.status_code == 400
    assert "2099-01-01" in refused.json()["message"]
    assert stage.bot.get(REPO, headers={"x-github-api-version": "2026-03-10"}).status_code == 200


def test_the_limit_is_one_for_all_tokens_of_an_installation(stage: Stage) -> None:
    token, _ = tokens.mint_installation(stage.forge, stage.app, stage.installation, PERMISSIONS, None)
    with stage.served.client(token) as other:
        first, second = (client.get(REPO).headers for client in (stage.bot, other))
    assert int(second["x-ratelimit-remaining"]) == int(first["x-ratelimit-remaining"]) - 1
    etag = {"if-none-match": first["etag"]}
    unchanged = stage.bot.get(REPO, headers=etag)
    assert unchanged.status_code == 304
    assert unchanged.headers["x-ratelimit-remaining"] == second["x-ratelimit-remaining"], "304 costs nothing"


def test_in_a_locked_conversation_apps_are_refused(stage: Stage) -> None:
    number = stage.issue()["number"]
    stage.person.put(f"{REPO}/issues/{number}/lock", json={}).raise_for_status()
    refused = stage.bot.post(f"{REPO}/issues/{number}/comments", json={"body": "Hello"})
    assert refused.status_code == 403
    assert "is locked" in refused.json()["message"]
    assert stage.bot.post(f"{REPO}/issues/{number}/labels", json={"labels": ["bug"]}).status_code == 200


def test_who_asks_for_an_earlier_name_is_sent_on(stage: Stage) -> None:
    number, repo_id = stage.issue()["number"], stage.repo["id"]
    stage.person.patch(REPO, json={"name": "moved"}).raise_for_status()
    try:
        asked = stage.bot.get(f"{REPO}/issues/{number}/comments", params={"per_page": "1"})
        written = stage.bot.post(f"{REPO}/issues/{number}/comments", json={"body": "Hello"})
        assert statuses(asked, written) == [301, 307]
        assert asked.headers["location"].endswith(
            f"/repositories/{repo_id}/issues/{number}/comments?per_page=1"
        )
        assert stage.bot.get(asked.headers["location"]).json() == []
        with stage.user("stranger") as stranger:
            assert stranger.get(f"{REPO}/issues/{number}").status_code == 404
    finally:
        stage.person.patch("/repos/maintainer/moved", json={"name": "demo"}).raise_for_status()
    assert stage.bot.get(f"{REPO}/issues/{number}").status_code == 200


def test_an_archived_repository_takes_nothing(stage: Stage) -> None:
    number = stage.issue()["number"]
    stage.person.patch(REPO, json={"archived": True}).raise_for_status()
    try:
        refused = stage.bot.post(f"{REPO}/issues/{number}/comments", json={"body": "Hello"})
        assert refused.status_code == 403
        assert "Repository was archived" in refused.json()["message"]
        assert stage.bot.get(f"{REPO}/issues/{number}").status_code == 200
    finally:
        stage.person.patch(REPO, json={"archived": False}).raise_for_status()


def test_where_issues_are_disabled_there_are_none(stage: Stage) -> None:
    number = stage.issue()["number"]
    stage.person.patch(REPO, json={"has_issues": False}).raise_for_status()
    try:
        answers = (
            stage.bot.get(f"{REPO}/issues/{number}"),
            stage.bot.post(f"{REPO}/issues/{number}/comments", json={"body": "Hello"}),
            stage.bot.post(f"{REPO}/issues", json={"title": "t"}),
        )
        assert statuses(*answers) == [410, 410, 410]
    finally:
        stage.person.patch(REPO, json={"has_issues": True}).raise_for_status()
