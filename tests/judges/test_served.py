"""A judged forge does not get away with a wrong answer, a wrong delivery or a damaged repository."""

from pathlib import Path

import pytest

from tests.judges.openapi import Judge
from tests.judges.record import Record
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge
from tests.judges.world import call

REPO = "/repos/maintainer/r"


def fill(forge: JudgedForge) -> None:
    """A repository with a hook and an issue."""
    with forge.client() as admin:
        call(admin, "POST", "/user/repos", 201, json={"name": "r", "auto_init": True})
        hook = {"events": ["issues"], "config": {"url": "http://127.0.0.1:9/", "content_type": "json"}}
        call(admin, "POST", f"{REPO}/hooks", 201, json=hook)
        call(admin, "POST", f"{REPO}/issues", 201, json={"title": "First"})


def test_a_sound_forge_passes(tmp_path: Path) -> None:
    record = Record()
    with judged_forge(tmp_path, Judge(record), WebhookJudge(record)) as forge:
        fill(forge)
        forge.settle()
    assert record.violations == []
    assert record.events == {"ping": 1, "issues.opened": 1}
    assert record.operations["POST /repos/{owner}/{repo}/issues"] == 1
    assert Judge(record).check_log(tmp_path / "requests.jsonl") == 3
    assert record.violations == []


def test_a_wrong_answer_and_a_wrong_delivery_are_found(tmp_path: Path) -> None:
    record = Record()
    with judged_forge(tmp_path, Judge(record), WebhookJudge(record)) as forge:
        fill(forge)
        forge.settle()
        state = forge.app.state.forge
        state.db.run("UPDATE issues SET created_at = '2026-01-01 00:00:00'")
        state.db.run("UPDATE webhook_deliveries SET body = '{\"action\": \"opened\"}' WHERE event = 'issues'")
        with forge.client() as admin:
            call(admin, "GET", f"{REPO}/issues/1")
    where = {(violation.where, violation.pointer) for violation in record.violations}
    assert ("response", "/created_at") in where
    assert ("webhook", "") in where


def test_a_damaged_repository_is_found(tmp_path: Path) -> None:
    served = judged_forge(tmp_path, Judge(), WebhookJudge())
    fill(served.__enter__())
    next((tmp_path / "repos/maintainer/r.git/objects").glob("[0-9a-f][0-9a-f]/*")).unlink()
    with pytest.raises(AssertionError, match=r"maintainer/r\.git is damaged"):
        served.__exit__(None, None, None)
