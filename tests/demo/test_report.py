import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.demo import source
from bot.demo.keeper import LIVES
from bot.demo.lives import Life, add_life, read_lives
from bot.demo.report import write_report

Tamper = Callable[..., None]
KEYS = [
    "track",
    "status",
    "plan_comments",
    "backlog_pr",
    "tasks",
    "duplicate_effects",
    "deleted_sessions",
    "leaks",
    "api_calls",
    "seconds",
    "model",
]


def findings(out: Path, kind: str) -> list[str]:
    found: list[str] = json.loads((out / "findings.json").read_text())[kind]
    return found


def test_a_good_run_is_reported_from_what_it_left(run_folder: Path) -> None:
    write_report(run_folder)
    report = json.loads((run_folder / "report.json").read_text())
    assert list(report) == KEYS
    assert report.pop("api_calls") > 10
    assert report.pop("seconds") > 0
    assert report == {
        "track": "issue-1",
        "status": "done",
        "plan_comments": 1,
        "backlog_pr": 2,
        "tasks": [
            {"id": "T-1", "pr": 3, "attempts": 1, "runs": 2, "decisions": [], "merged": True},
            {"id": "T-2", "pr": None, "attempts": 0, "runs": 0, "decisions": [], "merged": False},
        ],
        "duplicate_effects": 0,
        "deleted_sessions": 3,
        "leaks": 0,
        "model": "scripted",
    }


def test_the_transcript_holds_every_text_in_order(run_folder: Path) -> None:
    write_report(run_folder)
    text = (run_folder / "transcript.md").read_text()
    places = [text.index(part) for part in ("Please.", "The status.", "The plan.", "The receipt.")]
    assert places == sorted(places)


@pytest.mark.parametrize("kind", ["status", "plan", "receipt"])
def test_a_comment_posted_twice_is_counted(run_folder: Path, tamper: Tamper, kind: str) -> None:
    tamper(
        "forge/forge.sqlite",
        "INSERT INTO comments (issue_id, user_id, body, created_at, updated_at)"
        " SELECT issue_id, user_id, body || ' edited', created_at, updated_at FROM comments WHERE body LIKE ?",
        f"<!-- gitwright:{kind} %",
    )
    assert write_report(run_folder).duplicate_effects == 1
    assert f"gitwright:{kind}" in findings(run_folder, "duplicates")[0]


ANSWER = (
    "INSERT INTO comments (issue_id, user_id, body, created_at, updated_at)"
    " SELECT issue_id, user_id, ?, created_at, updated_at FROM comments WHERE body LIKE '<!-- gitwright:plan %'"
)


@pytest.mark.parametrize(
    ("first", "second", "duplicates"),
    [
        ("<!-- gitwright-key: c1 -->\nYes.", "<!-- gitwright-key: c1 -->\nYes, still.", 1),
        ("<!-- gitwright-key: c1 -->\nYes.", "<!-- gitwright-key: c2 -->\nYes.", 0),
        ("Yes.", "Yes.", 1),
        ("Yes.", "No.", 0),
    ],
)
def test_answers_are_told_apart_by_their_keys(
    run_folder: Path, tamper: Tamper, first: str, second: str, duplicates: int
) -> None:
    for text in (first, second):
        tamper("forge/forge.sqlite", ANSWER, f"<!-- gitwright:answer track=issue-1 -->\n{text}")
    assert write_report(run_folder).duplicate_effects == duplicates


def test_a_comment_of_a_person_is_no_effect_of_the_bot(run_folder: Path, tamper: Tamper) -> None:
    tamper(
        "forge/forge.sqlite",
        "INSERT INTO comments (issue_id, user_id, body, created_at, updated_at)"
        " SELECT issue_id, (SELECT id FROM users WHERE login = 'reporter'), body, created_at, updated_at FROM comments",
    )
    assert write_report(run_folder).duplicate_effects == 0


def test_a_second_pull_request_of_an_attempt_is_counted_once(run_folder: Path, tamper: Tamper) -> None:
    tamper(
        "forge/forge.sqlite",
        "INSERT INTO issues (repo_id, number, title, body, user_id, created_at, updated_at, is_pull)"
        " SELECT repo_id, 9, title, body, user_id, created_at, updated_at, 1 FROM issues WHERE number = 3",
    )
    tamper(
        "forge/forge.sqlite",
        "INSERT INTO pulls (issue_id, repo_id, head_ref, head_sha, head_repo_id, base_ref, base_sha)"
        " SELECT (SELECT id FROM issues WHERE number = 9), repo_id, head_ref, head_sha, head_repo_id, base_ref, base_sha"
        " FROM pulls WHERE head_ref LIKE '%T-1-a1'",
    )
    assert write_report(run_folder).duplicate_effects == 1


def test_a_second_branch_of_an_attempt_is_counted(run_folder: Path) -> None:
    git_dir = run_folder / "forge" / "repos" / "maintainer" / "durations.git"
    head = f"--git-dir={git_dir}"
    source.run_git([head, "branch", "agent/issue-1/T-1-a1-again", "agent/issue-1/T-1-a1"])
    source.run_git([head, "branch", "agent/issue-1/T-1-a12", "agent/issue-1/T-1-a1"])  # an attempt of its own
    write_report(run_folder)
    assert findings(run_folder, "duplicates") == [
        "branch of attempt agent/issue-1/T-1-a1: agent/issue-1/T-1-a1-again"
    ]


def test_a_second_check_run_of_a_commit_is_counted(run_folder: Path, tamper: Tamper) -> None:
    tamper(
        "forge/forge.sqlite",
        "INSERT INTO check_runs (suite_id, repo_id, app_id, name, head_sha, status)"
        " SELECT suite_id, repo_id, app_id, name, head_sha, status FROM check_runs LIMIT 1",
    )
    assert write_report(run_folder).duplicate_effects == 1


def test_an_orphan_worktree_is_a_leak(run_folder: Path) -> None:
    mirror = run_folder / "bot" / "mirrors" / "1.git"
    source.run_git(
        [f"--git-dir={mirror}", "worktree", "add", "--quiet", "--detach", str(run_folder / "orphan"), "HEAD"]
    )
    assert write_report(run_folder).leaks == 1
    assert findings(run_folder, "leaks") == [f"worktree {run_folder / 'orphan'}"]


@pytest.mark.parametrize("folder", ["tasks/T-1-a1", "sessions/coder-12"])
def test_a_folder_that_an_agent_left_is_a_leak(run_folder: Path, folder: str) -> None:
    (run_folder / "bot" / folder).mkdir()
    assert write_report(run_folder).leaks == 1


def test_a_session_without_deletion_is_a_leak_and_not_counted_as_deleted(
    run_folder: Path, tamper: Tamper
) -> None:
    tamper(
        "bot/gitwright.sqlite", "UPDATE sessions SET deleted_at = NULL, proof = NULL WHERE kind = 'planner'"
    )
    report = write_report(run_folder)
    assert (report.leaks, report.deleted_sessions) == (1, 2)


def test_a_session_is_not_deleted_because_its_record_says_so(
    finished: Path, run_folder: Path, tamper: Tamper
) -> None:
    still_there = run_folder / "elsewhere"
    still_there.mkdir()
    tamper(
        "bot/gitwright.sqlite",
        "UPDATE sessions SET facts = json_object('dir', ?) WHERE kind = 'planner'",
        str(still_there),
    )
    report = write_report(run_folder)
    assert (report.leaks, report.deleted_sessions) == (1, 2)


def test_a_token_that_still_works_is_a_leak(run_folder: Path, tamper: Tamper) -> None:
    tamper("forge/forge.sqlite", "UPDATE tokens SET revoked_at = NULL WHERE kind = 'installation'")
    assert write_report(run_folder).leaks == 1


@pytest.mark.parametrize(("before", "leaks"), [(1.0, 0), (60.0, 1)])
def test_a_token_that_the_forge_would_not_end_at_the_stop_is_no_leak(
    run_folder: Path, tamper: Tamper, before: float, leaks: int
) -> None:
    tamper("forge/forge.sqlite", "UPDATE tokens SET revoked_at = NULL WHERE kind = 'installation'")
    ended = max(life.ended for life in read_lives(run_folder / LIVES))
    with sqlite3.connect(run_folder / "forge/forge.sqlite") as forge:
        ((token,),) = forge.execute("SELECT id FROM tokens WHERE kind = 'installation'").fetchall()
    call = {
        "ts": datetime.fromtimestamp(ended - before, UTC).isoformat(),
        "method": "DELETE",
        "path": "/installation/token",
        "status": 403,
        "token_id": token,
    }
    with (run_folder / "forge/requests.jsonl").open("a", encoding="utf-8") as requests:
        requests.write(json.dumps(call) + "\n")
    write_report(run_folder)
    assert findings(run_folder, "leaks") == [f"token {token} was not revoked"] * leaks


def test_an_expired_token_is_no_leak(run_folder: Path, tamper: Tamper) -> None:
    past = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    tamper(
        "forge/forge.sqlite",
        "UPDATE tokens SET revoked_at = NULL, expires_at = ? WHERE kind = 'installation'",
        past,
    )
    assert write_report(run_folder).leaks == 0


def test_a_token_of_a_killed_process_is_no_leak_but_a_later_one_is(run_folder: Path, tamper: Tamper) -> None:
    tamper("forge/forge.sqlite", "UPDATE tokens SET revoked_at = NULL WHERE kind = 'installation'")
    (run_folder / LIVES).unlink()
    now = datetime.now(UTC).timestamp()
    add_life(run_folder / LIVES, Life(1, now - 600, now + 1, "killed"))
    add_life(run_folder / LIVES, Life(2, now + 1, now + 600, "in_order"))
    assert write_report(run_folder).leaks == 0
    later = datetime.fromtimestamp(now + 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    tamper("forge/forge.sqlite", "UPDATE tokens SET created_at = ? WHERE kind = 'installation'", later)
    assert write_report(run_folder).leaks == 1


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process.pid
        process.kill()


def test_a_process_that_lives_on_is_a_leak(run_folder: Path, sleeper: int) -> None:
    report = write_report(run_folder, living=[sleeper])
    assert report.leaks == 1
    assert not report.clean


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE issues SET state = 'open' WHERE number = 1",
        "DELETE FROM comments WHERE body LIKE '%gitwright:receipt%'",
        "DELETE FROM issue_labels WHERE label_id = (SELECT id FROM labels WHERE name = 'agent:done')",
    ],
)
def test_done_needs_closed_issue_receipt_and_label(run_folder: Path, tamper: Tamper, sql: str) -> None:
    tamper("forge/forge.sqlite", sql)
    assert write_report(run_folder).status != "done"
