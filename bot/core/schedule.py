"""Owns what may start now: ready tasks by urgency, limits of workers and open pull requests, leases on scopes.

ready_tasks(tasks) -> tasks in order; startable(tasks, leases, ...) -> (start, waiting with reasons);
overlaps(a, b, files) says whether two scopes can meet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bot.core.backlog_model import BacklogTask
from bot.core.leases import Lease
from bot.core.plans import Estimate, Priority
from bot.core.scopes import common, overlaps

__all__ = ["Lease", "Waiting", "critical_paths", "overlaps", "ready_tasks", "startable"]

PRIORITY: Mapping[Priority, int] = {"critical": 0, "high": 1, "medium": 2, "low": 3}
UNITS: Mapping[Estimate, int] = {"S": 1, "M": 2, "L": 4}  # relative effort


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a ready task does not start now; `what` is a lease holder or a limit."""

    task: str
    reason: Literal["lease", "workers", "open_prs"]
    what: str = ""


def critical_paths(tasks: Sequence[BacklogTask]) -> dict[str, int]:
    """Give for each task the effort of the longest chain that starts with it; only open tasks count."""
    needed_by: dict[str, list[BacklogTask]] = {task.id: [] for task in tasks}
    for task in tasks:
        for need in task.depends_on:
            needed_by.setdefault(need, []).append(task)
    lengths: dict[str, int] = {}
    for task in tasks:
        stack, inside = [task], {task.id}
        while stack:
            current = stack[-1]
            after = needed_by[current.id]
            following = next((t for t in after if t.id not in lengths and t.id not in inside), None)
            if following is not None:
                stack.append(following)
                inside.add(following.id)
                continue
            stack.pop()
            own = UNITS[current.estimate] if current.status == "todo" else 0
            lengths[current.id] = own + max((lengths.get(t.id, 0) for t in after), default=0)
    return lengths


def ready_tasks(tasks: Sequence[BacklogTask]) -> tuple[BacklogTask, ...]:
    """Give the tasks to do whose needs are all done: by priority, then by critical path, then as in the file."""
    done = {task.id for task in tasks if task.status == "done"}
    lengths = critical_paths(tasks)
    ready = [task for task in tasks if task.status == "todo" and set(task.depends_on) <= done]
    return tuple(sorted(ready, key=lambda task: (PRIORITY[task.priority], -lengths[task.id])))


def startable(
    ready: Sequence[BacklogTask],
    leases: Sequence[Lease],
    *,
    free_workers: int,
    free_pulls: int,
    track: str = "",
    overlap: Literal["wait", "allow"] = "wait",
    files: Collection[str] = (),
) -> tuple[tuple[BacklogTask, ...], tuple[Waiting, ...]]:
    """Choose from ready tasks those to start now, and say of each other what it waits for."""
    held = list(leases)
    start: list[BacklogTask] = []
    waiting: list[Waiting] = []
    for task in ready:
        paths = task.scope.paths
        blocker = next((lease for lease in held if overlaps(lease.paths, paths, files)), None)
        if blocker is not None and overlap == "wait":
            where = ", ".join(common(blocker.paths, paths, files)) or "a path both could make"
            waiting.append(Waiting(task.id, "lease", f"{blocker.holder}: {where}"))
        elif len(start) >= free_pulls:
            waiting.append(Waiting(task.id, "open_prs"))
        elif len(start) >= free_workers:
            waiting.append(Waiting(task.id, "workers"))
        else:
            start.append(task)
            held.append(Lease(f"{track}/{task.id}".lstrip("/"), paths))
    return tuple(start), tuple(waiting)
