"""Owns what people make of the backlog's pull request, and what they write into its file afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.core import leases, messages
from bot.core.actions import CheckHealth, Decision, PostComment, SyncPlan, SyncStatus
from bot.core.backlog import BacklogTask, Loaded
from bot.core.events import PullClosed
from bot.core.life import block, finish, moment, nothing, say, stamp
from bot.core.life_planning import begin_again
from bot.core.life_work import start_ready
from bot.core.sanitize import code
from bot.core.track import SETTLED, STARTABLE, STUCK, TaskTrack, Track


def backlog_closed(track: Track, event: PullClosed, loaded: Loaded | None, now: datetime) -> Decision:
    """Start the work with exactly what was merged, or say why not."""
    if not event.merged:
        track = replace(track, state="cancelled").noting(stamp(now), f"#{event.number} was closed unmerged")
        text = f"Cancelled: #{event.number} was closed without merging. {begin_again(track)}"
        return say(track, "backlog-closed", text, now)
    if event.base_branch != track.repo.default_branch:
        text = (
            f"#{event.number} was merged into {code(event.base_branch)}, not into "
            f"{code(track.repo.default_branch)}, so nothing starts. The work starts when "
            f"`{track.folder}/BACKLOG.yaml` arrives on {code(track.repo.default_branch)}."
        )
        why = f"#{event.number} was merged into {event.base_branch}, not into {track.repo.default_branch}"
        return block(replace(track, merged_sha=event.merge_sha), "backlog-base", why, text, now)
    track = replace(track, merged_sha=event.merge_sha)
    return backlog_merged(track, loaded, now)


def backlog_merged(track: Track, loaded: Loaded | None, now: datetime) -> Decision:
    """Take the merged file as the contract; an invalid one starts nothing until a valid one is pushed."""
    path = f"{track.folder}/BACKLOG.yaml"
    if loaded is None:
        why = f"{path} is not on the default branch"
        return block(
            track,
            "backlog-missing",
            why,
            f"`{path}` is not on the default branch, so nothing starts. Push it to start.",
            now,
        )
    if loaded.backlog is None:
        lines = messages.problem_lines(loaded.problems)
        text = f"`{path}` was merged but cannot be read, so nothing starts. Push a valid file to start.\n\n{lines}"
        return block(track, "backlog-invalid", f"{path} cannot be read", text, now)
    settled = (SyncPlan(),) if track.plan and track.plan.minority else ()  # its boxes mean nothing any more
    track = replace(
        track,
        state="working",
        problem="",
        plan=None,
        tasks=tuple(begun_from(task) for task in loaded.backlog.tasks),
    ).noting(stamp(now), f"the backlog of {messages.count(len(loaded.backlog.tasks), 'task')} was merged")
    if all(task.state in SETTLED for task in track.tasks):
        return finish(track, now)
    return Decision(track=track, actions=(CheckHealth(before="work"), *settled, SyncStatus()))


def begun_from(task: BacklogTask) -> TaskTrack:
    """Take a task as its file has it."""
    return TaskTrack(
        id=task.id,
        title=task.title,
        kind=task.kind,
        priority=task.priority,
        estimate=task.estimate,
        votes=task.votes,
        depends_on=tuple(task.depends_on),
        scope=tuple(task.scope.paths),
        acceptance=tuple(task.acceptance),
        state="todo" if task.status == "todo" else task.status,
    )


def backlog_changed(track: Track, loaded: Loaded, now: datetime) -> Decision:
    """Honour what people wrote on the default branch: done, dropped and new tasks of a valid file."""
    if loaded.backlog is None:
        lines = messages.problem_lines(loaded.problems)
        track = replace(track, readable=False).noting(
            stamp(now), "the backlog on the default branch cannot be read; nothing new starts before it can"
        )
        return say(track, "backlog-invalid", f"The backlog cannot be read.\n\n{lines}", now)
    known = {task.id: task for task in track.tasks}
    tasks = tuple(_honoured(known.get(t.id), begun_from(t)) for t in loaded.backlog.tasks)
    # A task that has begun is not forgotten with its line: its agent runs, its pull request is open.
    written = {task.id for task in tasks}
    tasks += tuple(task for task in track.tasks if task.id not in written and task.attempt > 0)
    if tasks == track.tasks and track.readable:
        return nothing(track)
    before = track
    track = replace(track, tasks=tasks, readable=True).noting(
        stamp(now), "took over changes of the backlog on the default branch"
    )
    track, runs = start_ready(track, now)
    if all(task.state in SETTLED for task in track.tasks):
        return finish(track, now)
    return Decision(track=track, actions=(*runs, *_asked(track, before, now), SyncStatus()))


def _honoured(known: TaskTrack | None, written: TaskTrack) -> TaskTrack:
    # What is merged is what runs next; a settled line settles what has not begun or is stuck.
    if known is None:
        return written
    if _set_back(known, written):
        return replace(_reworded(known, written), state="reverted", note="its line was set back to todo")
    if known.state in SETTLED:
        return known
    if known.state == "blocked" and known.attempt == 0:
        return written  # it waits for a word of people, and this may be it
    # An open pull request is settled by merging or closing it.
    open_pull = known.pull is not None and known.state == "waiting"
    idle = known.state in STUCK or (known.state in STARTABLE and not open_pull)
    if written.state in SETTLED and idle:
        return replace(known, state=written.state, note="")
    return _reworded(known, written)


def _reworded(known: TaskTrack, written: TaskTrack) -> TaskTrack:
    """Take over what people changed of a task; what its open pull request may touch stays leased."""
    moved = leases.holds(known) and known.scope != written.scope
    return replace(
        known,
        title=written.title,
        kind=written.kind,
        priority=written.priority,
        estimate=written.estimate,
        votes=written.votes,
        depends_on=written.depends_on,
        scope=written.scope,
        acceptance=written.acceptance,
        leased=tuple(dict.fromkeys((*known.leased, *known.scope))) if moved else known.leased,
    )


def _set_back(known: TaskTrack, written: TaskTrack) -> bool:
    """A line that says todo after it said otherwise; one that a command dropped is only not yet written."""
    return known.state in SETTLED and written.state == "todo" and not known.skipped


def sets_back(track: Track, loaded: Loaded | None) -> bool:
    """Tell whether a file says todo of a task that was settled: worth a second look at the newest commit."""
    if loaded is None or loaded.backlog is None:
        return False
    known = {task.id: task for task in track.tasks}
    return any(t.id in known and _set_back(known[t.id], begun_from(t)) for t in loaded.backlog.tasks)


def _asked(track: Track, before: Track, now: datetime) -> tuple[PostComment, ...]:
    """Ask what to do about tasks whose lines were set back: they are never run unasked."""
    asked = []
    for task in track.tasks:
        old = before.task(task.id)
        if task.state != "reverted" or old is None or old.state == "reverted":
            continue
        merged = f"was merged with #{task.pull}" if task.pull else f"was {messages.TASK_WORDS[old.state]}"
        text = (
            f"`{task.id}` {merged}, and its line in `{track.folder}/BACKLOG.yaml` says `todo` again. It is not run "
            f"unasked: `/agent retry {task.id}` runs it again; `status: done` or `dropped` in its line leaves it."
        )
        body = messages.answer(track.id, f"{task.id}-reverted-{moment(now)}", text, "problem")
        asked.append(PostComment(repo=track.repo, number=track.issue, body=body))
    return tuple(asked)
