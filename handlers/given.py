"""Owns what files that a person hands over begin in local mode, where there are no labels and no merges to wait for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import life, life_backlog, life_repair
from bot.core.actions import Action, CheckHealth, Decision, ProposeBacklog
from bot.core.backlog import Loaded
from bot.core.config import RepoConfig
from bot.core.given import FilesGiven
from bot.core.ids import TrackId, backlog_branch
from bot.core.track import SETTLED, Track
from bot.handler import Handler, Reads


@dataclass(frozen=True, slots=True)
class Facts:
    config: RepoConfig
    config_problems: tuple[str, ...]
    loaded: Loaded | None = None


async def gather(_track: Track | None, event: FilesGiven, reads: Reads) -> Facts:
    """Read the settings and, where there is one, the backlog as it was given."""
    config, problems = await reads.config(event.repo)
    if event.step != "work":
        return Facts(config, problems)
    return Facts(
        config, problems, await reads.backlog(event.repo, event.sha, f"{config.tasks_dir}/BACKLOG.yaml")
    )


def decide(track: Track | None, event: FilesGiven, facts: Facts, now: datetime) -> Decision:
    """Begin the step, or go on with it where it was begun."""
    begun = _begin(track, event, facts, now)
    if event.step == "plan":
        return Decision(track=begun, actions=(CheckHealth(before="planning"),))
    if event.step == "backlog":
        return Decision(track=begun, actions=(ProposeBacklog(),))
    if track is None or not track.tasks:
        return life_backlog.backlog_merged(begun, facts.loaded, now)
    return _go_on(begun, facts, now)


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
        for problem in facts.config_problems:
            track = track.noting(life.stamp(now), f"a setting cannot be read, its default holds: {problem}")
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
    if facts.loaded is None:
        return life_backlog.backlog_merged(track, None, now)
    actions: tuple[Action, ...] = ()
    for task in track.tasks:
        if track.healthy and task.state in {"blocked", "held"} and task.attempt:
            track, more = life_repair.next_attempt(track, task, now, why="the command was given again")
            actions += more
        elif task.waits_for_base:
            track = track.with_task(replace(task, waits_for_base=False, note=""))
    decision = life_backlog.backlog_changed(track, facts.loaded, now)
    assert decision.track is not None
    if not track.healthy and not all(task.state in SETTLED for task in decision.track.tasks):
        actions += (CheckHealth(before="work"),)
    return replace(decision, actions=(*actions, *decision.actions))


HANDLER = Handler(event=FilesGiven, gather=gather, decide=decide)
