"""Owns what follows from a failure: RebaseEngine's decision becomes the next step of an attempt, or the next attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from bot.core import life_seen, messages, messages_pulls, messages_push
from bot.core.actions import (
    Action,
    ClosePull,
    Decision,
    PostComment,
    RebaseTask,
    RunTask,
    SyncStatus,
    Timer,
)
from bot.core.base_wait import owes_work
from bot.core.events import ChecksDue, TaskAssessed, TaskRebased
from bot.core.evidence import Evidence
from bot.core.ids import task_branch
from bot.core.life import nothing, stamp
from bot.core.rebasing import RebaseDecision, RebaseEngine, Situation
from bot.core.sanitize import escape
from bot.core.track import RunMode, TaskTrack, Track

# How long to wait before looking at checks again; announced ones are looked at when they come.
LOOK_AGAIN = (15.0, 30.0, 60.0, 300.0, 900.0)  # seconds
FEEDBACK = 4_000  # characters that a run is told of what failed before
BEING_REBASED = "is being rebased"

Step = Callable[[Track, TaskTrack, TaskAssessed, RebaseDecision, datetime], Decision]


def task_assessed(track: Track, event: TaskAssessed, now: datetime, engine: RebaseEngine) -> Decision:
    """Decide what happens to a run or pull request that is red, messy or in conflict, and begin it."""
    task = track.task(event.task)
    if task is None or not life_seen.current(task, event):
        return nothing(track)
    situation = life_seen.complete(track, task, event)
    if not (situation.red or situation.conflicts or situation.where == "before_push"):
        return _only_behind(track, task, situation, now)
    decision = engine.decide(situation)
    if decision.kind == "rebase" and task.state == "checking" and task.rebasing == event.head_sha:
        return nothing(track)  # under way: it takes the default branch as it is when it comes to that
    owed = owes_work(task)
    task = replace(
        task,
        trend=situation.trend,
        decisions=(*task.decisions, decision.kind),
        rebasing="",
        waits_for_base=owed and decision.kind in {"rerun", "rebase"},
        # Words of a run that is over are nothing to wait with, and nothing to tell the next one.
        feedback=task.feedback if owed or situation.where == "before_push" else "",
        usage=task.usage + event.usage,
    )
    inputs = ", ".join(f"{name} {value}" for name, value in decision.inputs)
    track = replace(track.with_task(task), usage=track.usage + event.usage).noting(
        stamp(now),
        f"{task.id}: {event.text}; decided: {decision.kind.replace('_', ' ')}",
        f"{decision.why.rstrip('.')}; {inputs}" if inputs else decision.why,
        task.id,
    )
    return _STEPS[decision.kind](track, task, event, decision, now)


def _only_behind(track: Track, task: TaskTrack, situation: Situation, now: datetime) -> Decision:
    """Nothing is wrong with it: it is moved only where the settings always want that."""
    if track.config.rebase != "always" or not situation.behind:
        return nothing(track)
    track, actions = rebase(track, task, now, why="`rebase: always`")
    return Decision(track=track, actions=(*actions, SyncStatus()))


# --- one step for each decision --------------------------------------------------------------------


def _ask_person(
    track: Track, task: TaskTrack, event: TaskAssessed, decision: RebaseDecision, now: datetime
) -> Decision:
    said = event.situation.protected or event.situation.secrets  # the text says all that the decision says
    if event.situation.where == "after_push" and not task.judged:
        task = replace(
            task, judged=f"{event.head_sha} conflicted"
        )  # checks of this head can tell that it is over
    return stuck(track, task, event.text, event.details, now, why="" if said else decision.why)


def stuck(
    track: Track, task: TaskTrack, text: str, details: str, now: datetime, *, why: str = "", key: str = ""
) -> Decision:
    """Block a task and say what happened and what a person can do; `text` is one plain sentence.

    `key` tells apart what happens to the same run twice.
    """
    track = track.with_task(replace(task, state="blocked", note=text, rebasing="", waits_for_base=False))
    track = track.noting(stamp(now), f"{task.id} is blocked", why or text, task.id)
    where = f"#{task.pull} (`{task.id}`)" if task.pull else f"`{task.id}`"
    parts = [
        f"{where} is blocked in attempt {task.attempt}: {escape(text)}" + (f". {escape(why)}" if why else ""),
        details,
        messages_push.ways_out(task),
    ]
    said = PostComment(
        repo=track.repo,
        number=track.issue,
        body=messages.answer(
            track.id,
            f"{task.id}-a{task.attempt}-r{task.run}-{len(task.decisions)}{key}",
            "\n\n".join(part for part in parts if part),
            "problem",
        ),
    )
    return Decision(track=track, actions=(said, SyncStatus()))


def _rerun(
    track: Track, task: TaskTrack, event: TaskAssessed, _decision: RebaseDecision, _now: datetime
) -> Decision:
    if event.situation.where == "before_push":
        # It was run again already and passed: both outcomes stand in the history, the work goes on.
        run = RunTask(task=task.id, attempt=task.attempt, run=task.run, mode="publish", head=event.head_sha)
        return Decision(track=track, actions=(run,))
    note = "a check that passed before fails on the same commit: flaky"
    task = replace(task, state="checking", note=note, reruns=task.reruns + 1, judged="")
    return Decision(track=track.with_task(task), actions=(SyncStatus(),), timers=(look(task, 2),))


def _wait_for_base(
    track: Track, task: TaskTrack, event: TaskAssessed, _decision: RebaseDecision, now: datetime
) -> Decision:
    branch = track.repo.default_branch
    names = ", ".join(event.situation.fails_on_base[:3])
    if event.situation.where == "before_push" and not may_run_again(track, task):
        # Whatever is pushed there next may leave it red, and each time a run would be paid.
        text = f"{branch} fails in the same way ({names}), and this was tried as often as the settings allow: mend {branch} first"
        return stuck(track, task, text, event.details, now)
    note = f"fails on {branch} too ({names}): waits until {branch} moves"
    # An open pull request stays what it is about, also where only a run that was to mend it met this.
    state = "waiting" if task.pull is None else "checking"
    task = replace(task, state=state, note=note, waits_for_base=True)  # type: ignore[arg-type]  # both are TaskStates
    return Decision(track=track.with_task(task), actions=(SyncStatus(),))


def _rebase(
    track: Track, task: TaskTrack, _event: TaskAssessed, decision: RebaseDecision, now: datetime
) -> Decision:
    track, actions = rebase(track, task, now, why=decision.why)
    return Decision(track=track, actions=(*actions, SyncStatus()))


def _rebase_and_fix(
    track: Track, task: TaskTrack, event: TaskAssessed, _decision: RebaseDecision, now: datetime
) -> Decision:
    conflicts = tuple(path for path in event.situation.conflicts if path not in event.situation.mechanical)
    given = tuple(dict.fromkeys([*task.conflict_given, *conflicts]))
    names = "\n".join(f"- {path}" for path in conflicts)
    feedback = (
        f"The default branch changed the same lines. These files hold conflict markers now:\n{names}\n"
        "Resolve only these conflicts: keep what both sides want, and leave no marker."
    )
    task = replace(task, fixes=task.fixes + 1, conflict_given=given, onto=event.tip)
    return _again(track, task, "conflict", event.head_sha, feedback, now)


def _fix_forward(
    track: Track, task: TaskTrack, event: TaskAssessed, _decision: RebaseDecision, now: datetime
) -> Decision:
    names = "\n".join(f"- {name}" for name in event.situation.failing[:20])
    feedback = f"{event.text}\n{names}\n{event.output}"[:FEEDBACK]
    return _again(track, replace(task, fixes=task.fixes + 1), "fix", event.head_sha, feedback, now)


def _regenerate(
    track: Track, task: TaskTrack, event: TaskAssessed, decision: RebaseDecision, now: datetime
) -> Decision:
    evidence = Evidence(
        attempt=task.attempt,
        failing=event.situation.failing[:20],
        output=event.output[:FEEDBACK],
        outside=event.outside[:20],
        drift=event.situation.drifted,
        messy=event.situation.messy,
    )
    track, actions = next_attempt(track, task, now, why=decision.why, evidence=evidence)
    return Decision(track=track, actions=(*actions, SyncStatus()))


_STEPS: dict[str, Step] = {
    "ask_person": _ask_person,
    "rerun": _rerun,
    "wait_for_base": _wait_for_base,
    "rebase": _rebase,
    "rebase_and_fix": _rebase_and_fix,
    "fix_forward": _fix_forward,
    "regenerate": _regenerate,
}


# --- what decisions and people's commands have in common --------------------------------------------


def _again(track: Track, task: TaskTrack, mode: RunMode, head: str, feedback: str, now: datetime) -> Decision:
    track, run = _run_on(track, task, mode, head, _told(feedback, task.feedback), now)
    return Decision(track=track, actions=(run, SyncStatus()))


def _told(feedback: str, before: str) -> str:
    """Say what is wanted now, and what an earlier run was asked for whose work is on no branch yet."""
    rest = f"\n\nThe run before was told:\n{before}"[: FEEDBACK // 2] if before else ""
    return feedback[: FEEDBACK - len(rest)] + rest


def _run_on(
    track: Track, task: TaskTrack, mode: RunMode, head: str, feedback: str, now: datetime
) -> tuple[Track, RunTask]:
    """Start another run inside the attempt, from what it has made so far."""
    task = replace(
        task,
        state="running",
        note="",
        run=task.run + 1,
        mode=mode,
        from_sha=head,
        feedback=feedback,
        rebasing="",
        waits_for_base=False,
        ask=None,
        approved="",
    )
    track = replace(track.with_task(task), runs=track.runs + 1).noting(
        stamp(now), f"started run {task.run} of {task.id} in attempt {task.attempt}", mode, task.id
    )
    return track, RunTask(task=task.id, attempt=task.attempt, run=task.run, mode=mode, head=head)


def may_run_again(track: Track, task: TaskTrack) -> bool:
    """Tell whether the settings allow another paid run where one came to nothing: a fix, or a new attempt."""
    limits = track.config.limits
    return task.fixes < limits.fix_forward if task.pull is not None else task.attempt < limits.attempts


def run_again(track: Track, task: TaskTrack, now: datetime) -> tuple[Track, RunTask]:
    """Start a run again that was lost, or came to nothing: the next run of the same attempt, from where it began.

    Where it only pushed what a person had let through, that is pushed again and no agent runs.
    """
    if task.ask is not None and task.approved:
        return track, RunTask(
            task=task.id, attempt=task.attempt, run=task.run, mode="publish", head=task.ask.sha
        )
    head = task.from_sha or task.head_sha
    if task.mode in {"fix", "conflict"} and head:
        return _run_on(track, task, task.mode, head, task.feedback, now)
    return _run_on(track, task, "fresh", "", task.feedback, now)


def fix(track: Track, task: TaskTrack, now: datetime, feedback: str) -> tuple[Track, tuple[Action, ...]]:
    """Have the agent go on from the branch's head with people's words; what they ask for is not counted."""
    told = _told(feedback, task.feedback if owes_work(task) else "")
    track, run = _run_on(track, task, "fix", task.head_sha or "", told, now)
    return track, (run,)


def rebase(track: Track, task: TaskTrack, now: datetime, *, why: str) -> tuple[Track, tuple[Action, ...]]:
    """Put the attempt's work onto the default branch's head without an agent."""
    waiting = replace(task, state="checking", note=BEING_REBASED)
    waiting = replace(waiting, rebasing=task.head_sha or "")
    track = track.with_task(waiting).noting(stamp(now), f"rebases {task.id}", why, task.id)
    action = RebaseTask(task=task.id, attempt=task.attempt, head_sha=task.head_sha or "")
    return track, (action,)


def next_attempt(
    track: Track, task: TaskTrack, now: datetime, *, why: str, evidence: Evidence | None = None
) -> tuple[Track, tuple[Action, ...]]:
    """Begin anew from a fresh base, from an improved spec where there is evidence; the branch of before is kept."""
    track, closing = put_back(track, task, why=why, evidence=evidence)
    task = track.task(task.id) or task
    task = replace(
        task,
        state="running",
        note="",
        attempt=task.attempt + 1,
        run=task.run + 1,
        branch=task_branch(track.config.branch_prefix, track.id, task.id, task.attempt + 1),
        regenerations=task.regenerations + (evidence is not None),
    )
    spec = f", spec version {task.spec}" if task.evidence else ""
    track = replace(track.with_task(task), runs=track.runs + 1).noting(
        stamp(now), f"started attempt {task.attempt} of {task.id}{spec}", why, task.id
    )
    return track, (*closing, RunTask(task=task.id, attempt=task.attempt, run=task.run))


def put_back(
    track: Track, task: TaskTrack, *, why: str, evidence: Evidence | None = None
) -> tuple[Track, tuple[ClosePull, ...]]:
    """Forget how far an attempt came, but not what it taught; the next one begins when its turn comes."""
    open_pull = None if task.state == "reverted" else task.pull  # what was merged stays merged
    fresh = TaskTrack(
        id=task.id,
        title=task.title,
        kind=task.kind,
        priority=task.priority,
        estimate=task.estimate,
        votes=task.votes,
        depends_on=task.depends_on,
        scope=task.scope,
        acceptance=task.acceptance,
        attempt=task.attempt,
        run=task.run,
        regenerations=task.regenerations,
        evidence=(*task.evidence, evidence) if evidence else task.evidence,
        replaced=(*task.replaced, open_pull) if open_pull else task.replaced,
        decisions=task.decisions,
        usage=task.usage,
    )
    track = track.with_task(fresh)
    if open_pull is None:
        return track, ()
    return track, (ClosePull(number=open_pull, body=messages_pulls.replaced(track, task, fresh, why)),)


def task_rebased(track: Track, event: TaskRebased, now: datetime) -> Decision:
    """The branch has a new head: its checks come next."""
    task = track.task(event.task)
    if task is None or task.attempt != event.attempt or not task.rests:
        return nothing(track)
    task = replace(
        task.at_head(event.head_sha), state="checking", note="", onto=event.onto, rebasing="", judged=""
    )
    track = track.with_task(task).noting(
        stamp(now), f"rebased {task.id}", f"onto {event.onto[:12]}, now {event.head_sha[:12]}", task.id
    )
    return Decision(track=track, actions=(SyncStatus(),), timers=(look(task, 0),))


def look(task: TaskTrack, step: int) -> Timer:
    """Look at a task's checks after a while, whatever was announced; `step` counts the looks in vain."""
    return Timer(
        id=f"checks:{task.id}",
        after=timedelta(seconds=LOOK_AGAIN[step]),
        event=ChecksDue(task=task.id, head_sha=task.head_sha or "", waited=step),
    )
