from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.events import IssueLabeled
from bot.core.evidence import Evidence
from bot.core.messages_status import status
from bot.core.snapshot import BLOCK_LIMIT, Block, TaskMore, heard, issue_of, read_block, state_block
from bot.core.track import TaskTrack, Track
from bot.core.values import Usage
from tests.core.builders import DANA, REPO, SHA, a_task, a_track

TEXT = st.text(max_size=300)
EVIDENCE = st.builds(Evidence, attempt=st.integers(1, 9), output=TEXT, note=TEXT, messy=st.floats(0, 1))
BEGUN = st.builds(
    TaskTrack,
    id=st.just("T-1"),
    title=TEXT,
    state=st.sampled_from(["todo", "running", "checking", "in_review", "held", "blocked", "reverted"]),
    attempt=st.integers(0, 9),
    run=st.integers(0, 20),
    pull=st.none() | st.integers(1, 10_000),
    note=TEXT,
    mode=st.sampled_from(["fresh", "fix", "conflict", "publish"]),
    fixes=st.integers(0, 3),
    trend=st.lists(st.integers(0, 50), max_size=8).map(tuple),
    feedback=TEXT,
    evidence=st.lists(EVIDENCE, max_size=2).map(tuple),
    decisions=st.lists(st.sampled_from(["rebase", "fix_forward"]), max_size=4).map(tuple),
    reviewed=st.booleans(),
    stopped=st.booleans(),
)


def block_of(track: Track) -> Block:
    block = read_block(status(track, ()))
    assert block is not None
    return block


@given(BEGUN)
def test_what_the_block_says_of_a_task_is_what_the_task_was(task: TaskTrack) -> None:
    block = block_of(a_track(task))
    assert block.tasks["T-1"] == (task.state, task.attempt, task.run, task.pull)
    more = block.more.get("T-1", TaskMore())
    kept = ("mode", "fixes", "trend", "decisions", "reviewed", "stopped", "feedback", "note")
    assert [getattr(more, name) for name in kept] == [getattr(task, name) for name in kept]
    assert [(e.attempt, e.note, e.messy) for e in more.evidence] == [
        (e.attempt, e.note, e.messy) for e in task.evidence
    ]


def test_the_block_keeps_what_is_nowhere_in_git() -> None:
    track = a_track(
        a_task(state="dropped", skipped=True),
        state="paused",
        resume_to="working",
        round=1,
        budget_usd=3.5,
        usage=Usage(10, 20, 0.25, 3),
        runs=4,
        answered=(5, 6),
        stale=True,
        tests=("make test",),
        base_sha=SHA,
        record_pull=9,
    )
    block = block_of(track)
    assert (block.state, block.resume_to, block.budget_usd, block.runs) == ("paused", "working", 3.5, 4)
    assert (block.usage, block.answered) == ((10, 20, 0.25, 3), (5, 6))
    assert (block.stale, block.tests, block.base_sha) == (True, ("make test",), SHA)
    assert (block.backlog_pull, block.record_pull, block.healthy) == (13, 9, True)
    assert (block.by, block.issue_sha256) == ("dana", "0" * 64)
    assert block.more["T-1"].skipped


@pytest.mark.parametrize("count", [200, 5_000])
def test_the_block_of_many_tasks_leaves_room_in_the_comment(count: int) -> None:
    evidence = Evidence(attempt=1, output="x" * 4_000, note="y" * 600, failing=("t",) * 20)
    many = [
        a_task(f"T-{n}", state="blocked", attempt=2, run=3, pull=n, note="z" * 500, feedback="f" * 4_000)
        for n in range(1, 4)
    ]
    many += [a_task(f"T-{n}", state="todo") for n in range(4, count + 1)]
    track = a_track(*(replace(task, evidence=(evidence,) * 4) for task in many), answered=tuple(range(200)))
    text = state_block(track)
    assert len(text) <= BLOCK_LIMIT
    body = status(track, ())
    assert len(body) <= 65_536
    block = read_block(body)
    assert block is not None
    assert block.tasks["T-2"] == ("blocked", 2, 3, 2)


def test_nothing_that_people_write_ends_the_comment_that_hides_the_block() -> None:
    body = status(a_track(a_task(state="blocked", attempt=1, note="--> <!-- @dana --!>")), ())
    block = read_block(body)
    assert block is not None
    assert block.more["T-1"].note == "--> <!-- @dana --!>"
    assert "-->" not in body.partition("gitwright:state ")[2].partition("} -->")[0]


def changed(**fields: object) -> str:
    data = json.loads(
        state_block(a_track(a_task())).removeprefix("<!-- gitwright:state ").removesuffix(" -->")
    )
    return f"<!-- gitwright:state {json.dumps(data | fields)} -->"


def test_what_a_newer_version_adds_is_left_aside() -> None:
    block = read_block(changed(newer={"x": 1}, more={"T-1": {"fixes": 1, "newer": True}}))
    assert block is not None
    assert block.more["T-1"].given() == {"fixes": 1}


@pytest.mark.parametrize(
    "fields",
    [
        {"v": 2},
        {"v": None},
        {"state": "dreaming"},
        {"track": "../x"},
        {"track": "issue-12-r2"},
        {"tasks": {"T-1": ["running", -1, 0, None]}},
        {"tasks": {"T 1": ["running", 1, 0, None]}},
        {"tasks": {"T-1": ["running"]}},
        {"budget_usd": -1},
        {"answered": "all"},
        {"runs": 1e99},
    ],
)
def test_a_block_that_says_something_else_is_not_believed(fields: dict[str, object]) -> None:
    assert read_block(changed(**fields)) is None


def test_a_comment_without_a_block_tells_nothing() -> None:
    assert read_block("<!-- gitwright:status track=issue-12 -->\nHello") is None
    assert read_block("<!-- gitwright:state {oops} -->") is None


def test_a_track_names_its_issue() -> None:
    assert [issue_of("issue-12"), issue_of("issue-7-r3")] == [12, 7]


def test_only_what_is_older_than_the_comment_was_heard_before() -> None:
    track = a_track(heard_until="2026-11-22T12:00:00Z")
    event = IssueLabeled(repo=REPO, issue=12, label="agent:plan", actor=DANA, at="2026-11-22T12:00:00Z")
    assert heard(track, event)
    assert not heard(track, replace(event, at="2026-11-22T12:00:01Z"))
    assert not heard(track, replace(event, at=""))
    assert not heard(a_track(), event)
