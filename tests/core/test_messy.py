"""How messy a run was: what raises the score, what does not, and how a trace is counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.drift import Step, StepKind
from bot.core.messy import COEFFICIENTS, MESSY_THRESHOLD, RunFeatures, features_of, messy_score, terms

counts = st.integers(0, 10_000)
features = st.builds(
    RunFeatures,
    steps=counts,
    rejected_edits=counts,
    duplicate_actions=counts,
    error_observations=counts,
    empty_patch=st.booleans(),
    new_files=counts,
    files=counts,
    diff_lines=st.integers(0, 10**7),
    edits_per_file=st.floats(0, 10_000),
    test_runs=counts,
    outside_scope=counts,
)
# Two files changed after a look at each, one test run: what a good run looks like.
TIDY = RunFeatures(steps=8, files=2, diff_lines=40, edits_per_file=1.5, test_runs=2)


@given(features)
def test_the_score_of_any_run_lies_between_nothing_and_one(run: RunFeatures) -> None:
    assert 0 <= messy_score(run) <= 1
    assert messy_score(run) == messy_score(run)


@given(features, counts)
def test_more_new_files_never_lower_the_score(run: RunFeatures, more: int) -> None:
    assert messy_score(replace(run, new_files=run.new_files + more)) >= messy_score(run)


@given(features, counts)
def test_more_files_outside_the_scope_never_lower_the_score(run: RunFeatures, more: int) -> None:
    assert messy_score(replace(run, outside_scope=run.outside_scope + more)) >= messy_score(run)


def test_one_file_more_that_is_new_or_outside_raises_the_score() -> None:
    assert messy_score(replace(TIDY, new_files=1)) > messy_score(TIDY)
    assert messy_score(replace(TIDY, outside_scope=1)) > messy_score(TIDY)


def test_every_term_has_a_coefficient_that_does_not_lower_the_score() -> None:
    assert set(COEFFICIENTS) == {"intercept", *terms(TIDY)}
    assert all(weight >= 0 for name, weight in COEFFICIENTS.items() if name != "intercept")


@pytest.mark.parametrize(
    "run",
    [
        TIDY,
        RunFeatures(files=2, diff_lines=300),  # an agent that tells nothing of its steps
        RunFeatures(steps=2, files=1, diff_lines=3, edits_per_file=1),
        RunFeatures(steps=33, files=2, diff_lines=400, edits_per_file=6, test_runs=8),
        replace(TIDY, rejected_edits=3, duplicate_actions=3, error_observations=5),
        replace(TIDY, files=3, new_files=1, outside_scope=1),
    ],
)
def test_a_run_that_changes_its_files_is_not_messy(run: RunFeatures) -> None:
    assert messy_score(run) < MESSY_THRESHOLD


@pytest.mark.parametrize(
    "run",
    [
        RunFeatures(steps=12, empty_patch=True),
        RunFeatures(steps=6, files=3, new_files=3, outside_scope=3, diff_lines=30, edits_per_file=1),
        RunFeatures(steps=9, files=1, outside_scope=1, diff_lines=10, edits_per_file=1, test_runs=1),
        replace(TIDY, steps=9, files=5, new_files=3, outside_scope=3, edits_per_file=0.8),
        RunFeatures(steps=100, files=1, diff_lines=200, edits_per_file=20, test_runs=5),
    ],
)
def test_a_run_that_leaves_strays_or_only_looks_about_is_messy(run: RunFeatures) -> None:
    assert messy_score(run) >= MESSY_THRESHOLD


def step(kind: StepKind, args: str = "", *, ok: bool | None = None) -> Step:
    return Step(action=kind, args=args, kind=kind, ok=ok)


def test_a_trace_and_a_tree_are_counted() -> None:
    steps = [
        step("think"),
        step("read", "a.py"),
        step("edit", "a.py", ok=False),
        step("read", "a.py"),
        step("edit", "a.py 2", ok=True),
        step("execute", "pytest", ok=False),
        step("message"),
        step("delete", "b.py"),
    ]
    assert features_of(
        steps,
        changed=["a.py", "b.py", "try.py"],
        added=["try.py", "tests/test_a.py"],
        diff_lines=12,
        outside=["try.py", "gone.py"],
    ) == RunFeatures(
        steps=6,
        rejected_edits=1,
        duplicate_actions=1,
        error_observations=2,
        new_files=1,
        files=4,
        diff_lines=12,
        edits_per_file=0.75,
        test_runs=1,
        outside_scope=1,
    )


def test_no_trace_and_no_change_is_an_empty_patch() -> None:
    run = features_of([], changed=[], added=[], diff_lines=0, outside=[])
    assert run == RunFeatures(empty_patch=True)
    assert messy_score(run) >= MESSY_THRESHOLD


def test_a_file_that_the_task_is_to_make_is_no_stray() -> None:
    run = features_of([], changed=["new.py"], added=["new.py"], diff_lines=90, outside=[])
    assert run.new_files == 0
    assert messy_score(run) < MESSY_THRESHOLD
