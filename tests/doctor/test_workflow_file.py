"""What a workflow hands to pushed branches: which events run it for us, and every place with a secret or a right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.doctor.workflow_file import NoWorkflowError, branch_runs, exposures, triggers

OURS = ("agent/issue-1/backlog", "agent/issue-1/T-1-a1")
JOB = """
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - run: make
        env:
          TOKEN: ${{ secrets.DEPLOY_KEY }}
"""


def found(on: str, rest: str = JOB) -> list[tuple[int, str, str]]:
    return [(each.line, each.trigger, each.what) for each in exposures(f"on: {on}\n{rest}", OURS, "main")]


@pytest.mark.parametrize(
    ("on", "runs"),
    [
        ("push", ("push",)),
        ("[push, pull_request]", ("push", "pull_request")),
        ("{push: {branches: [main]}}", ()),
        ("{push: {branches: main}}", ()),
        ("{push: {branches: ['**']}}", ("push",)),
        ("{push: {branches: ['*']}}", ()),
        ("{push: {branches: ['agent/**']}}", ("push",)),
        ("{push: {branches: ['**', '!agent/**']}}", ()),
        ("{push: {branches: ['!agent/**', '**']}}", ("push",)),
        ("{push: {branches-ignore: ['agent/**']}}", ()),
        ("{push: {branches-ignore: ['agent/*/backlog']}}", ("push",)),
        ("{push: {tags: ['v*']}}", ()),
        ("{push: {tags: ['v*'], branches: ['**']}}", ("push",)),
        ("{push: {paths: ['src/**']}}", ("push",)),
        ("{push: null}", ("push",)),
        ("{pull_request: {branches: [main]}}", ("pull_request",)),
        ("{pull_request: {branches: [release]}}", ()),
        ("{pull_request_target: {types: [opened]}}", ("pull_request_target",)),
        ("create", ("create",)),
        ("{schedule: [{cron: '0 0 * * *'}], workflow_dispatch: null}", ()),
    ],
)
def test_events_and_their_filters_decide_whether_our_branches_run_it(on: str, runs: tuple[str, ...]) -> None:
    assert triggers(f"on: {on}\n{JOB}", OURS, "main") == runs


def test_a_secret_is_named_with_its_line() -> None:
    assert found("push") == [(9, "push", "`secrets.DEPLOY_KEY`")]
    assert found("{push: {branches: [main]}}") == []


def test_each_way_to_hand_something_over_is_seen() -> None:
    text = """\
name: CI
on:
  pull_request:
permissions: write-all
jobs:
  one:
    permissions:
      contents: read
      id-token: write
      packages: write
    uses: ./.github/workflows/other.yml
    secrets: inherit
  two:
    runs-on: ubuntu-latest
    steps:
      - run: |
          echo fine
          echo ${{ secrets.GITHUB_TOKEN }}
          publish --key "${{ secrets.NPM }}"
      - run: echo '${{ toJSON(secrets) }}'
      - run: echo ${{ secrets['A'] }}
"""
    assert [(each.line, each.what) for each in exposures(text, OURS, "main")] == [
        (4, "a token that may write everything (`permissions: write-all`)"),
        (9, "the repository's identity elsewhere (`id-token: write`)"),
        (10, "a token that may write (`packages: write`)"),
        (12, "all secrets, handed on (`secrets: inherit`)"),
        (19, "`secrets.NPM`"),
        (20, "all secrets"),
        (21, "secrets by name"),
    ]


def test_a_workflow_for_the_targets_of_pull_requests_is_always_named() -> None:
    quiet = "\njobs: {one: {runs-on: x, steps: [{run: echo}]}}\n"
    assert [trigger for _, trigger, _ in found("pull_request_target", quiet)] == ["pull_request_target"]


def test_a_workflow_that_runs_after_another_one_is_named_where_that_one_may_have_run_for_us() -> None:
    after = "{workflow_run: {workflows: [CI], types: [completed]}}"
    assert found(after) == [
        (9, "workflow_run", "`secrets.DEPLOY_KEY`"),
        (
            1,
            "workflow_run",
            "runs with the base's rights after a workflow ran: look whether it takes over what was built or pushed",
        ),
    ]
    assert found("{workflow_run: {workflows: [CI], branches: [main]}}") == []
    assert found("{workflow_run: {workflows: [CI], branches-ignore: ['agent/**']}}") == []
    assert triggers(f"on: {after}\n{JOB}", OURS, "main") == (), "it is no check of a pull request"


@pytest.mark.parametrize("text", ["a: b: c", "- a\n", "", "x: &a 1\ny: *a\n"])
def test_what_cannot_be_read_is_said(text: str) -> None:
    with pytest.raises(NoWorkflowError, match=r"line [12]: "):
        exposures(text, OURS, "main")


@given(
    st.lists(st.text("agent/*?+[]!-01\\", max_size=8), max_size=4),
    st.text("agent/-01", min_size=1, max_size=9),
)
def test_no_pattern_of_anybody_is_too_much(patterns: list[str], branch: str) -> None:
    assert branch_runs(patterns, branch) in (True, False)
    assert branch_runs([*patterns, "**"], branch)
    assert not branch_runs([*patterns, "!**"], branch)
