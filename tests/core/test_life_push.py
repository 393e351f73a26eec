"""A task whose finished work waits for a person: what holds meanwhile, what ends it, and what is never mixed up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import (
    boxes,
    leases,
    life_hold,
    life_pulls,
    life_push,
    life_tasks,
    messages_status,
    push_gate,
    snapshot,
)
from bot.core.actions import CancelRuns, Decision, PostComment, RunTask
from bot.core.boxes import Box
from bot.core.config import RepoConfig
from bot.core.events import PullClosed, PushAsked, TaskProposed
from bot.core.life_work import start_ready, task_proposed
from bot.core.push_gate import PushAsk
from bot.core.track import TaskTrack, Track
from tests.core.builders import DANA, NOW, REPO, a_task, a_track

SHA, OTHER = "a" * 40, "b" * 40
ASK = PushAsk(sha=SHA, files=2, plus=7, minus=1, outside=("x.py",), entry=("setup.py",), tests="green")
RUNNING = a_task(state="running", attempt=1, run=3, branch="agent/issue-12/T-1-a1")
OPEN = replace(RUNNING, mode="fix", pull=20, head_sha=OTHER, from_sha=OTHER)


def ask(task: TaskTrack = RUNNING, of: PushAsk = ASK, *more: TaskTrack) -> Decision:
    event = PushAsked(task="T-1", attempt=1, run=3, ask=of, text="no", details="the diff")
    return life_push.push_asked(a_track(task, *more), event, NOW)


def asked(task: TaskTrack = RUNNING, *more: TaskTrack) -> Track:
    track = ask(task, ASK, *more).track
    assert track is not None
    return track


def the(track: Track | None) -> TaskTrack:
    assert track is not None
    found = track.task("T-1")
    assert found is not None
    return found


def test_it_holds_its_files_and_a_place_but_no_worker_and_nothing_starts_it() -> None:
    other = a_task("T-2", scope=("x.py",))
    track = asked(RUNNING, other, a_task("T-3"))
    assert the(track).asks
    assert leases.holds(the(track))
    assert "x.py" in leases.held(track)[0].paths
    assert [t.state for t in track.tasks] == ["waiting", "waiting", "running"]
    assert start_ready(track, NOW)[1] == ()
    assert track.state == "working"
    # Nor where tasks need not keep out of one another's way.
    free = replace(asked(), config=RepoConfig.model_validate({"overlap": "allow"}))
    assert start_ready(free, NOW) == (free, ())


def test_yes_runs_no_agent_and_publishes_the_very_commit() -> None:
    decision = life_push.approve(asked(), the(asked()), SHA[:7], "dana", NOW)
    assert isinstance(decision, Decision)
    assert decision.actions[0] == RunTask(task="T-1", attempt=1, run=3, mode="publish", head=SHA)
    assert the(decision.track).approved == SHA
    assert the(decision.track).state == "running"
    proposed = TaskProposed(task="T-1", attempt=1, run=3, pull=20, branch="b", head_sha=SHA)
    done = the(task_proposed(decision.track, proposed, NOW).track)  # type: ignore[arg-type]
    assert (done.state, done.ask, done.approved) == ("checking", None, "")


@pytest.mark.parametrize("sha", [OTHER[:7], "aaa", "a b"])
def test_yes_to_something_else_is_no_yes(sha: str) -> None:
    answer = life_push.approve(asked(), the(asked()), sha, "dana", NOW)
    assert isinstance(answer, str)
    assert f"`/agent push T-1 {SHA[:7]}`" in answer


def test_a_box_of_an_older_question_is_not_fresh() -> None:
    first = asked()
    older = boxes.offered(first, "push", "T-1")
    second = life_push.push_asked(
        replace(first, tasks=(replace(the(first), state="running"),)),
        PushAsked(task="T-1", attempt=1, run=3, ask=replace(ASK, sha=OTHER)),
        NOW,
    ).track
    assert second is not None
    assert boxes.fresh(first, older)
    assert not boxes.fresh(second, older)
    assert boxes.fresh(second, Box("push", "T-1", 2))


def test_pausing_and_stopping_lose_nothing() -> None:
    for hold in (life_hold.pause, life_hold.stop):
        held = hold(asked(), NOW, "dana").track
        assert held is not None
        back = life_hold.resume(held, NOW, "dana")
        assert the(back.track).asks
        assert not [action for action in back.actions if isinstance(action, RunTask)]


def test_a_stop_closes_the_open_pull_request_and_what_waits_for_it_waits_again_afterwards() -> None:
    stopped = life_hold.stop(asked(OPEN), NOW, "dana").track
    assert (the(stopped).state, the(stopped).stopped) == ("held", True)
    assert stopped is not None
    back = life_hold.resume(stopped, NOW, "dana").track
    assert back is not None
    again = life_pulls.task_reopened(back, the(back), NOW, "dana").track
    assert the(again).asks


def test_no_is_said_by_the_usual_commands() -> None:
    track = asked()
    dropped = life_tasks.skip(track, the(track), "dana", NOW)
    assert isinstance(dropped, Decision)
    assert CancelRuns(tasks=("T-1",)) in dropped.actions
    assert not the(dropped.track).asks
    again = life_tasks.retry(track, the(track), "dana", NOW)
    assert isinstance(again, Decision)
    assert (the(again.track).attempt, the(again.track).ask) == (2, None)


def test_merging_the_pull_request_meanwhile_ends_the_question() -> None:
    closed = PullClosed(
        repo=REPO,
        number=20,
        head_branch="b",
        head_sha=OTHER,
        base_branch="main",
        merged=True,
        merge_sha=SHA,
        actor=DANA,
    )
    track = life_pulls.task_closed(asked(OPEN), the(asked(OPEN)), closed, NOW).track
    assert the(track).state == "done"
    assert life_push.pushable(the(track)) is None


def test_a_refusal_blocks_and_each_one_is_told() -> None:
    first = ask(RUNNING, replace(ASK, refused="a rule"))
    assert the(first.track).state == "blocked"
    said = [action.body for action in first.actions if isinstance(action, PostComment)]
    assert "`/agent push T-1 aaaaaaa`: push the same commit again" in said[0]
    assert life_push.pushable(the(first.track)) is not None


def test_an_order_of_before_asks_nobody() -> None:
    late = replace(RUNNING, run=4)
    assert ask(late).actions == ()


def test_the_status_names_what_is_waited_for_and_the_block_is_read_back() -> None:
    track = asked()
    text = messages_status.status(track, ())
    assert "**Waits for you:** OK the push of `T-1`." in text
    assert "`setup.py`" in text
    block = snapshot.read_block(text)
    assert block is not None
    assert block.more["T-1"].ask == ASK


@given(st.sampled_from(["auto", "direct", "ask"]), st.booleans(), st.booleans())
def test_who_is_asked(mode: str, private: bool, local: bool) -> None:
    wanted = push_gate.wanted(mode, private=private, local=local)
    assert wanted == (not local and (mode == "ask" or (mode == "auto" and not private)))
    assert RepoConfig().push == "auto"


def test_files_that_builds_start_from_are_named_at_any_depth() -> None:
    changed = ["a/Makefile", "src/makefile.py", "web/package.json", "conftest.py", "tools/run.sh", "a.py"]
    assert push_gate.entry_files(changed) == ("a/Makefile", "web/package.json", "conftest.py", "tools/run.sh")
