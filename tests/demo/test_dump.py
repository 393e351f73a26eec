import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.demo.dump import dump, normalise

Tamper = Callable[..., None]


def test_a_copy_of_a_run_dumps_alike(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "again")
    assert dump(finished) == dump(tmp_path / "again")


def test_comments_in_another_order_dump_alike(finished: Path, run_folder: Path, tamper: Tamper) -> None:
    tamper("forge/forge.sqlite", "UPDATE comments SET id = -id")
    assert dump(run_folder) == dump(finished)


def test_the_dump_shows_trees_pulls_comments_and_labels(finished: Path) -> None:
    found = dump(finished)
    assert found["issues"]["#1"]["labels"] == ["agent:done", "agent:plan"]
    assert [pull["branch"] for pull in found["pulls"]] == ["agent/issue-1/T-1-a1", "agent/issue-1/backlog"]
    assert found["pulls"][0]["changes"][-1] == "+7"
    assert "tasks/issue-1/BACKLOG.yaml" in found["tree"]
    assert "durations/parsing.py" in found["tree"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE comments SET body = body || ' and more' WHERE body LIKE '%gitwright:plan%'",
        "DELETE FROM comments WHERE body LIKE '%gitwright:receipt%'",
        "DELETE FROM issue_labels WHERE label_id = (SELECT id FROM labels WHERE name = 'agent:plan')",
        "UPDATE pulls SET merged_at = NULL WHERE head_ref LIKE '%T-1-a1'",
        "UPDATE check_runs SET conclusion = 'failure'",
        "UPDATE issues SET title = 'Other' WHERE is_pull = 1",
    ],
)
def test_what_people_see_differently_dumps_differently(
    finished: Path, run_folder: Path, tamper: Tamper, sql: str
) -> None:
    tamper("forge/forge.sqlite", sql)
    assert dump(run_folder) != dump(finished)


def test_what_no_two_runs_share_is_left_out() -> None:
    first = (
        "<!-- gitwright:plan track=issue-1 -->\nAt `1a2b3c4` (0123456789012345678901234567890123456789) on 2026-11-22T18:15:32Z "
        'in 3 min 5 s, see #4 and http://127.0.0.1:4711/x <!-- gitwright:state {"runs":3} -->'
    )
    second = (
        "<!-- gitwright:plan track=issue-1 -->\nAt `9f8e7d6` (9876543210987654321098765432109876543210) on 2027-01-02T03:04:05Z "
        'in 41 s, see #5 and http://127.0.0.1:4712/x <!-- gitwright:state {"runs":4} -->'
    )
    assert normalise(first, {"4": "agent/b"}) == normalise(second, {"5": "agent/b"})


def test_a_plan_keeps_its_numbers_and_a_receipt_does_not() -> None:
    texts = [
        f"<!-- gitwright:{kind} track=issue-1 -->\n{n} tasks, T-1"
        for kind in ("plan", "receipt")
        for n in (3, 4)
    ]
    plan_3, plan_4, receipt_3, receipt_4 = (normalise(text, {}) for text in texts)
    assert plan_3 != plan_4
    assert receipt_3 == receipt_4
    assert receipt_3[1] == "<n> tasks, T-1"
