"""Owns taking a track up again that the database does not know: from its status comment, git and its pull requests.

Truth order: a merged pull request of the bot, then the status line on the default branch, then the block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bot.core.actions import Action, CheckHealth, Decision, ReportBacklog, SyncStatus, Timer
from bot.core.backlog import BacklogTask, Loaded
from bot.core.config import RepoConfig
from bot.core.events import PullClosed
from bot.core.ids import TrackId, backlog_branch, task_branch
from bot.core.life import finish, stamp
from bot.core.life_backlog import backlog_closed, backlog_merged, begun_from
from bot.core.life_hold import held
from bot.core.life_pulls import take_up
from bot.core.life_repair import look, rebase, run_again
from bot.core.life_work import assessed, start_ready
from bot.core.planning import MergedPlan
from bot.core.restoring_review import going_on, included, settled
from bot.core.snapshot import Block
from bot.core.track import HELD, OPEN_PULL, SETTLED, STUCK, Frozen, TaskTrack, Track
from bot.core.values import Actor, Pull, Repo, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The newest attempt of a task that left a trace, with its pull request where it has one."""

    number: int
    pull: Pull | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What is left of a track outside the database."""

    repo: Repo
    issue: int
    block: Block
    written_at: str  # when the status comment was written, by the forge's clock
    config: RepoConfig
    config_problems: tuple[str, ...] = ()
    frozen: Frozen
    plan: MergedPlan | None = None
    loaded: Loaded | None = None  # the backlog on the default branch
    reviewed: Loaded | None = None  # the one in its open pull request
    backlog_pull: Pull | None = None
    attempts: Mapping[str, Attempt] = field(default_factory=dict)


# --- the track -----------------------------------------------------------------------------------------


def rebuilt(seen: Remains, now: datetime) -> Track:
    """Build the track as it was; nothing is begun yet."""
    block = seen.block
    used = block.usage
    track = Track(
        id=TrackId(block.track),
        repo=seen.repo,
        issue=seen.issue,
        round=block.round,
        state=block.state,
        frozen=seen.frozen,
        config=seen.config,
        config_problems=seen.config_problems,
        started_at=block.started or stamp(now),
        base_sha=block.base_sha,
        tests=block.tests,
        known_failing=tuple(seen.config.known_failing),
        backlog_branch=backlog_branch(seen.config.branch_prefix, block.track),
        backlog_pull=seen.backlog_pull.number if seen.backlog_pull else block.backlog_pull,
        backlog_sha=seen.backlog_pull.head_sha if seen.backlog_pull else None,
        merged_sha=block.merged_sha,
        healthy=block.healthy,
        readable=block.readable,
        problem=block.problem,
        usage=Usage(used[0], used[1], used[2], used[3]) if used else Usage(),
        runs=block.runs,
        answered=block.answered,
        promised=block.promises(),
        ticks=block.ticks,
        plan=seen.plan,
        included=included(block.inclusions(), seen.plan, seen.reviewed),
        resume_to=block.resume_to,
        stale=block.stale,
        budget_usd=block.budget_usd,
        record_pull=block.record_pull,
        closed=block.closed,
        label=block.label,
        gone=block.gone,
        tasks=_tasks(seen),
        heard_until=seen.written_at,
    )
    if seen.frozen.sha256 != block.issue_sha256:
        why = "the text of before stood nowhere but in the database"
        track = track.noting(stamp(now), "the issue is read anew", why)
    return track.noting(stamp(now), "taken up again from this comment", "the database did not know the track")


def _tasks(seen: Remains) -> tuple[TaskTrack, ...]:
    block = seen.block
    if not block.tasks and not block.healthy:
        return ()
    loaded = seen.loaded.backlog if seen.loaded else None
    written = {task.id: task for task in loaded.tasks} if loaded else {}
    # What has begun is not forgotten with its line.
    ids = [
        *written,
        *(id_ for id_, entry in block.tasks.items() if id_ not in written and (entry[1] or not loaded)),
    ]
    return tuple(_task(seen, id_, written.get(id_)) for id_ in ids)


def _task(seen: Remains, id_: str, written: BacklogTask | None) -> TaskTrack:
    task = begun_from(written) if written else TaskTrack(id=id_, title=id_)
    entry = seen.block.tasks.get(id_)
    if entry is not None:
        state, attempt, run, pull = entry
        more = seen.block.more.get(id_)
        task = replace(
            task, state=state, attempt=attempt, run=run, pull=pull, **(more.given() if more else {})
        )
    if task.ask is not None:  # what was not pushed is lost with the mirror: it is made again
        task = replace(task, ask=None, state="running" if task.state == "waiting" else task.state)
    found = seen.attempts.get(id_)
    if found is not None:
        task = _with_pull(seen, task, found)
    if task.attempt:
        branch = task_branch(seen.config.branch_prefix, seen.block.track, id_, task.attempt)
        task = replace(task, branch=found.pull.head_branch if found and found.pull else branch)
    return _by_line(seen, task, written)


def _with_pull(seen: Remains, task: TaskTrack, found: Attempt) -> TaskTrack:
    """Follow the pull request: it may be newer than the block, and it may be merged or closed."""
    pull = found.pull
    if found.number > task.attempt:
        task = replace(
            task,
            state="running",
            attempt=found.number,
            run=max(task.run + 1, found.number),
            replaced=(*task.replaced, task.pull) if task.pull else task.replaced,
            pull=None,
            mode="fresh",
            from_sha="",
            trend=(),
            fixes=0,
        )
    if pull is None or (pull.number in task.replaced and not pull.merged):
        return task
    if pull.merged and pull.base_branch == seen.repo.default_branch:
        return replace(task, state="done", note="", pull=pull.number)
    if pull.state != "open":
        if task.state in OPEN_PULL or task.pull is None:
            why = "merged elsewhere" if pull.merged else "closed"
            return replace(task, state="held", note=f"#{pull.number} was {why}", pull=pull.number)
        return task
    moved = task.mode == "fresh" or pull.head_sha != (task.head_sha or task.from_sha)
    if task.state == "running" and moved:
        # The run was over: what it made is there.
        task = replace(task, state="checking", note="", trend=(*task.trend, 0), feedback="")
    elif task.state == "running":
        task = replace(task, from_sha=pull.head_sha)  # what was made before and not pushed is lost
    if pull.head_sha != task.head_sha:
        task = replace(task, passed=(), reruns=0)
    return replace(task, pull=pull.number, head_sha=pull.head_sha)


def _by_line(seen: Remains, task: TaskTrack, written: BacklogTask | None) -> TaskTrack:
    """Let the status line on the default branch decide, where no merged pull request does."""
    if written is None:
        return task
    if written.status == "todo":
        if task.state in SETTLED and not task.skipped:
            return replace(task, state="reverted", note="its line was set back to todo")
        return task
    if task.untouched or task.state in STUCK:
        return replace(task, state=written.status, note="")
    return task


# --- what goes on ----------------------------------------------------------------------------------------


def restored(track: Track, seen: Remains, now: datetime) -> Decision:
    """Go on where the track was; one that has ended is only known again."""
    if track.ended:
        return Decision(track=track)
    track, told = settled(track)
    if track.state in HELD:
        decision = held(track, lambda awake: _go_on(awake, seen, now))
    else:
        decision = _go_on(track, seen, now)
    return replace(decision, actions=(*told, *decision.actions))


def _go_on(track: Track, seen: Remains, now: datetime) -> Decision:
    if track.tasks:
        return _work(track, now)
    if track.state == "blocked" or track.gone:
        return Decision(track=track, actions=(SyncStatus(),))
    pull = seen.backlog_pull
    if pull is None and seen.loaded is not None:
        return backlog_merged(track, seen.loaded, now)
    if pull is None:
        return Decision(track=track, actions=(SyncStatus(), CheckHealth(before="planning")))
    if pull.state == "open":
        track = replace(track, state="review")
        report = ReportBacklog(sha=pull.head_sha)
        return Decision(track=track, actions=(report, *going_on(track), SyncStatus()))
    closed = PullClosed(
        repo=track.repo,
        number=pull.number,
        head_branch=pull.head_branch,
        head_sha=pull.head_sha,
        base_branch=pull.base_branch,
        merged=pull.merged,
        merge_sha=pull.merge_sha,
        actor=Actor(0, "somebody"),
    )
    return backlog_closed(track, closed, seen.loaded, now)


def _work(track: Track, now: datetime) -> Decision:
    """Start lost runs again, look at what is open, and start what can start."""
    if all(task.state in SETTLED for task in track.tasks):
        if track.record_pull is not None:
            return Decision(track=track, actions=(SyncStatus(),))  # the sweep sees whether it is merged
        return finish(track, now)
    if not track.healthy:
        return Decision(track=track, actions=(CheckHealth(before="work"), SyncStatus()))
    actions: list[Action] = []
    looks: list[Timer] = []
    for task in track.tasks:
        if task.state == "running":
            track, run = run_again(track, task, now)
            actions.append(run)
        elif task.state in OPEN_PULL and task.moving:
            track, more = rebase(track, task, now, why="it was being rebased when the database was lost")
            actions += more
        elif task.state in OPEN_PULL and task.pull is not None:
            looks.append(replace(look(task, 0), after=timedelta()))
    track, more_looks = take_up(track)
    track, runs = start_ready(track, now)
    return Decision(
        track=assessed(track), actions=(*actions, *runs, SyncStatus()), timers=(*looks, *more_looks)
    )


def swept(track: Track, repo: Repo, now: datetime) -> Decision:
    """Follow a repository that was renamed, and end a track whose end was given up."""
    changed = replace(track, repo=replace(repo, installation=repo.installation or track.repo.installation))
    if changed.repo.slug != track.repo.slug or changed.repo.default_branch != track.repo.default_branch:
        what = f"this is {repo.slug} now, its default branch {repo.default_branch}"
        return Decision(track=changed.noting(stamp(now), what), actions=(SyncStatus(),))
    settled = bool(track.tasks) and all(task.state in SETTLED for task in track.tasks)
    if settled and track.state in {"working", "blocked"} and track.record_pull is None:
        return finish(replace(track, state="working", problem=""), now)
    return Decision(track=track)
