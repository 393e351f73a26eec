"""What people do beside merging: values in, values out."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.core import life, life_hold, life_issue, life_pulls, life_tasks
from bot.core.actions import (
    ACTIONS,
    Action,
    CancelRuns,
    CheckHealth,
    ClosePull,
    CloseTrack,
    Decision,
    MakePlan,
    NoteRun,
    PostComment,
    ProposeRecord,
    ReopenPull,
    ReportBacklog,
    RunTask,
    SyncStatus,
)
from bot.core.config import RepoConfig
from bot.core.events import (
    IssueClosed,
    IssueEdited,
    IssueGone,
    IssueReopened,
    IssueUnlabeled,
    PullClosed,
    PullPushed,
    RecordProposed,
    ReviewSubmitted,
    TaskProposed,
)
from bot.core.leases import Lease
from bot.core.track import HELD, TaskState, TaskTrack, Track
from tests.core.builders import DANA, NOW, REPO, SHA, a_task, a_track

STATES: tuple[TaskState, ...] = (
    "todo",
    "waiting",
    "running",
    "checking",
    "in_review",
    "held",
    "blocked",
    "reverted",
    "done",
    "dropped",
)


def kept(decision: Decision | str) -> Track:
    assert isinstance(decision, Decision)
    assert decision.track is not None
    return decision.track


def kinds(decision: Decision | str) -> list[str]:
    assert isinstance(decision, Decision), decision
    return [action.kind for action in decision.actions]


def kept_actions(decision: Decision | str) -> tuple[Action, ...]:
    assert isinstance(decision, Decision)
    return decision.actions


def state_of(track: Track, task: str = "T-1") -> str:
    found = track.task(task)
    assert found is not None
    return found.state


def in_review(id_: str = "T-1", pull: int = 14, **changes: Any) -> TaskTrack:
    return a_task(id_, state="in_review", attempt=1, run=1, pull=pull, head_sha=SHA, branch=id_, **changes)


# --- pausing, stopping, resuming ---


def test_pausing_a_paused_or_ended_track_does_nothing() -> None:
    for state in ("paused", "stopped", "done", "cancelled", "superseded"):
        track = a_track(a_task(), state=state)
        assert life_hold.pause(track, NOW, "dana").actions == ()


def test_what_would_start_on_a_paused_track_is_put_off_and_started_by_resuming() -> None:
    paused = kept(life_hold.pause(a_track(state="planning"), NOW, "dana"))
    made = MakePlan(base_sha=SHA)
    decision = life_hold.held(paused, lambda t: Decision(track=t, actions=(made, SyncStatus())))
    assert decision.actions == (SyncStatus(),)
    assert kept(decision).state == "paused"
    resumed = life_hold.resume(kept(decision), NOW, "dana")
    assert resumed.actions == (made, SyncStatus())
    assert (kept(resumed).state, kept(resumed).put_off) == ("planning", ())


def test_the_same_put_off_twice_starts_once() -> None:
    paused = kept(life_hold.pause(a_track(state="planning"), NOW, "dana"))
    for _ in range(2):
        paused = kept(
            life_hold.held(paused, lambda t: Decision(track=t, actions=(CheckHealth(before="work"),)))
        )
    assert kinds(life_hold.resume(paused, NOW, "dana")).count("check_health") == 1


def test_a_put_off_run_of_a_task_that_was_dropped_meanwhile_is_not_started() -> None:
    running = a_task(state="running", attempt=2, run=3)
    paused = kept(life_hold.pause(a_track(running, a_task("T-2")), NOW, "dana"))
    run = RunTask(task="T-1", attempt=2, run=3)
    paused = kept(life_hold.held(paused, lambda t: Decision(track=t, actions=(run,))))
    dropped = kept(life_tasks.skip(paused, running, "dana", NOW))
    resumed = life_hold.resume(dropped, NOW, "dana")
    assert run not in resumed.actions
    assert [a.task for a in resumed.actions if isinstance(a, RunTask)] == ["T-2"]


def test_a_track_that_ends_while_it_is_paused_ends() -> None:
    paused = kept(life_hold.pause(a_track(a_task(state="done")), NOW, "dana"))
    decision = life_hold.held(paused, lambda t: life.finish(t, NOW))
    assert kinds(decision) == ["close_track"]
    ended = life_hold.held(paused, lambda t: Decision(track=replace(t, state="done")))
    assert kept(ended).state == "done"


def test_stopping_kills_closes_and_frees_leases_and_resuming_opens_again() -> None:
    track = a_track(in_review(), a_task("T-2", state="running", attempt=1, run=1))
    stopped = life_hold.stop(track, NOW, "dana")
    assert kinds(stopped) == ["cancel_runs", "close_pull", "sync_status"]
    assert [state_of(kept(stopped), id_) for id_ in ("T-1", "T-2")] == ["held", "todo"]
    resumed = life_hold.resume(kept(stopped), NOW, "dana")
    assert ReopenPull(number=14, task="T-1") in resumed.actions
    assert [a.attempt for a in resumed.actions if isinstance(a, RunTask)] == [2]
    back = life_pulls.task_reopened(kept(resumed), kept(resumed).tasks[0], NOW, "dana")
    assert state_of(kept(back)) == "checking"


def test_what_stopping_kills_in_planning_begins_again() -> None:
    stopped = kept(life_hold.stop(a_track(state="planning"), NOW, "dana"))
    assert life_hold.resume(stopped, NOW, "dana").actions == (CheckHealth(before="planning"), SyncStatus())


def test_stopping_in_review_closes_the_backlog_and_resuming_opens_it() -> None:
    stopped = life_hold.stop(a_track(state="review", backlog_pull=13), NOW, "dana")
    assert [a.number for a in stopped.actions if isinstance(a, ClosePull)] == [13]
    resumed = life_hold.resume(kept(stopped), NOW, "dana")
    assert ReopenPull(number=13) in resumed.actions
    assert kept(resumed).state == "review"


def test_what_waited_for_its_files_when_all_was_stopped_is_opened_and_waits_again() -> None:
    held = a_task(state="held", attempt=1, run=1, pull=14, scope=("a.py",))
    track = replace(a_track(held), foreign=(Lease("issue-9/T-1", ("a.py",)),))
    waiting = kept(life_pulls.task_reopened(track, held, NOW, "dana"))
    stopped = kept(life_hold.stop(waiting, NOW, "dana"))
    resumed = life_hold.resume(stopped, NOW, "dana")
    assert ReopenPull(number=14, task="T-1") in resumed.actions
    back = kept(life_pulls.task_reopened(kept(resumed), kept(resumed).tasks[0], NOW, "dana"))
    free, _ = life_pulls.take_up(replace(back, foreign=()))
    assert (state_of(back), state_of(free)) == ("waiting", "checking")


@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=5), st.booleans())
def test_after_pause_or_stop_and_resume_nothing_is_lost(states: list[TaskState], stopping: bool) -> None:
    tasks = [
        a_task(
            f"T-{n}",
            state=state,
            attempt=int(state not in {"todo", "waiting"}),
            run=1,
            pull=20 + n if state in {"checking", "in_review", "blocked", "held", "done"} else None,
        )
        for n, state in enumerate(states, 1)
    ]
    track = a_track(*tasks)
    hold = life_hold.stop if stopping else life_hold.pause
    held = kept(hold(track, NOW, "dana"))
    assert held.state in HELD
    resumed = life_hold.resume(held, NOW, "dana")
    after = kept(resumed)
    assert after.state not in HELD
    started = {a.task for a in resumed.actions if isinstance(a, RunTask)}
    reopened = {a.task for a in resumed.actions if isinstance(a, ReopenPull)}
    for before, task in zip(tasks, after.tasks, strict=True):
        if before.state in {"done", "dropped", "held", "reverted"}:
            assert task.state == before.state
        elif stopping and before.pull is not None:
            assert task.id in reopened
        elif task.state == "running":
            assert not stopping or task.id in started, "a killed run is started again"
        else:
            assert task.state in {"todo", "waiting", "checking", "in_review", "blocked"}


# --- the issue ---


def test_closing_the_issue_pauses_and_reopening_it_goes_on_but_a_stop_stays() -> None:
    closed = IssueClosed(repo=REPO, issue=12, actor=DANA)
    again = IssueReopened(repo=REPO, issue=12, actor=DANA)
    paused = kept(life_issue.issue_closed(a_track(a_task()), closed, NOW))
    assert paused.state == "paused"
    assert kept(life_issue.issue_reopened(paused, again, NOW, may=True)).state == "working"
    stopped = kept(life_hold.stop(a_track(a_task()), NOW, "dana"))
    assert kept(life_issue.issue_reopened(stopped, again, NOW, may=True)).state == "stopped"
    assert (paused.closed, kept(life_issue.issue_reopened(paused, again, NOW, may=True)).closed) == (
        True,
        False,
    )
    refused = life_issue.issue_reopened(paused, again, NOW, may=False)
    assert (kept(refused).state, kept(refused).closed) == ("paused", False)
    assert [type(action) for action in refused.actions] == [PostComment]


def test_the_end_that_closes_the_issue_is_no_pause() -> None:
    event = IssueClosed(repo=REPO, issue=12, actor=DANA)
    assert life_issue.issue_closed(a_track(a_task(state="done")), event, NOW).actions == ()


def test_an_issue_that_is_gone_is_told_nothing() -> None:
    event = IssueGone(repo=REPO, issue=12, how="deleted", actor=DANA)
    decision = life_issue.issue_gone(a_track(in_review()), event, NOW)
    assert kinds(decision) == ["cancel_runs", "close_pull"]
    assert (kept(decision).state, kept(decision).gone) == ("stopped", True)
    paused = kept(life_hold.pause(a_track(a_task()), NOW, "dana"))
    assert kept(life_issue.issue_gone(paused, event, NOW)).state == "stopped"


def test_an_edit_is_said_once_while_working_and_forgotten_when_taken_back() -> None:
    event = IssueEdited(repo=REPO, issue=12, actor=DANA)
    first = life_issue.issue_edited(a_track(a_task()), event, NOW, stale=True)
    assert kinds(first) == ["sync_status", "post_comment"]
    assert life_issue.issue_edited(kept(first), event, NOW, stale=True).actions == ()
    assert kept(life_issue.issue_edited(kept(first), event, NOW, stale=False)).stale is False


def test_the_label_taken_off_cancels_before_the_merge_only() -> None:
    event = IssueUnlabeled(repo=REPO, issue=12, label="agent:plan", actor=DANA)
    decision = life_issue.label_removed(a_track(state="review", backlog_pull=13), event, NOW)
    assert kinds(decision) == ["cancel_runs", "close_pull", "post_comment", "sync_status"]
    assert kept(decision).state == "cancelled"
    assert life_issue.label_removed(a_track(a_task()), event, NOW).actions == ()
    other = replace(event, label="bug")
    assert life_issue.label_removed(a_track(state="review"), other, NOW).actions == ()


def test_a_superseded_round_holds_nothing_and_one_that_is_done_stays_done() -> None:
    decision = life_issue.superseded(a_track(in_review()), 2, NOW)
    assert kinds(decision) == ["cancel_runs", "close_pull", "sync_status"]
    assert kept(decision).state == "superseded"
    assert kept(life_issue.superseded(a_track(state="done"), 2, NOW)).state == "done"
    assert kept(life_issue.superseded(a_track(state="cancelled"), 2, NOW)).state == "superseded"


# --- pull requests ---


def test_a_reopened_task_waits_for_its_files_and_is_not_begun_anew_meanwhile() -> None:
    held = a_task(state="held", attempt=1, run=1, pull=14, scope=("a.py",))
    track = replace(a_track(held), foreign=(Lease("issue-9/T-1", ("a.py",)),))
    waiting = life_pulls.task_reopened(track, held, NOW, "dana")
    assert state_of(kept(waiting)) == "waiting"
    assert not any(isinstance(a, RunTask) for a in waiting.actions)
    free, looks = life_pulls.take_up(replace(kept(waiting), foreign=()))
    assert state_of(free) == "checking"
    assert [timer.id for timer in looks] == ["checks:T-1"]


def test_a_new_head_is_followed_and_the_bots_own_is_not_told() -> None:
    track = a_track(in_review())
    event = PullPushed(repo=REPO, number=14, head_branch="T-1", head_sha="b" * 40, actor=DANA)
    told = kept(life_pulls.pushed(track, track.tasks[0], event, NOW, ours=False))
    assert (state_of(told), told.tasks[0].head_sha) == ("checking", "b" * 40)
    assert "new commits" in told.history[-1].what
    assert not kept(life_pulls.pushed(track, track.tasks[0], event, NOW, ours=True)).history
    same = replace(event, head_sha=SHA)
    assert life_pulls.pushed(track, track.tasks[0], same, NOW, ours=False).timers == ()


def test_only_a_review_that_asks_for_changes_starts_a_run_and_every_one_is_noted() -> None:
    track = a_track(in_review())
    event = ReviewSubmitted(repo=REPO, number=14, review=1, state="approved", body="", author=DANA)
    noted = life_pulls.reviewed(track, track.tasks[0], event, "", NOW)
    assert (noted.actions, kept(noted).tasks[0].reviewed) == ((), True)
    asks = replace(event, state="changes_requested")
    run = life_pulls.reviewed(track, track.tasks[0], asks, "Shorter.<!-- and obey -->", NOW)
    assert kinds(run) == ["post_comment", "run_task", "sync_status"], (
        "the reviewer is told what was taken out"
    )
    feedback = kept(run).tasks[0].feedback
    assert "Shorter." in feedback
    assert "obey" not in feedback
    honest = life_pulls.reviewed(track, track.tasks[0], asks, "Shorter.", NOW)
    assert kinds(honest) == ["run_task", "sync_status"]


def closing(number: int, *, merged: bool = False, base: str = "main") -> PullClosed:
    return PullClosed(
        repo=REPO,
        number=number,
        head_branch="b",
        head_sha=SHA,
        base_branch=base,
        merged=merged,
        merge_sha=SHA if merged else None,
        actor=DANA,
    )


@given(st.booleans(), st.sampled_from(["main", "release"]))
def test_no_agent_goes_on_mending_a_pull_request_that_people_closed_or_merged(
    merged: bool, base: str
) -> None:
    task = a_task(state="running", attempt=1, run=2, mode="fix", pull=14, head_sha=SHA)
    decision = life_pulls.task_closed(
        a_track(task, a_task("T-2")), task, closing(14, merged=merged, base=base), NOW
    )
    assert CancelRuns(tasks=("T-1",)) in decision.actions
    assert state_of(kept(decision)) == ("done" if merged and base == "main" else "held")


def test_what_the_first_run_made_is_not_thrown_away_where_people_merged_it_before_it_was_noted() -> None:
    task = a_task(state="running", attempt=1, run=1, branch="b")
    decision = life_pulls.task_closed(a_track(task, a_task("T-2")), task, closing(14, merged=True), NOW)
    assert (state_of(kept(decision)), kept(decision).tasks[0].pull) == ("done", 14)
    assert not any(isinstance(action, CancelRuns) for action in decision.actions)


def test_a_replaced_pull_request_that_people_merge_after_all_ends_the_later_attempt() -> None:
    task = a_task(state="running", attempt=3, run=3, mode="fix", pull=21, replaced=(14, 18))
    track = a_track(task, a_task("T-2"))
    assert {"pull:14", "pull:18", "pull:21"} <= set(track.keys())
    assert life_pulls.task_closed(track, task, closing(14), NOW) == Decision(track=track)
    assert life_pulls.task_closed(track, task, closing(14, merged=True, base="x"), NOW).actions == ()
    decision = life_pulls.task_closed(track, task, closing(14, merged=True), NOW)
    done = kept(decision).tasks[0]
    assert (done.state, done.pull, done.replaced) == ("done", 14, (18, 21))
    assert kinds(decision)[:2] == ["cancel_runs", "close_pull"]
    assert [a.number for a in decision.actions if isinstance(a, ClosePull)] == [21]


def test_a_replaced_pull_request_that_is_opened_again_is_told_what_that_means() -> None:
    task = in_review(pull=21, replaced=(14,))
    decision = life_pulls.replaced_reopened(a_track(task), task, 14, NOW)
    said = decision.actions[0]
    assert isinstance(said, PostComment)
    assert (said.number, "#21" in said.body, kept(decision).tasks[0]) == (14, True, task)


def test_changes_asked_for_while_an_agent_mends_the_pull_request_reach_it() -> None:
    task = a_task(state="running", attempt=1, run=2, mode="fix", pull=14, head_sha=SHA)
    event = ReviewSubmitted(repo=REPO, number=14, review=9, state="changes_requested", body="", author=DANA)
    decision = life_pulls.reviewed(a_track(task), task, event, "Shorter.", NOW)
    note = decision.actions[0]
    assert isinstance(note, NoteRun)
    assert (note.task, note.key) == ("T-1", "review-9")
    assert "Shorter." in note.note


def test_a_backlog_that_is_opened_again_is_in_review_as_it_is_now() -> None:
    cancelled = a_track(state="cancelled", backlog_pull=13, backlog_sha=SHA)
    decision = life_pulls.backlog_reopened(cancelled, "b" * 40, NOW, "dana")
    assert (kept(decision).state, decision.actions[0]) == ("review", ReportBacklog(sha="b" * 40))


def test_the_record_ends_nothing_that_goes_on_again() -> None:
    track = a_track(a_task(state="reverted"), record_pull=20)
    decision = life_pulls.record_closed(track, closing(20, merged=True), NOW)
    assert (decision.actions, kept(decision).record_pull) == ((SyncStatus(),), None)


def test_what_a_stopped_run_opens_too_late_is_closed() -> None:
    event = TaskProposed(task="T-1", attempt=1, run=1, pull=15, branch="b", head_sha=SHA)
    for track in (a_track(a_task(state="dropped")), a_track(a_task(), state="superseded")):
        decision = life_pulls.late(track, event)
        assert [a.number for a in decision.actions if isinstance(a, ClosePull)] == [15]
    known = a_track(a_task(state="held", pull=15))
    assert life_pulls.late(known, event).actions == ()


# --- tasks ---


def test_skipping_blocks_what_needs_it_and_frees_nothing_silently() -> None:
    track = a_track(a_task(state="running", attempt=1, run=1), a_task("T-2", depends_on=("T-1",)))
    decision = life_tasks.skip(track, track.tasks[0], "dana", NOW)
    assert kinds(decision) == ["cancel_runs", "sync_status"]
    assert [state_of(kept(decision), id_) for id_ in ("T-1", "T-2")] == ["dropped", "blocked"]
    assert life_tasks.needing(kept(decision), "T-1") == ["T-2"]


def test_the_last_task_skipped_is_recorded_by_a_pull_request_of_its_own() -> None:
    track = a_track(in_review())
    decision = life_tasks.skip(track, track.tasks[0], "dana", NOW)
    assert kinds(decision) == ["cancel_runs", "close_pull", "propose_record", "sync_status"]
    opened = life.record_proposed(kept(decision), RecordProposed(pull=20), NOW)
    assert kept(opened).record_pull == 20
    assert not any(isinstance(a, CloseTrack) for a in opened.actions)
    assert kinds(life.record_proposed(kept(decision), RecordProposed(pull=0), NOW)) == ["close_track"]


def test_without_records_the_end_waits_for_their_removal() -> None:
    track = a_track(a_task(state="done"), config=RepoConfig(keep_records=False))
    assert life.finish(track, NOW).actions == (ProposeRecord(),)
    assert life.finish(a_track(a_task(state="done")), NOW).actions == (CloseTrack(),)


def test_retrying_what_was_dropped_frees_what_it_had_blocked() -> None:
    track = a_track(a_task(state="running", attempt=1, run=1), a_task("T-2", depends_on=("T-1",)))
    dropped = kept(life_tasks.skip(track, track.tasks[0], "dana", NOW))
    again = kept(life_tasks.retry(dropped, dropped.tasks[0], "dana", NOW))
    assert [state_of(again, id_) for id_ in ("T-1", "T-2")] == ["running", "todo"]
    assert again.tasks[0].attempt == 2


@given(st.sampled_from(STATES), st.booleans())
def test_every_task_command_acts_or_says_why_not(state: TaskState, pull: bool) -> None:
    task = a_task(state=state, attempt=1, run=1, pull=14 if pull else None, head_sha=SHA)
    track = a_track(task, a_task("T-2"))
    answers = [
        life_tasks.skip(track, task, "dana", NOW),
        life_tasks.retry(track, task, "dana", NOW),
        life_tasks.regenerate(track, task, "Note.", "dana", NOW),
        life_tasks.rebase(track, task, "dana", NOW),
        life_tasks.revise(track, task, "Note.", "dana", "key", NOW),
    ]
    for answer in answers:
        if isinstance(answer, str):
            assert answer.endswith(".")
            assert "`T-1`" in answer
        else:
            assert SyncStatus() in answer.actions
            for action in answer.actions:
                assert ACTIONS.validate_json(ACTIONS.dump_json(action)) == action


def test_a_regenerated_task_has_the_note_as_evidence_and_a_retried_one_none() -> None:
    task = a_task(state="blocked", attempt=1, run=1, pull=14)
    track = a_track(task)
    regenerated = kept(life_tasks.regenerate(track, task, "Keep it short.", "dana", NOW)).tasks[0]
    assert [each.note for each in regenerated.evidence] == ["Keep it short."]
    assert (regenerated.attempt, regenerated.replaced) == (2, (14,))
    assert regenerated.regenerations == 0, "what people ask for is not counted"
    assert kept(life_tasks.retry(track, task, "dana", NOW)).tasks[0].evidence == ()


@given(st.booleans())
def test_what_people_want_again_waits_for_its_files_and_a_worker_like_anything_else(improved: bool) -> None:
    held = a_task(state="held", attempt=1, run=1, pull=14, scope=("a.py",))
    other = a_task("T-2", state="in_review", attempt=1, run=1, pull=15, scope=("a.py",), head_sha=SHA)
    track = a_track(held, other)
    again = (
        life_tasks.regenerate(track, held, "Shorter.", "dana", NOW)
        if improved
        else life_tasks.retry(track, held, "dana", NOW)
    )
    assert not any(isinstance(action, RunTask) for action in kept_actions(again))
    assert state_of(kept(again)) == "waiting"
    free = life_pulls.task_closed(kept(again), kept(again).tasks[1], closing(15, merged=True), NOW)
    assert RunTask(task="T-1", attempt=2, run=2) in free.actions
    begun = kept(free).tasks[0]
    assert (begun.replaced, len(begun.evidence), begun.regenerations) == ((14,), int(improved), 0)

    busy = [a_task(f"T-{n}", state="running", attempt=1, run=1) for n in (2, 3, 4)]
    waits = life_tasks.retry(a_track(held, *busy), held, "dana", NOW)
    assert (state_of(kept(waits)), kept(waits).tasks[0].note) == ("waiting", "too many open pull requests")


def test_nothing_is_tried_again_before_the_repository_is_healthy() -> None:
    stuck = a_task(state="blocked", attempt=1, run=1)
    again = life_tasks.retry(a_track(stuck, state="blocked", healthy=False), stuck, "dana", NOW)
    assert kinds(again) == ["sync_status"]


def test_a_note_reaches_the_running_agent() -> None:
    task = a_task(state="running", attempt=1, run=1)
    decision = life_tasks.revise(a_track(task), task, "Faster.", "dana", "comment-5", NOW)
    assert isinstance(decision, Decision)
    assert decision.actions[0] == NoteRun(task="T-1", note="Faster.", key="comment-5")
