"""Owns what files that a person hands over begin in local mode, where there are no labels and no merges to wait for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import life, life_backlog, life_repair, life_work
from bot.core.actions import Action, CheckHealth, Decision, ProposeBacklog
from bot.core.backlog import Backlog, Loaded
from bot.core.config import RepoConfig
from bot.core.given import FilesGiven
from bot.core.ids import TrackId, backlog_branch
from bot.core.track import SETTLED, Track
from bot.handler import Handler, Reads


@dataclass(frozen=True, slots=True)
class Facts:
    config: RepoConfig
    loaded: Loaded | None = None


async def gather(_track: Track | None, event: FilesGiven, reads: Reads) -> Facts:
    """Read the settings and, where there is one, the backlog as it was given."""
    config, _ = await reads.config(event.repo)  # what is wrong with them is told where the command was given
    if event.step != "work":
        return Facts(config)
    return Facts(config, await reads.backlog(event.repo, event.sha, f"{config.tasks_dir}/BACKLOG.yaml"))


def decide(track: Track | None, event: FilesGiven, facts: Facts, now: datetime) -> Decision:
    """Begin the step, or go on with it where it was begun."""
    begun = _begin(track, event, facts, now)
    if event.step == "plan":
        return Decision(track=begun, actions=(CheckHealth(before="planning"),))
    if event.step == "backlog":
        return Decision(track=begun, actions=(ProposeBacklog(),))
    if track is None or not track.tasks:
        return _rebuilt(life_backlog.backlog_merged(begun, facts.loaded, now), event, now)
    return _go_on(begun, facts, now)


def _rebuilt(decision: Decision, event: FilesGiven, now: datetime) -> Decision:
    """Take finished branches as done: git is enough to go on from where everything else is lost."""
    track = decision.track
    if track is None or not event.finished:
        return decision
    for found in event.finished:
        task = track.task(found.task)
        if task is not None and task.state == "todo":
            task = replace(
                task,
                state="done",
                attempt=found.attempt,
                branch=found.branch,
                pull=found.pull,
                head_sha=found.head_sha,
            )
            track = track.with_task(task).noting(
                life.stamp(now), f"found {task.id} finished", found.branch, task.id
            )
    if track.tasks and all(task.state in SETTLED for task in track.tasks):
        return life.finish(track, now)
    return replace(decision, track=track)


def _begin(track: Track | None, event: FilesGiven, facts: Facts, now: datetime) -> Track:
    if track is None:
        track = Track(
            id=TrackId(event.track),
            repo=event.repo,
            issue=0,
            frozen=event.frozen,
            config=facts.config,
            started_at=life.stamp(now),
        )
    return replace(
        track,
        repo=event.repo,
        frozen=event.frozen if event.step != "work" else track.frozen,
        config=facts.config,
        state="planning" if event.step != "work" else "working",
        problem="",
        plan=event.plan,
        plan_failures=(),
        base_sha=event.base_sha or track.base_sha,
        merged_sha=event.sha or None,
        backlog_branch=backlog_branch(facts.config.branch_prefix, event.track),
    )


def _go_on(track: Track, facts: Facts, now: datetime) -> Decision:
    """Take over what was changed in the file, and try again what is stuck."""
    if facts.loaded is None or facts.loaded.backlog is None:
        return life_backlog.backlog_merged(track, facts.loaded, now)
    actions: tuple[Action, ...] = ()
    for task in track.tasks:
        if track.healthy and task.state in {"blocked", "held"} and task.attempt:
            track, more = life_repair.next_attempt(track, task, now, why="the command was given again")
            actions += more
        elif task.waits_for_base:
            track = track.with_task(replace(task, waits_for_base=False, note=""))
    decision = life_backlog.backlog_changed(track, _settled(track, facts.loaded.backlog), now)
    assert decision.track is not None
    if all(task.state in SETTLED for task in decision.track.tasks):
        return life.finish(decision.track, now)
    if not track.healthy:
        actions += (CheckHealth(before="work"),)
        return replace(decision, actions=(*actions, *decision.actions))
    track, runs = life_work.start_ready(decision.track, now)  # what waited for something that has changed
    return Decision(track=track, actions=(*actions, *decision.actions, *runs))


def _settled(track: Track, backlog: Backlog) -> Loaded:
    """Read a settled task as settled: its line is flipped in its branch, which the file need not have seen."""
    known = {task.id: task.as_written().status for task in track.tasks if task.state in SETTLED}
    tasks = tuple(
        task.model_copy(update={"status": known.get(task.id, task.status)}) for task in backlog.tasks
    )
    return Loaded(backlog.model_copy(update={"tasks": tasks}), ())


HANDLER = Handler(event=FilesGiven, gather=gather, decide=decide)
