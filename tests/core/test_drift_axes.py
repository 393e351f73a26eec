"""What changed under a task before it is dispatched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from bot.core.backlog_model import BacklogTask
from bot.core.drift_axes import Axes, before_dispatch

FILES = {"src/greet.py": "1" * 40, "tests/test_greet.py": "2" * 40, "README.md": "3" * 40}
AS_PLANNED: dict[str, Any] = {
    "id": "T-1",
    "title": "Greet by name",
    "acceptance": ["It greets."],
    "scope": {"paths": ["src/greet.py", "tests/"]},
}


def a_contract(**changes: Any) -> BacklogTask:
    return BacklogTask.model_validate(AS_PLANNED | changes)


def axes(
    *,
    issue: str | None = "Greet\nby name",
    now: BacklogTask | None = None,
    then: BacklogTask | None = None,
    blobs: Mapping[str, str] = FILES,
    gone: bool = False,
) -> Axes:
    return before_dispatch(
        frozen_issue="Greet\nby name",
        issue_now=issue,
        contract_then=then or a_contract(),
        contract_now=None if gone else now or a_contract(),
        blobs_then=FILES,
        blobs_now=blobs,
    )


def test_a_task_whose_world_stood_still_goes() -> None:
    assert axes() == Axes("go", (), issue_edited=False)


def test_an_edited_issue_is_told_and_holds_nothing() -> None:
    assert axes(issue="Greet loudly") == Axes("go", (), issue_edited=True)


@pytest.mark.parametrize(
    "issue", [None, "Greet\r\nby name\r\n", "Greet  \nby name"], ids=["unread", "line ends", "spaces"]
)
def test_what_a_forge_does_to_a_text_is_no_edit(issue: str | None) -> None:
    assert not axes(issue=issue).issue_edited


def test_a_task_that_people_took_out_of_the_file_is_held() -> None:
    assert axes(gone=True).verdict == "hold"


@pytest.mark.parametrize("status", ["done", "dropped"])
def test_a_task_that_is_settled_in_the_file_is_held(status: str) -> None:
    found = axes(now=a_contract(status=status))
    assert (found.verdict, status in found.reasons[0]) == ("hold", True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "Greet all"),
        ("acceptance", ["It greets all."]),
        ("scope", {"paths": ["src/greet.py"]}),
        ("test", "pytest tests"),
        ("depends_on", ["T-2"]),
    ],
)
def test_a_contract_that_people_changed_in_the_file_cuts_the_context_anew(field: str, value: object) -> None:
    found = axes(now=a_contract(**{field: value}))
    assert (found.verdict, found.reasons) == (
        "refresh",
        (f"changed in the backlog file on the default branch: {field}",),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"context": "Anything", "spec": 2, "votes": 3, "priority": "high", "estimate": "L"},
        {"scope": {"paths": ["tests", "./src/greet.py"]}},
    ],
    ids=["derived fields", "order and spelling of the scope"],
)
def test_what_is_not_of_the_contract_changes_nothing(changes: dict[str, Any]) -> None:
    assert axes(now=a_contract(**changes)) == Axes("go", (), issue_edited=False)


@pytest.mark.parametrize(
    "blobs",
    [
        FILES | {"src/greet.py": "9" * 40},
        FILES | {"tests/test_more.py": "9" * 40},
        {path: blob for path, blob in FILES.items() if path != "src/greet.py"},
    ],
    ids=["changed", "new", "one gone"],
)
def test_files_in_the_scope_that_changed_cut_the_context_anew(blobs: dict[str, str]) -> None:
    assert axes(blobs=blobs).verdict == "refresh"


@given(st.dictionaries(st.sampled_from(["README.md", "src/greet.pyi", "other/x.py"]), st.text(), max_size=3))
def test_files_outside_the_scope_never_matter(others: dict[str, str]) -> None:
    inside = {path: blob for path, blob in FILES.items() if path != "README.md"}
    assert axes(blobs=inside | others).verdict == "go"


@pytest.mark.parametrize(
    "blobs", [{"README.md": "3" * 40}, {"tests/test_moved.py": "2" * 40}], ids=["gone", "replaced"]
)
def test_a_scope_that_lost_every_file_it_had_is_held(blobs: dict[str, str]) -> None:
    assert axes(blobs=blobs).verdict == "hold"


def test_a_scope_of_files_to_come_has_nothing_to_lose() -> None:
    planned = a_contract(scope={"paths": ["src/new.py"]})
    assert axes(now=planned, then=planned).verdict == "go"


def test_people_read_which_files_and_fields_changed() -> None:
    names = [f"tests/test_@{number}.py" for number in range(5)]
    found = axes(now=a_contract(title="Greet all"), blobs=FILES | dict.fromkeys(names, "9" * 40))
    assert found.reasons == snapshot(
        (
            "changed in the backlog file on the default branch: title",
            "changed in the scope since the backlog was made: `tests/test_@0.py`, `tests/test_@1.py`, `tests/test_@2.py` and 2 more",
        )
    )
