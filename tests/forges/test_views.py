"""How GitHub's answers read: what is missing, new or null does not break us, and a merge is seen in every shape."""

from typing import Any

import pytest

from bot.core.values import Actor, Check, Issue
from bot.errors import ForgeError
from bot.forges.github import views

PULL = {"number": 1, "state": "closed", "head": {"ref": "h", "sha": "1"}, "base": {"ref": "b", "sha": "2"}}


def test_a_deleted_account_and_new_fields_are_read() -> None:
    data = {
        "number": 7,
        "state": "open",
        "user": None,
        "body": None,
        "labels": ["a", {"name": "b"}],
        "new": {"x": 1},
    }
    assert views.read(views.IssueView, data).value() == Issue(
        7, "", "", "open", Actor(0, "ghost"), ("a", "b")
    )


@pytest.mark.parametrize(
    ("more", "merged", "sha"),
    [
        ({"merged": True, "merge_commit_sha": "m"}, True, "m"),
        ({"merged_at": "2026-01-01T00:00:00Z", "merge_commit_sha": "m"}, True, "m"),
        ({"merged_at": None, "merge_commit_sha": "trial"}, False, None),
    ],
)
def test_a_merge_is_told_from_a_trial(more: dict[str, Any], merged: bool, sha: str | None) -> None:
    pull = views.read(views.PullView, {**PULL, **more}).value()
    assert (pull.merged, pull.merge_sha) == (merged, sha)


@pytest.mark.parametrize(
    ("permission", "role_name", "role"),
    [
        ("write", "maintain", "maintain"),
        ("read", "triage", "triage"),
        ("write", "release-captain", "write"),
        ("write", "", "write"),
        ("odd", "odder", "none"),
    ],
)
def test_a_role_that_an_organization_made_counts_as_what_it_is_built_on(
    permission: str, role_name: str, role: str
) -> None:
    assert (
        views.read(views.PermissionView, {"permission": permission, "role_name": role_name}).value() == role
    )


@pytest.mark.parametrize(
    ("context", "creator", "ours"),
    [("gitwright/task", 5, True), ("jenkins", 5, False), ("gitwright/task", 6, False)],
)
def test_a_status_is_ours_by_its_maker_and_its_name(context: str, creator: int, ours: bool) -> None:
    data = {"context": context, "state": "error", "creator": {"id": creator, "login": "x"}}
    check = views.read(views.StatusView, data).value(frozenset({5}))
    assert (check.ours, check.conclusion) == (ours, "failure")


def test_of_what_a_check_says_at_length_the_end_is_read() -> None:
    said = {"title": "T", "summary": "S", "text": "begin" + "x" * 60_000 + "1 failed", "annotations_count": 0}
    run = {"id": 1, "name": "ci", "status": "completed", "conclusion": "failure", "output": said}
    check = views.read(views.CheckRunView, run).value(None)
    assert check == Check("ci", True, "failure", False, "", "S", "x" * (16_000 - 8) + "1 failed")
    silent = {"title": None, "summary": None, "text": None, "annotations_count": 0}
    assert views.read(views.CheckRunView, {**run, "output": silent}).value(None).text == ""


def test_a_check_run_that_names_no_app_is_ours_by_its_name_alone() -> None:
    run = {"id": 1, "name": "gitwright/task", "status": "completed", "conclusion": "success", "app": None}
    assert views.read(views.CheckRunView, run).value(7).ours
    assert not views.read(views.CheckRunView, {**run, "name": "tests"}).value(7).ours
    assert not views.read(views.CheckRunView, {**run, "app": {"id": 8}}).value(7).ours


def test_an_answer_that_lacks_what_we_need_names_it() -> None:
    with pytest.raises(ForgeError, match=r"PullView: .*head"):
        views.read(views.PullView, {"number": 1, "state": "open"})
