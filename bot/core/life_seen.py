"""Owns what a track adds to what was seen of a run or of a pull request: whether it is still so, and what came before."""

from __future__ import annotations

from dataclasses import replace

from bot.core.events import TaskAssessed
from bot.core.rebasing import Situation
from bot.core.track import TaskTrack, Track


def current(task: TaskTrack, event: TaskAssessed) -> bool:
    """Tell whether what was assessed is still what the task is about: people act meanwhile."""
    if task.attempt != event.attempt:
        return False
    if event.situation.where == "before_push":
        return task.state == "running" and task.run == event.run
    return task.rests and task.head_sha == event.head_sha


def complete(track: Track, task: TaskTrack, event: TaskAssessed) -> Situation:
    """Add what only the track remembers: earlier verdicts, fixes, attempts."""
    seen = event.situation
    limits = track.config.limits
    conflicts = set(seen.conflicts) - set(seen.mechanical)
    pushed = seen.where == "after_push"  # what is not pushed is another commit than what the checks ran on
    passed = [name for name in seen.failing if pushed and name in task.passed]
    return replace(
        seen,
        trend=(*task.trend, len(seen.failing) or 1) if seen.red else task.trend,
        flaky=tuple(dict.fromkeys([*seen.flaky, *passed])),
        conflict_persists=seen.conflict_persists or bool(conflicts & set(task.conflict_given)),
        reruns=task.reruns if pushed else 0,
        # A branch that somebody reviewed is not moved only because the default branch did.
        behind=0 if task.reviewed and not seen.conflicts else seen.behind,
        rebased_onto_tip=seen.rebased_onto_tip or task.onto == event.tip,
        fixes=task.fixes,
        max_fixes=limits.fix_forward,
        regenerations=task.regenerations,
        max_regenerations=limits.regenerations,
    )
