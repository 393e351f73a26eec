from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import life_checks
from bot.core.actions import CheckHealth, CloseTrack, Decision, RebaseTask, ReportBacklog, RunTask, SyncStatus
from bot.core.backlog import Loaded
from bot.core.checks import Rollup
from bot.core.config import RepoConfig
from bot.core.life_hold import held, resume
from bot.core.messages_status import status
from bot.core.plan_text import frozen_of, frozen_sha256, plan_text
from bot.core.planning import MergedPlan
from bot.core.restoring import Attempt, Remains, rebuilt, restored, swept
from bot.core.snapshot import read_block
from bot.core.track import ENDED, Frozen, TaskState, Track, TrackState
from bot.core.values import Pull
from tests.core.builders import GOOD, NOW, REPO, SHA, a_task, a_track

TASK_STATES: tuple[TaskState, ...] = (
    "todo", "waiting", "running", "checking", "in_review", "held", "blocked", "reverted", "done", "dropped",
)  # fmt: skip
TRACK_STATES: tuple[TrackState, ...] = (
    "planning", "review", "working", "paused", "stopped", "blocked", "done", "cancelled", "superseded",
)  # fmt: skip


def a_pull(number: int = 20, **changes: Any) -> Pull:
    values: dict[str, Any] = {
        "number": number,
        "state": "open",
        "title": "",
        "body": "",
        "head_branch": "agent/issue-12/T-1-a1",
        "head_sha": "b" * 40,
        "base_branch": "main",
        "base_sha": SHA,
    }
    return Pull(**(values | changes))


def remains(track: Track, **changes: Any) -> Remains:
    block = read_block(status(track, ()))
    assert block is not None
    values: dict[str, Any] = {
        "repo": REPO,
        "issue": 12,
        "block": block,
        "written_at": "2026-11-22T11:30:00Z",
        "config": RepoConfig(),
        "frozen": track.frozen,
        "loaded": GOOD if track.tasks else None,
    }
    return Remains(**(values | changes))


def line(id_: str, value: str) -> Loaded:
    assert GOOD.backlog is not None
    tasks = tuple(
        task.model_copy(update={"status": value}) if task.id == id_ else task for task in GOOD.backlog.tasks
    )
    return Loaded(GOOD.backlog.model_copy(update={"tasks": tasks}), ())


def first(seen: Remains) -> Any:
    return rebuilt(seen, NOW).tasks[0]


@given(st.sampled_from(TRACK_STATES), st.sampled_from(TASK_STATES), st.booleans())
def test_every_track_is_taken_up_and_one_that_has_ended_causes_nothing(
    state: TrackState, task: TaskState, begun: bool
) -> None:
    one = a_task(state=task, attempt=int(begun), run=int(begun))
    track = a_track(
        one, a_task("T-2"), state=state, resume_to="working" if state in {"paused", "stopped"} else None
    )
    seen = remains(track)
    decision = restored(rebuilt(seen, NOW), seen, NOW)
    assert decision.track is not None
    assert decision.track.id == track.id
    assert (decision.track.state == state) or state not in ENDED
    if state in ENDED:
        assert (decision.actions, decision.timers) == ((), ())
    else:
        assert any(isinstance(action, SyncStatus) for action in decision.actions)


def test_words_come_from_the_merged_file_and_the_rest_from_the_block() -> None:
    track = a_track(a_task(state="blocked", attempt=2, run=3, pull=20, fixes=1, decisions=("rebase",)))
    task = first(remains(track))
    assert (task.title, task.scope, task.acceptance) == ("One", ("a.py",), ("It is.",))
    assert (task.state, task.attempt, task.run, task.fixes) == ("blocked", 2, 3, 1)
    assert (task.branch, task.decisions) == ("agent/issue-12/T-1-a2", ("rebase",))


def test_a_merged_pull_request_wins_over_the_line_and_the_block() -> None:
    track = a_track(a_task(state="in_review", attempt=1, run=1, pull=20))
    merged = {"T-1": Attempt(number=1, pull=a_pull(state="closed", merged=True, merge_sha=SHA))}
    assert first(remains(track, attempts=merged, loaded=line("T-1", "done"))).state == "done"


def test_a_line_set_back_after_the_merge_asks_and_never_runs() -> None:
    track = a_track(a_task(state="in_review", attempt=1, run=1, pull=20))
    merged = {"T-1": Attempt(number=1, pull=a_pull(state="closed", merged=True, merge_sha=SHA))}
    seen = remains(track, attempts=merged, loaded=line("T-1", "todo"))
    assert first(seen).state == "reverted"
    decision = restored(rebuilt(seen, NOW), seen, NOW)
    assert not [a for a in decision.actions if isinstance(a, RunTask) and a.task == "T-1"]


def test_a_line_wins_over_the_block_where_a_task_is_stuck_or_has_not_begun() -> None:
    assert (
        first(remains(a_track(a_task(state="blocked", attempt=1)), loaded=line("T-1", "done"))).state
        == "done"
    )
    assert first(remains(a_track(a_task(state="todo")), loaded=line("T-1", "dropped"))).state == "dropped"


def test_a_task_that_a_command_dropped_stays_dropped_although_no_line_says_so() -> None:
    assert first(remains(a_track(a_task(state="dropped", skipped=True)))).state == "dropped"


def test_a_task_blocked_by_red_checks_goes_on_once_they_are_green() -> None:
    red = f"{SHA} red tests"
    blocked = a_task(state="blocked", attempt=1, run=1, pull=20, head_sha=SHA, judged=red)
    track = rebuilt(remains(a_track(blocked)), NOW)
    green = life_checks.checks_read(track, track.tasks[0], Rollup("green"), None, NOW)
    assert green.track is not None
    assert green.track.tasks[0].state == "in_review"


def test_what_was_being_decided_about_red_checks_is_decided_again() -> None:
    checking = a_task(state="checking", attempt=1, run=1, pull=20, head_sha=SHA, judged=f"{SHA} red tests")
    assert first(remains(a_track(checking))).judged == ""


def test_a_rebase_that_was_under_way_begins_again_whatever_was_told_meanwhile() -> None:
    moving = a_task(state="checking", attempt=1, run=1, pull=20, head_sha=SHA, rebasing=SHA, note="1 running")
    seen = remains(a_track(moving))
    decision = restored(rebuilt(seen, NOW), seen, NOW)
    assert [a for a in decision.actions if isinstance(a, RebaseTask)] == [
        RebaseTask(task="T-1", attempt=1, head_sha=SHA)
    ]


@pytest.mark.parametrize(
    ("task", "pull", "written"),
    [
        ({"state": "checking"}, {"state": "closed", "merged": True, "merge_sha": SHA}, "done"),
        ({"state": "checking"}, {"state": "closed"}, "todo"),
        ({"state": "held", "stopped": True}, {"state": "closed"}, "todo"),
    ],
)
def test_what_ended_while_the_data_was_away_is_not_rebased(
    task: dict[str, Any], pull: dict[str, Any], written: str
) -> None:
    moving = a_task(attempt=1, run=1, pull=20, head_sha=SHA, rebasing=SHA, **task)
    attempts = {"T-1": Attempt(number=1, pull=a_pull(head_sha=SHA, **pull))}
    seen = remains(a_track(moving), attempts=attempts, loaded=line("T-1", written))
    before = rebuilt(seen, NOW)
    decision = restored(before, seen, NOW)
    assert not [a for a in decision.actions if isinstance(a, RebaseTask)]
    assert decision.track is not None
    assert decision.track.tasks[0].state == before.tasks[0].state != "checking"


def test_a_lost_run_is_started_again_as_the_next_run_of_the_same_attempt() -> None:
    seen = remains(a_track(a_task(state="running", attempt=2, run=3)))
    decision = restored(rebuilt(seen, NOW), seen, NOW)
    assert [a for a in decision.actions if isinstance(a, RunTask)] == [RunTask(task="T-1", attempt=2, run=4)]


@pytest.mark.parametrize("known", [None, "b" * 40])
def test_a_lost_fix_is_started_again_from_the_head_that_it_was_to_mend(known: str | None) -> None:
    head = "b" * 40
    began = "c" * 40 if known else head  # a second fix goes on from the first, which was not pushed
    lost = a_task(
        state="running", attempt=1, run=2, pull=20, mode="fix", from_sha=began, feedback="It fails."
    )
    lost = replace(lost, head_sha=known)
    seen = remains(a_track(lost), attempts={"T-1": Attempt(number=1, pull=a_pull(head_sha=head))})
    decision = restored(rebuilt(seen, NOW), seen, NOW)
    runs = [a for a in decision.actions if isinstance(a, RunTask)]
    assert runs == [RunTask(task="T-1", attempt=1, run=3, mode="fix", head=head)]
    assert decision.track is not None
    assert decision.track.tasks[0].feedback == "It fails."


def test_what_a_lost_run_had_pushed_already_is_not_made_again() -> None:
    seen = remains(
        a_track(a_task(state="running", attempt=1, run=1)),
        attempts={"T-1": Attempt(number=1, pull=a_pull())},
    )
    decision = restored(rebuilt(seen, NOW), seen, NOW)
    assert decision.track is not None
    assert (decision.track.tasks[0].state, decision.track.tasks[0].pull) == ("checking", 20)
    assert not [a for a in decision.actions if isinstance(a, RunTask) and a.task == "T-1"]
    assert [timer.id for timer in decision.timers] == ["checks:T-1"]


def test_a_later_attempt_than_the_block_knows_of_is_followed() -> None:
    newer = {"T-1": Attempt(number=2, pull=a_pull(21, head_branch="agent/issue-12/T-1-a2"))}
    task = first(remains(a_track(a_task(state="in_review", attempt=1, run=1, pull=20)), attempts=newer))
    assert (task.state, task.attempt, task.pull, task.replaced) == ("checking", 2, 21, (20,))
    assert task.branch == "agent/issue-12/T-1-a2"


def test_an_attempt_that_only_the_closed_pull_request_tells_of_is_begun() -> None:
    seen = remains(
        a_track(a_task(state="in_review", attempt=1, run=1, pull=20)), attempts={"T-1": Attempt(number=2)}
    )
    decision = restored(rebuilt(seen, NOW), seen, NOW)
    assert [a for a in decision.actions if isinstance(a, RunTask)] == [RunTask(task="T-1", attempt=2, run=3)]
    assert decision.track is not None
    assert decision.track.tasks[0].pull is None


def test_a_pull_request_closed_meanwhile_holds_its_task() -> None:
    closed = {"T-1": Attempt(number=1, pull=a_pull(state="closed"))}
    assert (
        first(remains(a_track(a_task(state="in_review", attempt=1, pull=20)), attempts=closed)).state
        == "held"
    )


def test_a_task_that_people_wanted_again_still_waits_for_its_turn() -> None:
    waits = a_track(
        a_task(state="waiting", attempt=1, run=1, replaced=(20,)), a_task("T-2", state="running", attempt=1)
    )
    closed = {"T-1": Attempt(number=1, pull=a_pull(state="closed"))}
    task = first(remains(waits, attempts=closed))
    assert (task.state, task.attempt, task.pull) == ("waiting", 1, None)


def test_while_planning_everything_begins_again() -> None:
    seen = remains(a_track())
    decision = restored(rebuilt(seen, NOW), seen, NOW)
    assert [type(a) for a in decision.actions] == [SyncStatus, CheckHealth]


def test_an_open_backlog_waits_for_review_again() -> None:
    seen = remains(a_track(state="planning"), backlog_pull=a_pull(13, head_branch="agent/issue-12/backlog"))
    decision = restored(rebuilt(seen, NOW), seen, NOW)
    assert decision.track is not None
    assert (decision.track.state, decision.track.backlog_pull) == ("review", 13)
    assert isinstance(decision.actions[0], ReportBacklog)


def test_a_paused_track_starts_nothing_before_it_is_resumed() -> None:
    seen = remains(a_track(a_task(state="running", attempt=1, run=1), state="paused", resume_to="working"))
    decision = restored(rebuilt(seen, NOW), seen, NOW)
    assert decision.track is not None
    assert decision.track.state == "paused"
    assert [type(a) for a in decision.actions] == [SyncStatus]
    assert len(decision.track.put_off) == 1


def test_a_track_whose_last_task_is_merged_is_ended() -> None:
    seen = remains(a_track(a_task(state="done", attempt=1), a_task("T-2", state="done", attempt=1)))
    settled = replace(seen, loaded=line("T-1", "done"), block=seen.block)
    track = rebuilt(settled, NOW)
    track = replace(track, tasks=tuple(replace(t, state="done") for t in track.tasks))
    assert any(isinstance(a, CloseTrack) for a in restored(track, settled, NOW).actions)


def test_a_sweep_revives_an_end_that_was_given_up() -> None:
    track = a_track(a_task(state="done"), state="blocked", problem="`close_track` failed")
    decision = swept(track, REPO, NOW)
    assert any(isinstance(a, CloseTrack) for a in decision.actions)
    waiting = replace(track, record_pull=9)
    assert swept(waiting, REPO, NOW).actions == ()


def test_a_sweep_ends_a_paused_track_too_and_follows_its_repository() -> None:
    paused = a_track(a_task(state="done"), state="paused", resume_to="working")
    assert CloseTrack() in held(paused, lambda track: swept(track, REPO, NOW)).actions
    moved = held(paused, lambda track: swept(track, replace(REPO, name="hello"), NOW)).track
    assert moved is not None
    assert (moved.state, moved.repo.slug) == ("paused", "acme/hello")


@given(st.sampled_from(["running", "checking", "in_review", "waiting", "blocked", "held"]), st.booleans())
def test_what_was_put_off_is_not_stored_it_follows_from_the_rest(task: TaskState, lost: bool) -> None:
    one = a_task(
        state=task,
        attempt=1,
        run=2,
        pull=20 if task in {"checking", "in_review"} else None,
        head_sha="b" * 40,
    )
    run = RunTask(task="T-1", attempt=1, run=2)
    paused = a_track(one, state="paused", resume_to="working")
    if task == "running":
        paused = held(paused, lambda track: Decision(track=track, actions=(run,))).track or paused
    if lost:
        seen = remains(paused, attempts={"T-1": Attempt(number=1, pull=a_pull())} if one.pull else {})
        paused = restored(rebuilt(seen, NOW), seen, NOW).track or paused
    resumed = resume(paused, NOW, "dana")
    started = [a.task for a in resumed.actions if isinstance(a, RunTask)]
    assert started == (["T-1"] if task in {"running", "waiting"} else [])
    assert bool(resumed.timers) == (task in {"checking", "in_review"})


def test_a_sweep_follows_a_renamed_repository() -> None:
    decision = swept(a_track(a_task()), replace(REPO, name="hello", default_branch="trunk"), NOW)
    assert decision.track is not None
    assert (decision.track.repo.slug, decision.track.repo.default_branch) == ("acme/hello", "trunk")
    assert swept(a_track(a_task()), REPO, NOW).actions == ()


@given(st.text(), st.text(), st.lists(st.text(), max_size=3))
def test_the_frozen_text_is_read_back_from_the_plan_as_it_was(title: str, body: str, said: list[str]) -> None:
    digest = frozen_sha256(title, body, said)
    frozen = Frozen(title=title, body=body, comments=tuple(said), sha256=digest, by="dana")
    written = plan_text("issue-12", 12, MergedPlan(summary="Do."), frozen)
    assert frozen_of(written, "dana") == frozen


def test_a_frozen_text_that_somebody_changed_is_not_believed() -> None:
    digest = frozen_sha256("A", "B", [])
    frozen = Frozen(title="A", body="B", comments=(), sha256=digest, by="dana")
    written = plan_text("issue-12", 12, MergedPlan(summary="Do."), frozen)
    assert frozen_of(written.replace('"body": "B"', '"body": "C"'), "dana") is None
