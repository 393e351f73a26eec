"""Owns the deterministic way from a merged plan to a backlog."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Collection, Mapping, Sequence

from bot.core import ordering, scopes
from bot.core.backlog_model import TITLE_LIMIT, Backlog, BacklogTask, Scope
from bot.core.plans import MergedPlan, PlannedTask

_NUMBERED = re.compile(r"T-[0-9]{1,9}")
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
    ids = {task.key: f"T-{place}" for place, task in enumerate(chosen, 1)}
    tasks = tuple(_as_written(task, ids) for task in chosen)
    backlog = Backlog(track=track, issue=issue, base_sha=base_sha, goal=one_line(goal), tasks=tasks)
    return separated(backlog)


def with_left_out(
    backlog: Backlog,
    plan: MergedPlan,
    names: Collection[str],
    known: Mapping[str, str],
    *,
    taken: Collection[str] = (),
    files: Collection[str] = (),
) -> tuple[Backlog, dict[str, str]]:
    """Add what the plan leaves out by these names (M-1), and what it needs, below the tasks of a backlog under review.

    `known` are names that the backlog has already, with their ids; `taken` ids are not given again. What is there stays
    as it is; a task whose scope meets another's waits for it. Gives the new ids by name too.
    """
    left_out = plan.left_out()
    keys = {task.key: name for name, task in left_out.items()}
    wanted = [left_out[name].key for name in names if name in left_out]
    here = {task.id for task in backlog.tasks}
    main = {task.key: f"T-{place}" for place, task in enumerate(plan.tasks, 1)}
    ids = {key: id_ for key, id_ in main.items() if id_ in here}
    ids |= {left_out[name].key: id_ for name, id_ in known.items() if name in left_out and id_ in here}
    chosen = [task for task in _with_needs(plan, wanted) if task.key in keys and keys[task.key] not in known]
    free = 1 + max((int(id_[2:]) for id_ in (*here, *taken) if _NUMBERED.fullmatch(id_)), default=0)
    new = {task.key: f"T-{free + place}" for place, task in enumerate(chosen)}
    added = [_as_written(task, ids | new) for task in chosen]
    more = backlog.model_copy(update={"tasks": (*backlog.tasks, *added)})
    return separated(more, files, fixed=len(backlog.tasks)), {keys[key]: id_ for key, id_ in new.items()}


def _as_written(task: PlannedTask, ids: Mapping[str, str]) -> BacklogTask:
    """Give a planned task as its file would hold it; `ids` are those of what it may need, by key."""
    needs = {ids[key] for key in task.depends_on if key in ids}
    return BacklogTask(
        id=ids[task.key],
        title=shorten(task.title),
        kind=task.kind,
        priority=task.priority,
        depends_on=tuple(sorted(needs, key=lambda id_: (len(id_), id_))),
        scope=Scope(paths=_scope(task)),
        acceptance=_acceptance(task),
        estimate=task.estimate,
        votes=task.votes,
    )


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


def separated(backlog: Backlog, files: Collection[str] = (), fixed: int = 0) -> Backlog:
    """Make the later of two tasks whose scopes meet wait for the earlier, unless one waits for the other already.

    The first `fixed` tasks stay as they are.
    """
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
        for earlier in reversed(order[:rank] if later >= fixed else []):
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
