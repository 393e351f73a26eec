"""Owns waiting for the default branch, where the same fails: who waits, and for whom work is left to do after that."""

from __future__ import annotations

from bot.core.track import STARTABLE, TaskState, TaskTrack

# In any other state a task does not wait for the default branch, whatever is remembered from before.
CAN_WAIT: frozenset[TaskState] = STARTABLE | {"checking"}


def waits_for_base(task: TaskTrack) -> bool:
    """Tell whether a task goes on by itself as soon as the default branch moves, and not before."""
    return task.waits_for_base and task.state in CAN_WAIT


def owes_work(task: TaskTrack) -> bool:
    """Tell whether what waits is a run on an open pull request: what it was asked for is not done yet.

    The checks of the head say nothing about that; they may have been green when people asked.
    """
    asked = task.mode in {"fix", "conflict"} and bool(task.feedback)
    return asked and task.pull is not None and task.state == "checking" and task.waits_for_base
