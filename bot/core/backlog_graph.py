"""Owns the checks of a backlog that look at several tasks: ids, dependencies, cycles, scopes that meet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import combinations

from bot.core import ordering, scopes
from bot.core.backlog_problems import Problem, Row, problem

# What large files cost stays bounded by these.
MAX_COMPARED = 300  # open tasks whose scopes, and ids whose spelling, are compared pair by pair
MAX_STARTS = 50  # tasks of a cycle from which a shorter one is looked for
MAX_SEARCHED = 20  # pairs for which the tree is searched for a file in both scopes


def check(rows: Sequence[Row], files: Collection[str]) -> Iterator[Problem]:
    """Find what is wrong with ids and dependencies, and which scopes meet; in a cycle nobody can say who is first."""
    first: dict[str, int] = {}
    for index, row in enumerate(rows):
        if row.id and first.setdefault(row.id, index) != index:
            line = rows[first[row.id]].node.line
            message = f"The id `{row.id}` is used twice, first in line {line}"
            yield problem("DUP_ID", row.node, message, f"Use a free id, such as `{_free(first)}`.", row.id)
    numbers = _by_number(first)
    for row in rows:
        yield from _dependencies(row, first, numbers)
    edges = {
        (first[row.id], first[dep])
        for row in rows
        if row.id
        for dep in row.depends_on
        if dep in first and dep != row.id
    }
    rings = ordering.components(len(rows), edges)
    yield from _cycles(rows, rings, edges)
    if not rings:
        reach = ordering.descendants(len(rows), edges)
        yield from _reach(rows, first, reach)
        yield from _overlapping(rows, reach, files)


def _free(taken: Mapping[str, int]) -> str:
    number = 1
    while f"T-{number}" in taken:
        number += 1
    return f"T-{number}"


def _by_number(ids: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in ids:
        found.setdefault(name.rsplit("-", 1)[-1], []).append(name)
    return found


def _dependencies(
    row: Row, first: Mapping[str, int], numbers: Mapping[str, Sequence[str]]
) -> Iterator[Problem]:
    seen: set[str] = set()
    for dep, node in zip(row.depends_on, row.dep_nodes, strict=True):
        if dep == row.id:
            yield problem("SELF_DEP", node, f"`{row.id}` depends on itself", "Remove this entry.", row.id)
        elif dep not in first:
            near = _nearest(dep, row.id, first, numbers)
            hint = f"Did you mean `{near}`?" if near else "Remove this entry or add the task."
            yield problem(
                "UNKNOWN_DEP", node, f"`{row.id}` depends on `{dep}`, which is no task", hint, row.id
            )
        if dep in seen:
            message = f"`{row.id}` names `{dep}` twice"
            yield problem("DUP_DEP", node, message, "Remove one of the entries.", row.id)
        seen.add(dep)


def _nearest(dep: str, own: str, known: Collection[str], numbers: Mapping[str, Sequence[str]]) -> str:
    """Suggest a task for a mistyped id: the same number under another prefix, else a similar spelling."""
    number = dep.rsplit("-", 1)[-1].lstrip("0")
    same = [name for name in numbers.get(number, ()) if name != own]
    if len(same) == 1:
        return same[0]
    others = [name for name in known if name != own] if len(known) <= MAX_COMPARED else []
    return next(iter(get_close_matches(dep.upper(), others, 1)), "")


def _cycles(
    rows: Sequence[Row], rings: Sequence[Sequence[int]], edges: Collection[ordering.Edge]
) -> Iterator[Problem]:
    for members in rings:
        loop = _shortest_cycle(members, edges)
        path = " -> ".join(f"`{rows[index].id}`" for index in [*loop, loop[0]])
        row, following = rows[loop[0]], rows[loop[1]].id
        # Of an id that is used twice, any of its tasks may have said so.
        said = (zip(each.depends_on, each.dep_nodes, strict=True) for each in rows if each.id == row.id)
        node = next(node for pairs in said for dep, node in pairs if dep == following)
        message = f"These tasks wait for each other: {path}"
        yield problem("CYCLE", node, message, "Remove one of these dependencies.", row.id)


def _shortest_cycle(members: Sequence[int], edges: Collection[ordering.Edge]) -> list[int]:
    """Find a short cycle inside a strongly connected component, in a small one the shortest."""
    after: dict[int, list[int]] = {node: [] for node in members}
    for a, b in sorted(edges):
        if a in after and b in after:
            after[a].append(b)
    best: list[int] = []
    for start in members[:MAX_STARTS]:
        came: dict[int, int] = {}
        ring = [start]
        while ring and start not in came:
            reached = [(near, node) for node in ring for near in after[node] if near not in came]
            for near, node in reached:
                came.setdefault(near, node)
            ring = sorted({near for near, _ in reached})
        path = [start]
        while came[path[-1]] != start:
            path.append(came[path[-1]])
        if not best or len(path) < len(best):
            best = [path[0], *reversed(path[1:])]
    return best


def _reach(rows: Sequence[Row], first: Mapping[str, int], reach: Sequence[int]) -> Iterator[Problem]:
    """Warn of tasks that can never start, that are done too early, and of dependencies that say nothing new."""
    dropped = sum(1 << index for index, row in enumerate(rows) if row.status == "dropped")
    for index, row in enumerate(rows):
        if row.id and first[row.id] != index:
            continue
        deps = [(dep, node) for dep, node in zip(row.depends_on, row.dep_nodes, strict=True) if dep != row.id]
        lost = reach[index] & dropped
        if lost and row.status == "todo":
            blocker = rows[(lost & -lost).bit_length() - 1].id
            message = f"`{row.id}` can never start: it needs `{blocker}`, which is dropped"
            yield problem("UNREACHABLE", row.node, message, "Drop it too or remove the dependency.", row.id)
        for dep, node in deps:
            if dep not in first:
                continue
            if row.status == "done" and rows[first[dep]].status == "todo":
                message = f"`{row.id}` is done, but `{dep}`, which it needs, is not"
                yield problem("DONE_BEFORE_DEP", node, message, "Check the two status lines.", row.id)
            if any(reach[first[other]] >> first[dep] & 1 for other, _ in deps if other in first):
                message = f"`{row.id}` waits for `{dep}` anyway, through another task"
                yield problem("REDUNDANT_DEP", node, message, "This entry can be removed.", row.id)


def _overlapping(rows: Sequence[Row], reach: Sequence[int], files: Collection[str]) -> Iterator[Problem]:
    """Warn where open tasks can change one path though neither waits for the other."""
    open_ = [row for row in rows if row.status == "todo" and row.id]
    if len(open_) > MAX_COMPARED:
        message = f"The scopes of {len(open_)} open tasks are not compared with each other"
        hint = f"That is done for at most {MAX_COMPARED}. Leases keep tasks apart that meet while they run."
        yield problem("SCOPE_OVERLAP", open_[0].node, message, hint)
        return
    searched = 0
    for a, b in sorted(_candidates(rows)):
        mine, theirs = rows[a], rows[b]
        apart = mine.id == theirs.id or reach[a] >> b & 1 or reach[b] >> a & 1
        if apart or not scopes.overlaps(mine.paths, theirs.paths, files):
            continue
        searched += 1
        meeting = scopes.common(mine.paths, theirs.paths, files if searched <= MAX_SEARCHED else (), 3)
        where = f": {', '.join(f'`{path}`' for path in meeting)}" if meeting else ""
        message = f"`{mine.id}` and `{theirs.id}` can change the same path{where}"
        hint = f"They run one after the other. Add `{mine.id}` to `depends_on` to fix the order."
        yield problem("SCOPE_OVERLAP", theirs.node, message, hint, theirs.id)


def _candidates(rows: Sequence[Row]) -> set[tuple[int, int]]:
    """Find pairs worth comparing without comparing all: equal or nested fixed paths, and every pattern with all."""
    open_ = [index for index, row in enumerate(rows) if row.status == "todo" and row.id]
    at: dict[str, set[int]] = {}
    loose: set[int] = set()
    for index in open_:
        for path in map(scopes.clean, rows[index].paths):
            if scopes.is_pattern(path):
                loose.add(index)
            at.setdefault(path, set()).add(index)
    pairs: set[tuple[int, int]] = set()
    for path, here in at.items():
        pairs.update(combinations(sorted(here), 2))
        parts = path.split("/")
        for length in range(1, len(parts)):
            above = at.get("/".join(parts[:length]), set())
            pairs.update((min(a, b), max(a, b)) for a in above for b in here if a != b)
    pairs.update((min(a, b), max(a, b)) for a in loose for b in open_ if a != b)
    return pairs
