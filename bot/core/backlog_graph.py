"""Owns the checks of a backlog that look at several tasks: ids, dependencies, cycles, scopes that meet."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import combinations

from bot.core import ordering, scopes
from bot.core.backlog_problems import Problem, Row, problem
from bot.core.yaml_tree import Node

MAX_COMPARED = 300  # open tasks whose scopes are compared pair by pair


def check(rows: Sequence[Row]) -> Iterator[Problem]:
    """Find what is wrong with ids and dependencies."""
    first: dict[str, int] = {}
    for index, row in enumerate(rows):
        if row.id and first.setdefault(row.id, index) != index:
            line = rows[first[row.id]].node.line
            message = f"The id `{row.id}` is used twice, first in line {line}"
            yield problem("DUP_ID", row.node, message, f"Use a free id, such as `{_free(first)}`.", row.id)
    for row in rows:
        yield from _dependencies(row, first)
    edges = {
        (first[row.id], first[dep])
        for row in rows
        if row.id
        for dep in row.depends_on
        if dep in first and dep != row.id
    }
    yield from _cycles(rows, edges)
    if not ordering.components(len(rows), edges):
        yield from _reach(rows, first, edges)


def _free(taken: Mapping[str, int]) -> str:
    number = 1
    while f"T-{number}" in taken:
        number += 1
    return f"T-{number}"


def _dependencies(row: Row, first: Mapping[str, int]) -> Iterator[Problem]:
    seen: set[str] = set()
    for dep, node in zip(row.depends_on, row.dep_nodes, strict=True):
        if dep == row.id:
            yield problem("SELF_DEP", node, f"`{row.id}` depends on itself", "Remove this entry.", row.id)
        elif dep not in first:
            near = _nearest(dep, [name for name in first if name != row.id])
            hint = f"Did you mean `{near}`?" if near else "Remove this entry or add the task."
            yield problem(
                "UNKNOWN_DEP", node, f"`{row.id}` depends on `{dep}`, which is no task", hint, row.id
            )
        if dep in seen:
            message = f"`{row.id}` names `{dep}` twice"
            yield problem("DUP_DEP", node, message, "Remove one of the entries.", row.id)
        seen.add(dep)


def _nearest(dep: str, known: Sequence[str]) -> str:
    """Suggest a task for a mistyped id: the same number under another prefix, else a similar spelling."""
    number = dep.rsplit("-", 1)[-1].lstrip("0")
    same = [name for name in known if number and name.rsplit("-", 1)[-1] == number]
    near = same if len(same) == 1 else get_close_matches(dep.upper(), known, 1)
    return near[0] if near else ""


def _cycles(rows: Sequence[Row], edges: Collection[ordering.Edge]) -> Iterator[Problem]:
    for members in ordering.components(len(rows), edges):
        loop = _shortest_cycle(members, edges)
        path = " -> ".join(f"`{rows[index].id}`" for index in [*loop, loop[0]])
        row, following = rows[loop[0]], rows[loop[1]].id
        node = next(n for d, n in zip(row.depends_on, row.dep_nodes, strict=True) if d == following)
        message = f"These tasks wait for each other: {path}"
        yield problem("CYCLE", node, message, "Remove one of these dependencies.", row.id)


def _shortest_cycle(members: Sequence[int], edges: Collection[ordering.Edge]) -> list[int]:
    """Find a shortest cycle inside a strongly connected component; it starts with its least node."""
    inside = set(members)
    after = {node: sorted(b for a, b in edges if a == node and b in inside) for node in members}
    best: list[int] = []
    for start in members:
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


def _reach(
    rows: Sequence[Row], first: Mapping[str, int], edges: Collection[ordering.Edge]
) -> Iterator[Problem]:
    """Warn of tasks that can never start, that are done too early, and of dependencies that say nothing new."""
    reach = ordering.descendants(len(rows), edges)
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


def overlapping(rows: Sequence[Row], files: Collection[str]) -> Iterator[Problem]:
    """Warn where open tasks can change one path though neither waits for the other."""
    index = {row.id: place for place, row in reversed(list(enumerate(rows))) if row.id}
    edges = {(index[r.id], index[d]) for r in rows for d in r.depends_on if r.id and d in index and d != r.id}
    kept, _ = ordering.break_cycles(len(rows), dict.fromkeys(edges, 1))
    reach = ordering.descendants(len(rows), kept)
    open_ = [row for row in rows if row.status == "todo" and row.id]
    if len(open_) > MAX_COMPARED:
        message = f"The scopes of {len(open_)} open tasks are not compared with each other"
        hint = f"That is done for at most {MAX_COMPARED}. Leases keep tasks apart that meet while they run."
        yield problem("SCOPE_OVERLAP", open_[0].node, message, hint)
        return
    for a, b in sorted(_candidates(rows)):
        if reach[a] >> b & 1 or reach[b] >> a & 1 or not scopes.overlaps(rows[a].paths, rows[b].paths, files):
            continue
        where = ", ".join(f"`{path}`" for path in scopes.common(rows[a].paths, rows[b].paths, files, 3))
        message = f"`{rows[a].id}` and `{rows[b].id}` can change the same path" + (
            f": {where}" if where else ""
        )
        hint = f"They run one after the other. Add `{rows[a].id}` to `depends_on` to fix the order."
        yield problem("SCOPE_OVERLAP", rows[b].node, message, hint, rows[b].id)


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


def path_problems(
    row: Row, path: str, node: Node, files: Collection[str], folders: Collection[str]
) -> Iterator[Problem]:
    """Find scope entries that leave the repository, and those that name nothing that exists."""
    if not scopes.is_safe(path):
        message = f"The path `{path}` is not inside the repository"
        yield problem("SCHEMA", node, message, "Write it from the repository's root, without `..`.", row.id)
        return
    entry = scopes.clean(path)
    if not files or entry in files or entry in folders:
        return
    if scopes.is_pattern(entry):
        if not any(scopes.covers(entry, file) for file in files):
            message = f"The pattern `{path}` matches no file yet"
            yield problem("SCOPE_MISSING_FILE", node, message, "Right for new files; else mend it.", row.id)
        return
    near = get_close_matches(entry, files, 1, 0.8)
    hint = (
        f"Right for a new file; or did you mean `{near[0]}`?"
        if near
        else "Right for a new file; else mend it."
    )
    yield problem("SCOPE_MISSING_FILE", node, f"`{path}` does not exist yet", hint, row.id)
