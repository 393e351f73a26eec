"""Owns a track's life from the merged backlog to the last merged pull request."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.core import leases, life_repair, messages, messages_pulls, schedule
from bot.core.actions import (
    Action,
    AssessTask,
    Decision,
    MakePlan,
    PostComment,
    SyncStatus,
)
from bot.core.base_wait import owes_work, waits_for_base
from bot.core.events import ActionFailed, HealthChecked, TaskFailed, TaskProposed
from bot.core.life import block, nothing, say, stamp
from bot.core.life_planning import begin_again
from bot.core.life_repair import look
from bot.core.sanitize import code, escape, inline
from bot.core.track import OPEN_PULL, STARTABLE, STUCK, TaskState, TaskTrack, Track

BUSY: frozenset[TaskState] = frozenset({"running", *OPEN_PULL})
TELLING = frozenset({"sync_status", "post_comment", "react", "fold_plan"})
# What fails beside the work is told, and the work goes on.
ASIDE = frozenset(
    {
        "cancel_runs",
        "close_pull",
        "edit_backlog",
        "include_tasks",
        "note_run",
        "reopen_pull",
        "report_backlog",
        "report_task",
        "revise_backlog",
        "sync_plan",
    }
)
FAILURES_WORTH_A_RETRY = frozenset({"crash", "stall", "no_change"})


def health_checked(track: Track, event: HealthChecked, now: datetime) -> Decision:
    """Go on to planning or to work, or block and name each finding with its remedy."""
    track = replace(
        track,
        findings=event.findings,
        config=event.config,
        config_problems=event.config_problems,
        base_sha=event.base_sha or track.base_sha,
        tests=event.tests,
        known_failing=event.known_failing,
    )
    stop = [finding for finding in event.findings if finding.level == "blocking"]
    if stop:
        then = (
            begin_again(track)
            if event.before == "planning"
            else f"Every push to {code(track.repo.default_branch)} is looked at again."
        )
        text = f"Not ready for {event.before}:\n\n{messages.findings(stop)}\n\n{then}"
        return block(track, f"health-{event.before}", "; ".join(each.text for each in stop), text, now)
    if event.before == "planning":
        track = track.noting(stamp(now), "health checked, planning began", _finding_codes(event))
        return Decision(track=track, actions=(MakePlan(base_sha=event.base_sha),))
    track = replace(track, state="working", healthy=True, problem="").noting(
        stamp(now), "health checked, work began", _finding_codes(event)
    )
    track, runs = start_ready(track, now)
    return Decision(track=track, actions=(*runs, SyncStatus()))


def _finding_codes(event: HealthChecked) -> str:
    return ", ".join(dict.fromkeys(f"{f.code} {f.level}" for f in event.findings))


def start_ready(track: Track, now: datetime) -> tuple[Track, tuple[Action, ...]]:
    """Start what can start: dependencies merged, a worker free, no scope in use, not too many pull requests open."""
    if track.state not in {"working", "blocked"} or not track.healthy or not track.readable:
        return track, ()
    track = _without_needs(track)
    busy = [task for task in track.tasks if leases.holds(task)]
    running = sum(task.state == "running" for task in busy)
    begun = {
        task.id
        for task in track.tasks
        if task.state not in STARTABLE or waits_for_base(task) or task.reopened or task.asks
    }
    ready = [
        task for task in schedule.ready_tasks([t.as_written() for t in track.tasks]) if task.id not in begun
    ]
    start, waiting = schedule.startable(
        ready,
        (*leases.held(track), *track.foreign),
        free_workers=track.config.limits.workers - running,
        free_pulls=track.config.limits.max_open_prs - len(busy),
        track=track.id,
        overlap=track.config.overlap,
    )
    for wait in waiting:
        task = track.task(wait.task)
        if task is not None:
            track = track.with_task(replace(task, state="waiting", note=_waits_for(wait)))
    runs: list[Action] = []
    for chosen in start:
        task = track.task(chosen.id)
        if task is not None:
            track, more = life_repair.next_attempt(
                track, task, now, why="dependencies merged, a worker is free"
            )
            runs += more
    return assessed(track), tuple(runs)


def _without_needs(track: Track) -> Track:
    """Block what depends on a dropped task: it is never freed silently, a person decides."""
    dropped = {task.id for task in track.tasks if task.state == "dropped"}
    for task in track.tasks:
        needs = [need for need in task.depends_on if need in dropped]
        if needs and task.state in STARTABLE:
            note = f"needs {', '.join(needs)}, which was dropped; take that out of its depends_on, or drop it too"
            track = track.with_task(replace(task, state="blocked", note=note))
    return track


def assessed(track: Track) -> Track:
    """Call the track blocked where nothing goes on before a person mends something, else working."""
    if track.state not in {"working", "blocked"} or not track.healthy:
        return track
    stuck = [task for task in track.tasks if task.state in STUCK]
    goes_on = any(task.state in BUSY or task.asks or waits_for_base(task) for task in track.tasks)
    if not stuck or goes_on or leases.waits_for_others(track):
        return replace(track, state="working", problem="")
    lines = "\n".join(f"- `{task.id}` is {task.state}: {inline(task.note)}" for task in stuck)
    again = "`/agent retry <task>`, `/agent skip <task>`" if track.issue else "run the same command again"
    then = (
        f"For each of them: {again}, push a fix to the branch of its open pull request, or set its `status` to "
        f"`done` or `dropped` in `{track.folder}/BACKLOG.yaml` on {code(track.repo.default_branch)}."
    )
    text = f"Nothing can go on before this is mended:\n\n{lines}\n\n{then}"
    return replace(track, state="blocked", problem=text)


def _waits_for(wait: schedule.Waiting) -> str:
    words = {
        "lease": "its files are in use by",
        "workers": "no worker is free",
        "open_prs": "too many open pull requests",
    }
    return f"{words[wait.reason]} {wait.what}".strip()


def task_proposed(track: Track, event: TaskProposed, now: datetime) -> Decision:
    """A run has its pull request, or has mended it: its checks come next, and its worker is free for another task."""
    task = track.task(event.task)
    if task is None or task.attempt != event.attempt or task.state != "running":
        return nothing(track)  # people merged or dropped it before this was noted
    what = "updated" if task.pull == event.pull else "opened"
    what = "left a run's work out of" if event.left_out else what
    task = replace(
        task,
        state="checking",
        pull=event.pull,
        head_sha=event.head_sha,
        verified=event.verified,
        verified_sha=event.head_sha if event.verified else "",
        usage=task.usage + event.usage,
        branch=event.branch,
        leased=tuple(
            dict.fromkeys((*task.leased, *event.outside))
        ),  # what is in the pull request stays leased
        trend=task.trend if event.left_out else (*task.trend, 0),  # nothing failed before the push
        passed=(),
        judged="",
        reruns=0,
        feedback="",
        ask=None,
        approved="",
    )
    track = replace(track.with_task(task), usage=track.usage + event.usage).noting(
        stamp(now), f"{what} #{event.pull} for {task.id}", "; ".join(event.notes), task.id
    )
    told: tuple[Action, ...] = ()
    if event.left_out:
        body = messages_pulls.left_out(track, task)
        told = (PostComment(repo=track.repo, number=event.pull, body=body),)
    if event.unheard:
        track, fixes = life_repair.fix(track, task, now, "\n\n".join(event.unheard))
        track, runs = start_ready(track, now)
        return Decision(track=track, actions=(*told, *fixes, *runs, SyncStatus()))
    track, runs = start_ready(track, now)
    later = look(task, 0)
    if task.announced == event.head_sha:
        later = replace(later, after=timedelta())
    return Decision(track=track, actions=(*told, *runs, SyncStatus()), timers=(later,))


def task_failed(track: Track, event: TaskFailed, now: datetime) -> Decision:
    """Try again where that can help, else block the task and say what happened and what to do."""
    task = track.task(event.task)
    if task is None or task.attempt != event.attempt or task.state != "running":
        return nothing(track)
    task = replace(task, usage=task.usage + event.usage)
    track = replace(track.with_task(task), usage=track.usage + event.usage)
    why = f"{event.reason}: {event.text}"
    again = event.reason in FAILURES_WORTH_A_RETRY and life_repair.may_run_again(track, task)
    if again and task.pull is not None:
        # The pull request stands: what failed is only the run that was to mend it.
        track, run = life_repair.run_again(track, replace(task, fixes=task.fixes + 1), now)
        return Decision(track=track, actions=(run, SyncStatus()))
    if again:
        track, more = life_repair.next_attempt(track, task, now, why=why)
        return Decision(track=track, actions=(*more, SyncStatus()))
    return _stuck(track, task, event.text + _still_wrong(task), event.details, now)


def _stuck(track: Track, task: TaskTrack, text: str, details: str, now: datetime) -> Decision:
    """Block a task, and give its worker to another one."""
    blocked = life_repair.stuck(track, task, text, details, now)
    assert blocked.track is not None
    track, runs = start_ready(blocked.track, now)
    return Decision(track=track, actions=(*runs, *blocked.actions))


def _still_wrong(task: TaskTrack) -> str:
    """Name what a run was to mend that came to nothing; "" where nothing was red, or a person gave it its words."""
    first = task.feedback.partition("\n")[0].rstrip(".")
    red = task.trend[-1:] not in {(), (0,)}
    return f"; it was to mend this: {first}" if red and first and not first.endswith(":") else ""


def base_moved(track: Track, now: datetime) -> tuple[Track, tuple[Action, ...]]:
    """Look again at what the default branch decides about: open pull requests, and what failed there too."""
    actions: list[Action] = []
    for task in track.tasks:
        if owes_work(task):
            # From the branch as it is now: people may have pushed since.
            wanted = replace(task, from_sha="", fixes=task.fixes + 1)
            track, run = life_repair.run_again(track, wanted, now)
            actions.append(run)
        elif task.pull is not None and task.head_sha and task.state in OPEN_PULL:
            alone = not task.waits_for_base and track.config.rebase != "always"
            task = replace(task, waits_for_base=False, judged="" if task.waits_for_base else task.judged)
            track = track.with_task(task)
            actions.append(
                AssessTask(
                    task=task.id, attempt=task.attempt, head_sha=str(task.head_sha), only_conflicts=alone
                )
            )
        elif task.pull is None and waits_for_base(task):
            track = track.with_task(replace(task, waits_for_base=False, note=""))
    track, runs = start_ready(track, now)
    return track, (*actions, *runs)


def action_failed(track: Track, event: ActionFailed, now: datetime) -> Decision:
    """An action was given up: the track or its task is blocked, and people read why."""
    text = f"`{event.what}` failed: {escape(event.error)}"
    if event.what in TELLING:
        # What cannot be posted cannot be told by a post either: no chain of failing comments.
        again = () if event.what == "sync_status" else (SyncStatus(),)
        return Decision(track=track.noting(stamp(now), f"{event.what} failed", event.error), actions=again)
    if event.what in ASIDE:
        track = track.noting(stamp(now), f"{event.what} failed", event.error, event.task)
        return say(track, f"failed-{event.what}", text, now)
    if event.task is None:
        then = _tried_again(track)
        return block(track, f"failed-{event.what}", f"{event.what} failed", f"{text}\n\n{then}", now)
    task = track.task(event.task)
    if task is None or (task.state != "running" and event.what not in {"assess_task", "rebase_task"}):
        return Decision(track=track.noting(stamp(now), f"{event.what} failed", event.error, event.task))
    return _stuck(track, task, f"{event.what} failed: {event.error}", "", now)


def _tried_again(track: Track) -> str:
    """Say what gets a track going again whose own step was given up."""
    if not track.tasks:
        return begin_again(track)
    if not track.healthy:
        return f"Every push to {code(track.repo.default_branch)} is looked at again."
    return "It is tried again within the hour."
