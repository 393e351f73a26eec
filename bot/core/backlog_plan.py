"""Owns the deterministic way from a merged plan to a backlog."""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection, Sequence

from bot.core import ordering, scopes
from bot.core.backlog_model import TITLE_LIMIT, Backlog, BacklogTask, Scope
from bot.core.plans import MergedPlan, PlannedTask

WHOLE_TREE = "*"  # the scope of a task whose files nobody could name: it meets every other


def from_plan(
    plan: MergedPlan,
    *,
    track: str,
    issue: int | None,
    base_sha: str,
    goal: str,
    include: Collection[str] = (),
) -> Backlog:
    """Turn the main tasks, and the minority tasks whose keys are in `include`, into tasks T-1, T-2, ... in order.

    Tasks whose scopes meet without a path between them get a dependency. `context` is left empty.
    """
    chosen = _with_needs(plan, include)
    number = {task.key: index for index, task in enumerate(chosen)}
    tasks = tuple(
        BacklogTask(
            id=f"T-{index + 1}",
            title=shorten(task.title),
            kind=task.kind,
            priority=task.priority,
            depends_on=tuple(
                f"T-{need + 1}" for need in sorted({number[key] for key in task.depends_on if key in number})
            ),
            scope=Scope(paths=_scope(task)),
            acceptance=_acceptance(task),
            estimate=task.estimate,
            votes=task.votes,
        )
        for index, task in enumerate(chosen)
    )
    backlog = Backlog(track=track, issue=issue, base_sha=base_sha, goal=one_line(goal), tasks=tasks)
    return separated(backlog)


def _with_needs(plan: MergedPlan, include: Collection[str]) -> list[PlannedTask]:
    """Put included minority tasks, with the tasks they need, where dependencies allow: needs first."""
    minority = {task.key: task for task in plan.minority}
    wanted: dict[str, PlannedTask] = {}
    waiting = [key for key in minority if key in include]
    while waiting:
        key = waiting.pop()
        if key in minority and key not in wanted:
            wanted[key] = minority[key]
            waiting += minority[key].depends_on
    tasks = [*plan.tasks, *(task for task in plan.minority if task.key in wanted)]
    index = {task.key: place for place, task in enumerate(tasks)}
    edges = {(index[task.key], index[need]) for task in tasks for need in task.depends_on if need in index}
    kept, _ = ordering.break_cycles(len(tasks), dict.fromkeys(edges, 1))
    return [tasks[place] for place in ordering.arrange(len(tasks), kept, [range(len(tasks))])]


def _scope(task: PlannedTask) -> tuple[str, ...]:
    paths = dict.fromkeys(
        scopes.clean(path) for path in task.files if scopes.is_safe(path) and path.isprintable()
    )
    return tuple(path for path in paths if path) or (WHOLE_TREE,)


def separated(backlog: Backlog, files: Collection[str] = ()) -> Backlog:
    """Make the later of two tasks whose scopes meet wait for the earlier, unless one waits for the other already."""
    tasks = backlog.tasks
    index = {task.id: place for place, task in enumerate(tasks)}
    edges = {(index[t.id], index[need]) for t in tasks for need in t.depends_on if need in index}
    kept, _ = ordering.break_cycles(len(tasks), dict.fromkeys(edges, 1))
    order = ordering.arrange(len(tasks), kept, [range(len(tasks))])
    needs = [{need for task, need in kept if task == place} for place in range(len(tasks))]
    reach = [0] * len(tasks)
    made = list(tasks)
    for rank, later in enumerate(order):
        task, added = tasks[later], set[int]()
        reach[later] = _bits(needs[later], reach)
        for earlier in reversed(order[:rank]):
            known = reach[later] >> earlier & 1
            if not known and scopes.overlaps(task.scope.paths, tasks[earlier].scope.paths, files):
                added.add(earlier)
                reach[later] |= _bits({earlier}, reach)
        if added:
            depends_on = tuple(tasks[place].id for place in sorted(added | needs[later]))
            made[later] = task.model_copy(update={"depends_on": depends_on})
    return backlog.model_copy(update={"tasks": tuple(made)})


def _bits(needs: Collection[int], reach: Sequence[int]) -> int:
    """Give these tasks, and all that they need, as the bits of a number."""
    return functools.reduce(operator.or_, (reach[need] | 1 << need for need in needs), 0)


def _acceptance(task: PlannedTask) -> tuple[str, ...]:
    lines = tuple(dict.fromkeys(line for line in map(one_line, task.acceptance) if line))
    return lines or (f"Done as described: {one_line(task.title) or 'see the plan'}",)


def one_line(text: str) -> str:
    """Put a text on one line, without characters that cannot be seen."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def shorten(title: str) -> str:
    """Cut a title to what a backlog may hold, at a word where that is possible."""
    plain = one_line(title) or "Untitled task"
    if len(plain) <= TITLE_LIMIT:
        return plain
    cut = plain[: TITLE_LIMIT - 1]
    at_word = cut.rsplit(" ", 1)[0]
    return (at_word if len(at_word) > TITLE_LIMIT // 2 else cut).rstrip(" ,;:.-") + "…"
