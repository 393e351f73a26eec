"""The life of a track: what each thing that happens makes of it. Values in, values out."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import backlog, life_backlog, life_checks, life_planning, life_pulls, life_repair, life_work
from bot.core.actions import (
    Action,
    CheckHealth,
    CloseTrack,
    Decision,
    FoldPlan,
    PostComment,
    RunTask,
    SyncStatus,
)
from bot.core.checks import Rollup, Verdict
from bot.core.config import RepoConfig
from bot.core.events import (
    ActionFailed,
    BacklogProposed,
    HealthChecked,
    PlanFailed,
    PlanMade,
    PullClosed,
    TaskFailed,
    TaskProposed,
)
from bot.core.health import Finding
from bot.core.ids import identity
from bot.core.leases import Lease
from bot.core.messages_status import waits
from bot.core.planning import MergedPlan, PlannedTask
from bot.core.track import TaskState, Track
from bot.core.values import Usage
from tests.core.builders import DANA, GOOD, NOW, REPO, SHA, a_task, a_track


def kinds(decision: Decision) -> list[str]:
    return [action.kind for action in decision.actions]


def closed(number: int, *, merged: bool = True, base: str = "main", branch: str = "b") -> PullClosed:
    return PullClosed(
        repo=REPO,
        number=number,
        head_branch=branch,
        head_sha=SHA,
        base_branch=base,
        merged=merged,
        merge_sha=SHA if merged else None,
        actor=DANA,
    )


def kept(decision: Decision) -> Track:
    assert decision.track is not None
    return decision.track


# --- planning ---


def test_a_blocking_finding_stops_and_is_told() -> None:
    red = Finding("TOOL", "blocking", "git is too old.", "Install git 2.38.")
    event = HealthChecked(findings=(red,), base_sha=SHA, config=RepoConfig())
    decision = life_work.health_checked(a_track(), event, NOW)
    assert kept(decision).state == "blocked"
    assert kinds(decision) == ["post_comment", "sync_status"]
    assert "Install git 2.38." in kept(decision).problem


def test_no_agreement_blocks_and_names_what_was_proposed() -> None:
    plan = MergedPlan(minority=(PlannedTask(key="x", title="Only mine"),), planners=3, proposals=2)
    decision = life_planning.plan_made(a_track(), PlanMade(plan=plan, usage=Usage()), (), NOW)
    assert kept(decision).state == "blocked"
    assert "Only mine" in kept(decision).problem
    assert "question" not in kept(decision).problem


@pytest.mark.parametrize(("round_", "wanted"), [(1, []), (2, [FoldPlan()])])
def test_a_newer_rounds_plan_folds_the_older_one(round_: int, wanted: list[Action]) -> None:
    plan = MergedPlan(tasks=(PlannedTask(key="x", title="Agreed"),), planners=3, proposals=2)
    decision = life_planning.plan_made(a_track(round=round_), PlanMade(plan=plan, usage=Usage()), (), NOW)
    assert [action for action in decision.actions if isinstance(action, FoldPlan)] == wanted


def test_no_agreement_shows_what_the_planners_would_like_to_know_bounded_and_as_plain_text() -> None:
    questions = ("Greet @all <!-- -->?", *(f"Question {number}: {'why? ' * 100}" for number in range(90)))
    plan = MergedPlan(
        minority=(PlannedTask(key="x", title="Only mine"),), questions=questions, planners=3, proposals=2
    )
    text = kept(life_planning.plan_made(a_track(), PlanMade(plan=plan, usage=Usage()), (), NOW)).problem
    assert "**Open questions**\n\n- Greet" in text
    assert "Question 1: why?" in text
    assert "Greet `@all`" in text
    assert "<!--" not in text
    assert len(text) <= 12_000


def test_a_backlog_that_was_merged_before_it_was_noted_stays_merged() -> None:
    track = a_track(a_task())
    event = BacklogProposed(pull=13, branch="agent/issue-12/backlog", head_sha=SHA, tasks=1)
    decision = life_planning.backlog_proposed(track, event, NOW)
    assert (kept(decision).state, decision.actions) == ("working", ())


# --- the backlog is merged ---


def test_the_merged_file_is_the_contract_and_work_waits_for_health() -> None:
    decision = life_backlog.backlog_closed(a_track(state="review", backlog_pull=13), closed(13), GOOD, NOW)
    assert [task.id for task in kept(decision).tasks] == ["T-1", "T-2"]
    assert decision.actions == (CheckHealth(before="work"), SyncStatus())


def test_work_starts_when_health_is_good_and_only_what_depends_on_nothing() -> None:
    track = kept(life_backlog.backlog_closed(a_track(state="review"), closed(13), GOOD, NOW))
    event = HealthChecked(findings=(), base_sha=SHA, config=RepoConfig(), before="work")
    decision = life_work.health_checked(track, event, NOW)
    assert decision.actions == (RunTask(task="T-1", attempt=1, run=1), SyncStatus())
    assert kept(decision).task("T-1").branch == "agent/issue-12/T-1-a1"  # type: ignore[union-attr]


def test_closed_unmerged_is_cancelled_and_said() -> None:
    decision = life_backlog.backlog_closed(a_track(state="review"), closed(13, merged=False), None, NOW)
    assert kept(decision).state == "cancelled"
    assert kinds(decision) == ["post_comment", "sync_status"]


def test_merged_elsewhere_starts_nothing() -> None:
    decision = life_backlog.backlog_closed(a_track(state="review"), closed(13, base="dev"), GOOD, NOW)
    assert kept(decision).state == "blocked"
    assert not kept(decision).tasks


def test_an_invalid_file_starts_nothing_and_its_lines_are_named() -> None:
    decision = life_backlog.backlog_closed(
        a_track(state="review"), closed(13), backlog.load("version: 2\n"), NOW
    )
    assert not any(isinstance(action, RunTask | CheckHealth) for action in decision.actions)
    assert "line 1" in kept(decision).problem


# --- work ---


def test_a_merged_task_frees_its_dependents() -> None:
    track = a_track(
        a_task("T-1", state="in_review", pull=20, attempt=1, run=1), a_task("T-2", depends_on=("T-1",))
    )
    decision = life_pulls.task_closed(track, track.tasks[0], closed(20), NOW)
    assert RunTask(task="T-2", attempt=1, run=1) in decision.actions


def test_the_last_merged_task_closes_the_track() -> None:
    track = a_track(a_task("T-1", state="in_review", pull=20), a_task("T-2", state="dropped"))
    assert life_pulls.task_closed(track, track.tasks[0], closed(20), NOW).actions == (CloseTrack(),)


def test_a_task_merged_before_its_pull_request_was_noted_is_done_for_good() -> None:
    track = a_track(
        a_task("T-1", state="running", attempt=1, run=1, branch="b"), a_task("T-2", depends_on=("T-1",))
    )
    track = kept(life_pulls.task_closed(track, track.tasks[0], closed(20), NOW))
    late = TaskProposed(task="T-1", attempt=1, run=1, pull=20, branch="b", head_sha=SHA)
    decision = life_work.task_proposed(track, late, NOW)
    assert kept(decision).task("T-1").state == "done"  # type: ignore[union-attr]
    assert decision.actions == ()


def test_a_note_that_came_when_the_agent_had_ended_is_worked_on_at_once() -> None:
    track = a_track(a_task("T-1", state="running", attempt=1, run=1, branch="b", mode="fix", pull=20))
    event = TaskProposed(
        task="T-1", attempt=1, run=1, pull=20, branch="b", head_sha=SHA, unheard=("Smaller.", "Faster.")
    )
    decision = life_work.task_proposed(track, event, NOW)
    assert RunTask(task="T-1", attempt=1, run=2, mode="fix", head=SHA) in decision.actions
    task = kept(decision).task("T-1")
    assert task is not None
    assert (task.state, task.feedback, task.fixes) == ("running", "Smaller.\n\nFaster.", 0)


def test_the_merged_pull_request_of_a_task_that_is_done_again_is_no_replaced_one() -> None:
    reverted = a_task("T-1", state="reverted", attempt=1, pull=20)
    track, actions = life_repair.put_back(a_track(reverted), reverted, why="a maintainer asked for it")
    assert track.tasks[0].replaced == ()
    assert actions == ()


def test_a_crash_is_tried_again_up_to_the_limit_and_then_a_person_is_asked() -> None:
    track = a_track(a_task("T-1", state="running", attempt=1, run=1))
    seen = []
    for attempt in range(1, 10):
        failed = TaskFailed(task="T-1", attempt=attempt, run=attempt, reason="crash", text="It fell over.")
        decision = life_work.task_failed(track, failed, NOW)
        track = kept(decision)
        seen.append(track.tasks[0].state)
        if track.tasks[0].state == "blocked":
            break
    assert seen == ["running"] * 3 + ["blocked"]
    assert track.state == "blocked"
    assert any(
        isinstance(action, PostComment) and "What you can do" in action.body for action in decision.actions
    )


def test_red_work_is_not_tried_again_blindly() -> None:
    track = a_track(a_task("T-1", state="running", attempt=1, run=1))
    failed = TaskFailed(task="T-1", attempt=1, run=1, reason="tests", text="red", details="```\nE\n```")
    assert "run_task" not in kinds(life_work.task_failed(track, failed, NOW))


def test_a_result_of_an_older_attempt_changes_nothing() -> None:
    track = a_track(a_task("T-1", state="running", attempt=2, run=2))
    failed = TaskFailed(task="T-1", attempt=1, run=1, reason="crash", text="late")
    assert life_work.task_failed(track, failed, NOW).actions == ()


def test_a_track_with_nothing_going_on_is_blocked_and_works_again_when_mended() -> None:
    track = life_work.assessed(
        a_track(a_task("T-1", state="blocked", note="red"), a_task("T-2", depends_on=("T-1",)))
    )
    assert track.state == "blocked"
    decision = life_pulls.task_closed(track, track.tasks[0], closed(20, branch=""), NOW)
    assert kept(decision).state == "working"
    assert RunTask(task="T-2", attempt=1, run=1) in decision.actions


def test_a_track_whose_merged_line_was_set_back_is_blocked_until_a_person_decides() -> None:
    reverted = a_task("T-1", state="reverted", attempt=1, pull=20, note="its line was set back to todo")
    track = life_work.assessed(a_track(reverted, a_task("T-2", depends_on=("T-1",))))
    assert track.state == "blocked"
    assert "`T-1` is reverted" in track.problem
    assert "`/agent retry <task>`, `/agent skip <task>`" in track.problem


def test_what_goes_on_by_itself_blocks_no_track() -> None:
    stuck = a_task("T-1", state="blocked", note="red")
    waits = a_task("T-2", state="waiting", scope=("a.py",))
    foreign = (Lease("issue-9/T-1", ("a.py",)),)
    assert life_work.assessed(a_track(stuck, waits, foreign=foreign)).state == "working"
    assert life_work.assessed(a_track(stuck, replace(waits, waits_for_base=True))).state == "working"
    assert life_work.assessed(a_track(stuck, waits)).state == "blocked"


def test_why_a_track_is_blocked_stands_in_its_history_in_words() -> None:
    decision = life_planning.plan_failed(a_track(), PlanFailed(failures=("It crashed",)), NOW)
    assert kept(decision).history[-1].why == "no planning agent gave a usable plan"
    red = Finding("TOOL", "blocking", "git is too old.", "Install git 2.38.")
    event = HealthChecked(findings=(red,), base_sha=SHA, config=RepoConfig())
    assert kept(life_work.health_checked(a_track(), event, NOW)).history[-1].why == "git is too old."


def test_a_blocked_track_never_says_that_nothing_waits_for_people() -> None:
    red = Finding("BASELINE", "blocking", "Its tests fail.", "Mend them.")
    event = HealthChecked(findings=(red,), base_sha=SHA, config=RepoConfig(), before="work")
    track = kept(life_work.health_checked(a_track(a_task(), healthy=False), event, NOW))
    assert waits(track) == "**Waits for you:** see below what is wrong and what to do."


def test_what_waits_for_the_default_branch_is_named() -> None:
    waiting = a_task(state="checking", waits_for_base=True, note="fails on main too")
    assert "**Waits for others:** `T-1`: fails on main too." in waits(a_track(waiting))


@given(
    st.sampled_from(["run_task", "assess_task", "rebase_task", "make_plan", "check_health", "close_track"])
)
def test_a_step_that_is_given_up_says_what_a_person_can_do(what: str) -> None:
    of_task = what.endswith("_task")
    task = a_task("T-1", state="running" if of_task else "done", attempt=1, run=1)
    track = a_track() if what in {"make_plan", "check_health"} else a_track(task)
    event = ActionFailed(action="7/x#1", what=what, error="500", task="T-1" if of_task else None)
    decision = life_work.action_failed(track, event, NOW)
    assert kept(decision).state == "blocked"
    (said,) = (action for action in decision.actions if isinstance(action, PostComment))
    assert any(way in said.body for way in ("/agent retry T-1", "comment `/agent plan`", "tried again"))


def test_a_run_of_a_task_that_is_gone_blocks_nothing_when_it_fails() -> None:
    event = ActionFailed(action="7/x#1", what="run_task", error="500", task="T-9")
    assert kept(life_work.action_failed(a_track(a_task()), event, NOW)).state == "working"


def test_a_failing_status_comment_begins_no_chain() -> None:
    event = ActionFailed(action="7/issue-12#x.1", what="sync_status", error="403")
    assert life_work.action_failed(a_track(), event, NOW).actions == ()


VERDICTS: tuple[Verdict, ...] = (
    "missing",
    "running",
    "awaiting_approval",
    "conflicted",
    "red",
    "green",
    "no_ci",
)
STATES: tuple[TaskState, ...] = (
    "todo",
    "running",
    "checking",
    "in_review",
    "held",
    "blocked",
    "done",
    "dropped",
)


@given(st.sampled_from(VERDICTS), st.sampled_from(STATES), st.integers(0, 9))
def test_checks_move_open_pull_requests_only_and_what_waits_is_looked_at_again(
    verdict: Verdict, state: TaskState, waited: int
) -> None:
    track = a_track(a_task("T-1", state=state, pull=20, head_sha=SHA, judged=f"{SHA} red lint"))
    decision = life_checks.checks_read(track, track.tasks[0], Rollup(verdict, ("ci",)), waited, NOW)
    if state not in {"checking", "in_review", "blocked"}:
        assert decision == Decision(track=track)
        return
    now = kept(decision).tasks[0]
    assert (now.state == "in_review") == (verdict in {"green", "no_ci"})
    assert bool(decision.timers) == (verdict in {"missing", "running", "awaiting_approval"})


@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=8))
def test_limits_hold_whatever_the_states(states: list[TaskState]) -> None:
    tasks = [
        a_task(f"T-{n}", state=state, pull=100 + n if state != "todo" else None)
        for n, state in enumerate(states, 1)
    ]
    track, runs = life_work.start_ready(a_track(*tasks), NOW)
    running = sum(task.state == "running" for task in track.tasks)
    before = sum(state == "running" for state in states)
    assert running == before + len(runs)
    assert not runs or running <= track.config.limits.workers
    busy = [t for t in track.tasks if t.state in {"running", "checking", "in_review"}]
    assert not runs or len(busy) <= track.config.limits.max_open_prs


def test_people_settle_tasks_on_the_default_branch() -> None:
    track = a_track(a_task("T-1", state="blocked", note="red"), a_task("T-2", depends_on=("T-1",)))
    assert GOOD.backlog is not None
    tasks = tuple(t.model_copy(update={"status": "done"}) if t.id == "T-1" else t for t in GOOD.backlog.tasks)
    written = replace(GOOD, backlog=GOOD.backlog.model_copy(update={"tasks": tasks}))
    decision = life_backlog.backlog_changed(track, written, NOW)
    assert RunTask(task="T-2", attempt=1, run=1) in decision.actions


def test_a_line_settles_a_stuck_task_even_with_a_pull_request() -> None:
    track = a_track(a_task("T-1", state="blocked", note="red", pull=20), a_task("T-2", depends_on=("T-1",)))
    assert GOOD.backlog is not None
    tasks = tuple(t.model_copy(update={"status": "dropped"}) for t in GOOD.backlog.tasks)
    written = replace(GOOD, backlog=GOOD.backlog.model_copy(update={"tasks": tasks}))
    assert life_backlog.backlog_changed(track, written, NOW).actions == (CloseTrack(),)


def test_what_cannot_be_posted_begins_no_chain_of_posts() -> None:
    for what in ("post_comment", "react", "sync_status"):
        event = ActionFailed(action="7/issue-12#x.1", what=what, error="403 archived")
        assert "post_comment" not in kinds(life_work.action_failed(a_track(), event, NOW))


def test_a_failing_action_does_not_undo_what_is_done() -> None:
    track = a_track(a_task("T-1", state="done", pull=20))
    event = ActionFailed(action="7/issue-12#x.1", what="run_task", error="500", task="T-1")
    decision = life_work.action_failed(track, event, NOW)
    assert kept(decision).tasks[0].state == "done"


def test_dependents_of_a_dropped_task_are_blocked_and_the_choice_is_told() -> None:
    track, runs = life_work.start_ready(
        a_track(a_task("T-1", state="dropped"), a_task("T-2", depends_on=("T-1",))), NOW
    )
    assert runs == ()
    assert (track.state, track.tasks[1].state) == ("blocked", "blocked")
    assert "needs T-1" in track.problem


def test_taking_the_need_out_of_the_file_frees_the_dependent() -> None:
    track, _ = life_work.start_ready(
        a_track(a_task("T-1", state="dropped"), a_task("T-2", depends_on=("T-1",))), NOW
    )
    assert GOOD.backlog is not None
    tasks = tuple(
        t.model_copy(update={"status": "dropped"} if t.id == "T-1" else {"depends_on": ()})
        for t in GOOD.backlog.tasks
    )
    written = replace(GOOD, backlog=GOOD.backlog.model_copy(update={"tasks": tasks}))
    assert RunTask(task="T-2", attempt=1, run=1) in life_backlog.backlog_changed(track, written, NOW).actions


@pytest.mark.parametrize(("pull", "state"), [(None, "dropped"), (20, "waiting")])
def test_a_dropped_line_drops_what_waits_after_an_attempt_unless_its_pull_request_is_open(
    pull: int | None, state: TaskState
) -> None:
    waits = a_task("T-1", state="waiting", attempt=1, run=1, pull=pull, waits_for_base=True)
    track = a_track(waits, a_task("T-2", state="running", attempt=1, run=1), a_task("T-3"))
    assert GOOD.backlog is not None
    tasks = tuple(
        t.model_copy(update={"status": "dropped"} if t.id == "T-1" else {"depends_on": ()})
        for t in GOOD.backlog.tasks
    )
    written = replace(GOOD, backlog=GOOD.backlog.model_copy(update={"tasks": tasks}))
    task = kept(life_backlog.backlog_changed(track, written, NOW)).task("T-1")
    assert task is not None
    assert task.state == state


def test_a_task_whose_line_was_removed_while_it_runs_is_not_forgotten() -> None:
    track = a_track(a_task("T-1", state="running", attempt=1, run=1), a_task("T-2"), a_task("T-3"))
    assert GOOD.backlog is not None
    tasks = tuple(t for t in GOOD.backlog.tasks if t.id == "T-2")
    tasks = tuple(t.model_copy(update={"depends_on": ()}) for t in tasks)
    written = replace(GOOD, backlog=GOOD.backlog.model_copy(update={"tasks": tasks}))
    now = kept(life_backlog.backlog_changed(track, written, NOW))
    assert [(task.id, task.state) for task in now.tasks] == [("T-2", "running"), ("T-1", "running")]


@given(st.sampled_from(["held", "blocked", "reverted", "checking", "in_review"]))
def test_words_that_people_merge_are_what_the_next_attempt_runs_by(state: TaskState) -> None:
    assert GOOD.backlog is not None
    track = a_track(a_task("T-1", state=state, attempt=1, run=1, pull=20, scope=("old.py",)))
    changed = kept(life_backlog.backlog_changed(track, GOOD, NOW)).tasks[0]
    assert (changed.title, changed.scope, changed.acceptance) == ("One", ("a.py",), ("It is.",))
    assert (changed.state, changed.attempt, changed.pull) == (state, 1, 20)
    # What an open pull request may have touched stays its own.
    assert changed.leased == (() if state in {"held", "reverted"} else ("old.py",))


def test_nothing_new_starts_while_the_backlog_cannot_be_read_and_the_next_valid_one_starts_it() -> None:
    track = a_track(a_task("T-1"), a_task("T-2", depends_on=("T-1",)))
    track = kept(life_backlog.backlog_changed(track, backlog.load("version: 2"), NOW))
    assert life_work.start_ready(track, NOW)[1] == ()
    decision = life_backlog.backlog_changed(track, GOOD, NOW)
    assert RunTask(task="T-1", attempt=1, run=1) in decision.actions


def test_the_same_problem_twice_within_a_second_is_told_twice() -> None:
    event = PlanFailed(failures=("tests: gave no answer",))
    first, second = (
        life_planning.plan_failed(a_track(), event, NOW + timedelta(seconds=after)).actions[0]
        for after in (0.1, 0.9)
    )
    assert isinstance(first, PostComment)
    assert isinstance(second, PostComment)
    assert identity(first.body) != identity(second.body)
