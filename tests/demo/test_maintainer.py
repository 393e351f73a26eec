from typing import Any

import pytest

from bot.demo.maintainer import ended, judge

JsonDict = dict[str, Any]
TASK = {"body": "<!-- gitwright:task track=issue-1 task=T-1 attempt=1 -->\nLook."}
BACKLOG = {"body": "<!-- gitwright:backlog track=issue-1 -->\nLook."}


def check(name: str, conclusion: str | None = "success", id_: int = 1) -> JsonDict:
    status = "completed" if conclusion else "in_progress"
    return {"id": id_, "name": name, "status": status, "conclusion": conclusion}


@pytest.mark.parametrize(
    ("pull", "runs", "has_ci", "verdict"),
    [
        (TASK, [], True, "waiting"),
        (TASK, [], False, "green"),
        (TASK, [check("ci")], True, "green"),
        (TASK, [check("ci", None)], True, "waiting"),
        (TASK, [check("ci", "failure")], True, "red"),
        (TASK, [check("ci", "failure"), check("ci", "success", 2)], True, "green"),
        (TASK, [check("gitwright/task")], True, "waiting"),
        (BACKLOG, [check("ci")], True, "waiting"),
        (BACKLOG, [check("gitwright/backlog")], False, "green"),
        (BACKLOG, [check("gitwright/backlog", "failure"), check("ci")], True, "red"),
        (BACKLOG, [check("gitwright/backlog"), check("ci")], True, "green"),
    ],
)
def test_only_what_is_green_is_merged(
    pull: JsonDict, runs: list[JsonDict], has_ci: bool, verdict: str
) -> None:
    assert judge(pull, runs, has_ci) == verdict


ISSUE = {"state": "closed", "labels": [{"name": "agent:plan"}, {"name": "agent:done"}]}
RECEIPT = {"user": {"login": "gitwright[bot]"}, "body": "<!-- gitwright:receipt track=issue-1 -->\nDone."}


@pytest.mark.parametrize(
    ("issue", "comment", "done"),
    [
        (ISSUE, RECEIPT, True),
        ({**ISSUE, "state": "open"}, RECEIPT, False),
        ({**ISSUE, "labels": []}, RECEIPT, False),
        (ISSUE, {**RECEIPT, "user": {"login": "mallory"}}, False),
        (ISSUE, {**RECEIPT, "body": "Done."}, False),
    ],
)
def test_done_is_closed_labelled_and_receipted_by_the_bot(
    issue: JsonDict, comment: JsonDict, done: bool
) -> None:
    assert ended(issue, [comment], "gitwright[bot]").done is done
