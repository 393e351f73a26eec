"""What follows from a failure: RebaseEngine decides, and this makes it the next step. Values in, values out."""

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import life_checks, life_hold, life_pulls, life_repair, life_work
from bot.core.actions import AssessTask, ClosePull, Decision, PostComment, RebaseTask, RunTask, SyncStatus
from bot.core.base_wait import waits_for_base
from bot.core.checks import Rollup, Verdict
from bot.core.config import RepoConfig
from bot.core.events import ActionFailed, PullPushed, TaskAssessed, TaskFailed, TaskRebased
from bot.core.messages_status import waits
from bot.core.rebasing import MOST_RERUNS, DecisionKind, RebaseDecision, RebaseEngine, Situation
from bot.core.track import STUCK, TaskState, Track
from tests.core.builders import DANA, NOW, REPO, SHA, a_task, a_track

HEAD = "b" * 40


def open_task(**changes: Any) -> Track:
    task = {"state": "checking", "attempt": 1, "run": 1, "pull": 20, "head_sha": HEAD, "branch": "b1"}
    return a_track(a_task("T-1", **{**task, **changes}), a_task("T-2"))


def running(**changes: Any) -> Track:
    return a_track(a_task("T-1", state="running", attempt=1, run=1, **changes))


def seen(where: str = "after_push", **changes: Any) -> Situation:
    return Situation(**{"where": where, "red": True, "failing": ("lint",), **changes})


def assessed(track: Track, situation: Situation, **changes: Any) -> Decision:
    event = TaskAssessed(
        **{
            "task": "T-1",
            "attempt": 1,
            "run": 1,
            "head_sha": HEAD,
            "tip": SHA,
            "situation": situation,
            "text": "checks failed: lint",
            **changes,
        }
    )
    return life_repair.task_assessed(track, event, NOW, RebaseEngine())


def task(decision: Decision) -> Any:
    assert decision.track is not None
    return decision.track.tasks[0]


def only(decision: Decision, kind: type[Any]) -> Any:
    found = [action for action in decision.actions if isinstance(action, kind)]
    assert len(found) == 1, decision.actions
    return found[0]


def test_a_red_head_is_assessed_once() -> None:
    track = open_task()
    first = life_checks.checks_read(track, track.tasks[0], Rollup("red", ("lint",)), 1, NOW)
    assert only(first, AssessTask) == AssessTask(task="T-1", attempt=1, head_sha=HEAD)
    assert first.track is not None
    again = life_checks.checks_read(first.track, first.track.tasks[0], Rollup("red", ("lint",)), 2, NOW)
    assert again.actions == ()


def test_the_first_red_run_is_fixed_forward_on_its_branch() -> None:
    decision = assessed(open_task(), seen())
    assert only(decision, RunTask) == RunTask(task="T-1", attempt=1, run=2, mode="fix", head=HEAD)
    assert (task(decision).state, task(decision).fixes, task(decision).trend) == ("running", 1, (1,))
    assert "lint" in task(decision).feedback
    assert task(decision).decisions == ("fix_forward",)


def test_red_and_behind_is_rebased_first_and_only_once_onto_the_same_tip() -> None:
    decision = assessed(open_task(), seen(behind=2))
    assert only(decision, RebaseTask).head_sha == HEAD
    assert decision.track is not None
    done = TaskRebased(task="T-1", attempt=1, head_sha="c" * 40, onto=SHA)
    track = life_repair.task_rebased(decision.track, done, NOW).track
    assert track is not None
    assert (track.tasks[0].head_sha, track.tasks[0].onto) == ("c" * 40, SHA)
    again = assessed(track, seen(behind=2), head_sha="c" * 40)
    assert only(again, RunTask).mode == "fix"


def test_a_rebase_under_way_is_not_decided_again_but_a_new_conflict_is() -> None:
    mechanical = seen(red=False, failing=(), conflicts=("tasks/x",), mechanical=("tasks/x",), behind=1)
    first = assessed(open_task(), mechanical)
    assert first.track is not None
    again = assessed(first.track, mechanical, tip="e" * 40)
    assert (again.track, again.actions) == (first.track, ())
    conflict = assessed(first.track, seen(red=False, failing=(), conflicts=("a.py",), behind=2))
    assert task(conflict).decisions == ("rebase", "rebase_and_fix")
    done = TaskRebased(task="T-1", attempt=1, head_sha="c" * 40, onto=SHA)
    track = life_repair.task_rebased(first.track, done, NOW).track
    assert track is not None
    once_more = assessed(track, mechanical, head_sha="c" * 40, tip="e" * 40)
    assert only(once_more, RebaseTask).head_sha == "c" * 40


def test_a_rebase_that_a_stop_or_a_failure_ended_is_begun_again() -> None:
    behind = seen(behind=2)
    rebasing = assessed(open_task(), behind).track
    assert rebasing is not None
    stopped = life_hold.stop(rebasing, NOW, "dana").track
    assert stopped is not None
    resumed = life_hold.resume(stopped, NOW, "dana").track
    assert resumed is not None
    opened = life_pulls.task_reopened(resumed, resumed.tasks[0], NOW, "dana").track
    assert opened is not None
    assert only(assessed(opened, behind), RebaseTask).head_sha == HEAD
    failed = ActionFailed(action="7/x#1", what="rebase_task", error="500", task="T-1")
    given_up = life_work.action_failed(rebasing, failed, NOW).track
    assert given_up is not None
    checking = given_up.with_task(replace(given_up.tasks[0], state="checking"))
    assert only(assessed(checking, behind), RebaseTask).head_sha == HEAD


def test_a_conflict_goes_to_the_agent_once_and_then_to_a_better_spec() -> None:
    conflict = seen(red=False, failing=(), conflicts=("a.py",), behind=1)
    decision = assessed(open_task(), conflict)
    assert only(decision, RunTask).mode == "conflict"
    assert "a.py" in task(decision).feedback
    persisting = open_task(conflict_given=("a.py",))
    regenerated = assessed(persisting, conflict)
    assert only(regenerated, RunTask) == RunTask(task="T-1", attempt=2, run=2)


def test_regenerating_closes_the_old_pull_request_with_a_link_and_keeps_what_was_learned() -> None:
    decision = assessed(running(pull=None), seen("before_push", red=False, failing=(), messy=0.99))
    assert only(decision, RunTask).attempt == 2
    assert task(decision).spec == 2
    assert task(decision).evidence[0].messy == 0.99
    replaced = assessed(open_task(), seen(red=False, failing=(), conflicts=("a.py",), conflict_persists=True))
    closing = only(replaced, ClosePull)
    assert closing.number == 20
    assert "agent/issue-12/T-1-a2" in closing.body
    assert task(replaced).replaced == (20,)
    assert task(replaced).pull is None


def test_what_passed_before_on_the_same_commit_is_flaky_and_only_looked_at_again() -> None:
    decision = assessed(open_task(passed=("lint",)), seen())
    assert (task(decision).state, task(decision).decisions) == ("checking", ("rerun",))
    assert decision.timers[0].event.head_sha == HEAD  # type: ignore[union-attr]


def test_flaky_before_the_push_publishes_what_passed_the_second_time() -> None:
    decision = assessed(running(), seen("before_push", failing=("t",), flaky=("t",)))
    assert only(decision, RunTask).mode == "publish"


def test_what_fails_on_the_base_too_waits_until_that_moves() -> None:
    decision = assessed(open_task(), seen(fails_on_base=("lint",)))
    assert task(decision).waits_for_base
    assert "main" in task(decision).note
    assert decision.track is not None
    track, actions = life_work.base_moved(decision.track, NOW)
    assert AssessTask(task="T-1", attempt=1, head_sha=HEAD) in actions
    assert not track.tasks[0].waits_for_base


def test_what_the_pushed_commit_was_granted_says_nothing_of_a_new_one() -> None:
    mending = running(pull=20, head_sha="d" * 40, reruns=MOST_RERUNS, passed=("lint",), fixes=1)
    again = assessed(mending, seen("before_push", failing=("t",), flaky=("t",)))
    assert (task(again).decisions, only(again, RunTask).mode) == (("rerun",), "publish")
    assert task(assessed(mending, seen("before_push"))).decisions == ("fix_forward",)


def test_before_the_push_nothing_starts_before_the_base_moves() -> None:
    decision = assessed(running(), seen("before_push", failing=("t",), fails_on_base=("t",)))
    assert decision.track is not None
    assert life_work.start_ready(decision.track, NOW)[1] == ()
    assert len(life_work.base_moved(decision.track, NOW)[1]) == 1


def test_a_fix_that_fails_on_the_base_too_keeps_its_pull_request_and_is_looked_at_when_that_moves() -> None:
    fixing = open_task(state="running", mode="fix", from_sha=HEAD, run=2)
    decision = assessed(fixing, seen("before_push", failing=("t",), fails_on_base=("t",)), run=2)
    assert task(decision).state == "checking"
    assert decision.track is not None
    track, actions = life_work.base_moved(decision.track, NOW)
    assert AssessTask(task="T-1", attempt=1, head_sha=HEAD) in actions
    assert (track.tasks[0].attempt, track.tasks[0].pull) == (1, 20)
    told = assessed(track, seen())
    assert only(told, RunTask).mode == "fix"


def owing(**changes: Any) -> Track:
    """A fix that people asked for met what fails on the default branch too; the head was green when they asked."""
    asked = {
        "mode": "fix",
        "from_sha": HEAD,
        "run": 2,
        "feedback": "A reviewer asks:\nShorter.",
        "trend": (0,),
    }
    fixing = open_task(state="running", **{**asked, **changes})
    red = seen("before_push", failing=("t",), fails_on_base=("t",))
    waiting = assessed(fixing, red, run=2, head_sha="c" * 40).track
    assert waiting is not None
    return waiting


def read(track: Track, verdict: Verdict, head: str = HEAD) -> Decision:
    changed = replace(track.tasks[0], head_sha=head)
    return life_checks.checks_read(track, changed, Rollup(verdict, ("lint",)), 0, NOW)


@pytest.mark.parametrize("verdict", ["green", "no_ci", "running", "missing", "awaiting_approval"])
def test_what_people_asked_for_is_begun_again_when_the_base_moves_whatever_the_head_says(
    verdict: Verdict,
) -> None:
    looked = read(owing(), verdict)
    assert task(looked) == owing().tasks[0]
    assert bool(looked.timers) == (verdict in {"running", "missing", "awaiting_approval"})
    assert looked.track is not None
    track, actions = life_work.base_moved(looked.track, NOW)
    assert RunTask(task="T-1", attempt=1, run=3, mode="fix", head=HEAD) in actions
    assert not any(isinstance(action, AssessTask) for action in actions)
    assert (track.tasks[0].feedback, track.tasks[0].waits_for_base) == ("A reviewer asks:\nShorter.", False)


def test_what_waits_for_the_base_begins_from_what_a_person_pushed_meanwhile() -> None:
    theirs = "e" * 40
    looked = read(owing(from_sha="d" * 40), "green", theirs)
    assert looked.track is not None
    actions = life_work.base_moved(looked.track, NOW)[1]
    assert RunTask(task="T-1", attempt=1, run=3, mode="fix", head=theirs) in actions
    pushed = PullPushed(repo=REPO, number=20, head_branch="b1", head_sha=theirs, actor=DANA)
    noteless = life_pulls.pushed(owing(), owing().tasks[0], pushed, NOW, ours=False).track
    assert noteless is not None
    told = read(noteless, "green", theirs)
    assert "main" in task(told).note
    assert any(isinstance(action, SyncStatus) for action in told.actions)


@pytest.mark.parametrize("situation", [{"failing": ("lint",)}, {"red": False, "conflicts": ("a.py",)}])
def test_what_people_asked_for_is_told_with_what_failed_after_that(situation: dict[str, Any]) -> None:
    decision = assessed(owing(), seen(**situation), run=2)
    assert isinstance(only(decision, RunTask), RunTask)
    assert task(decision).feedback.endswith("A reviewer asks:\nShorter.")
    long = assessed(owing(feedback="Shorter. " * 400), seen(), run=2, output="E" * 9_000)
    assert len(task(long).feedback) == life_repair.FEEDBACK
    assert "Shorter." in task(long).feedback


def test_what_another_person_asks_for_does_not_replace_what_still_waits() -> None:
    waiting = owing()
    track, _ = life_repair.fix(waiting, waiting.tasks[0], NOW, "Faster.")
    assert track.tasks[0].feedback.startswith("Faster.\n")
    assert "Shorter." in track.tasks[0].feedback
    blocked = open_task(state="blocked", mode="fix", feedback="Shorter.")
    assert life_repair.fix(blocked, blocked.tasks[0], NOW, "Faster.")[0].tasks[0].feedback == "Faster."


def test_a_red_fix_is_mended_with_the_words_of_the_people_who_asked_for_it() -> None:
    fixing = running(pull=20, head_sha=HEAD, mode="fix", from_sha=HEAD, feedback="Shorter.")
    decision = assessed(fixing, seen("before_push"), head_sha="c" * 40)
    assert "lint" in task(decision).feedback
    assert task(decision).feedback.endswith("Shorter.")


def test_words_of_a_run_that_is_over_begin_nothing_when_the_base_moves() -> None:
    old = open_task(state="blocked", mode="fix", from_sha=HEAD, feedback="Shorter.")
    decision = assessed(old, seen(fails_on_base=("lint",)))
    assert decision.track is not None
    actions = life_work.base_moved(decision.track, NOW)[1]
    assert AssessTask(task="T-1", attempt=1, head_sha=HEAD) in actions


def test_a_broken_base_is_not_paid_for_without_end() -> None:
    """Every push to it would be one more run; people are told what to mend, and how it goes on then."""
    red = seen("before_push", failing=("t",), fails_on_base=("t",))
    decision = assessed(running(), red)
    attempts = [1]
    while task(decision).state != "blocked" and len(attempts) < 10:
        assert decision.track is not None
        track, _ = life_work.base_moved(decision.track, NOW)
        attempts.append(track.tasks[0].attempt)
        decision = assessed(track, red, attempt=track.tasks[0].attempt, run=track.tasks[0].run)
    assert attempts == [1, 2, 3, 4]
    body = only(decision, PostComment).body
    assert "main fails in the same way (t)" in body
    assert "/agent retry T-1" in body
    again = owing(fixes=2)
    assert (again.tasks[0].state, again.tasks[0].pull, again.tasks[0].waits_for_base) == (
        "blocked",
        20,
        False,
    )
    paid = life_work.base_moved(owing(fixes=1), NOW)[0]
    assert paid.tasks[0].fixes == 2


@pytest.mark.parametrize("state", ["held", "blocked", "in_review", "running", "reverted", "done", "dropped"])
def test_only_what_can_go_on_by_itself_waits_for_the_base(state: TaskState) -> None:
    assert not waits_for_base(a_task(state=state, waits_for_base=True))
    track = open_task(state=state, waits_for_base=True, note="closed by dana")
    assert "closed by dana" not in waits(track).partition("Waits for others")[2]
    if state in STUCK:
        stuck = a_track(track.tasks[0])
        assert life_work.assessed(stuck).state == "blocked"


def test_a_new_run_waits_for_nothing_and_ends_what_was_decided_before() -> None:
    track, _ = life_repair.fix(
        a := open_task(waits_for_base=True, rebasing=HEAD), a.tasks[0], NOW, "Shorter."
    )
    assert (track.tasks[0].waits_for_base, track.tasks[0].rebasing) == (False, "")
    back = assessed(track, seen("before_push", failing=("t",), fails_on_base=("t",)), run=2)
    assert back.track is not None
    assert only(assessed(back.track, seen(behind=2), run=2), RebaseTask).head_sha == HEAD


def test_a_rebase_that_met_something_else_is_over_and_can_be_decided_again() -> None:
    rebasing = open_task(rebasing=HEAD)
    waiting = assessed(rebasing, seen(conflicts=("a.py",), fails_on_base=("lint",)))
    assert task(waiting).decisions == ("wait_for_base",)
    assert waiting.track is not None
    assert only(assessed(waiting.track, seen(behind=2)), RebaseTask).head_sha == HEAD


def test_what_waited_for_the_base_waits_no_more_once_something_else_is_decided() -> None:
    waiting = open_task(waits_for_base=True)
    assert not task(assessed(waiting, seen())).waits_for_base


def test_a_moved_base_asks_only_about_conflicts() -> None:
    track, actions = life_work.base_moved(open_task(), NOW)
    assert AssessTask(task="T-1", attempt=1, head_sha=HEAD, only_conflicts=True) in actions
    always = replace(open_task(), config=RepoConfig(rebase="always"))
    assert AssessTask(task="T-1", attempt=1, head_sha=HEAD) in life_work.base_moved(always, NOW)[1]
    behind = assessed(always, seen(red=False, failing=(), behind=1))
    assert only(behind, RebaseTask).head_sha == HEAD
    assert assessed(track, seen(red=False, failing=(), behind=1)).actions == ()


def test_a_reviewed_branch_is_not_moved_only_because_the_base_did() -> None:
    decision = assessed(open_task(reviewed=True), seen(behind=3))
    assert only(decision, RunTask).mode == "fix"


def test_asking_a_person_says_what_happened_and_what_can_be_done_as_inert_text() -> None:
    text = "checks failed: @octocat ![x](https://e.invalid/x.png) <img>"
    decision = assessed(open_task(), seen(protected=(".github/workflows/ci.yml",)), text=text)
    body = only(decision, PostComment).body
    assert task(decision).state == "blocked"
    assert "/agent retry T-1" in body
    assert "/agent skip T-1" in body
    assert "![x](" not in body
    assert "<img>" not in body.replace("`<img>`", "")
    assert "@octocat" not in body.replace("`@octocat`", "")


def test_what_is_over_changes_nothing() -> None:
    moved = open_task(head_sha="d" * 40)
    assert assessed(moved, seen()).track == moved
    later = open_task(attempt=2)
    assert assessed(later, seen()).track == later
    held = open_task(state="held")
    assert assessed(held, seen()).track == held


class Deciding(RebaseEngine):
    """Decides what it is told."""

    def __init__(self, kind: DecisionKind) -> None:
        self._kind: DecisionKind = kind

    def decide(self, _situation: Situation) -> RebaseDecision:
        return RebaseDecision(self._kind, "Because.", ())


@given(st.sampled_from(get_args(DecisionKind)), st.sampled_from(["before_push", "after_push"]))
def test_every_decision_has_its_step_and_stands_in_the_history(kind: DecisionKind, where: str) -> None:
    track = running() if where == "before_push" else open_task()
    event = TaskAssessed(
        task="T-1", attempt=1, run=1, head_sha=HEAD, tip=SHA, situation=seen(where), text="It is red"
    )
    decision = life_repair.task_assessed(track, event, NOW, Deciding(kind))
    assert decision.track is not None
    assert any(kind.replace("_", " ") in entry.what for entry in decision.track.history)
    assert task(decision).decisions == (kind,)
    assert decision.actions


@pytest.mark.parametrize("reason", ["crash", "stall", "no_change"])
def test_a_fix_that_came_to_nothing_does_not_throw_the_pull_request_away(reason: str) -> None:
    track = open_task(state="running", mode="fix", feedback="lint", fixes=1)
    failed = TaskFailed(task="T-1", attempt=1, run=1, reason=reason, text="It came to nothing")
    decision = life_work.task_failed(track, failed, NOW)
    assert only(decision, RunTask).mode == "fix"
    resolving = replace(track.tasks[0], mode="conflict", from_sha=HEAD)
    again = life_work.task_failed(track.with_task(resolving), failed, NOW)
    assert only(again, RunTask) == RunTask(task="T-1", attempt=1, run=2, mode="conflict", head=HEAD)
    assert task(again).fixes == 2
    spent = life_work.task_failed(open_task(state="running", mode="fix", fixes=2), failed, NOW)
    assert (task(spent).state, task(spent).pull) == ("blocked", 20)
    assert "/agent retry T-1" in only(spent, PostComment).body
