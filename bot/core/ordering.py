"""Owns the order of tasks: cycles broken at their weakest edge, then the order most planners agree on."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence

Edge = tuple[int, int]  # (task, what it needs first); tasks are numbered by their canonical order

EXACT_LIMIT = 10  # the exact order is a dynamic programme over subsets


def components(size: int, edges: Collection[Edge]) -> list[list[int]]:
    """Give the strongly connected components of more than one node, each sorted, in order of their least node."""
    after: list[list[int]] = [[] for _ in range(size)]
    before: list[list[int]] = [[] for _ in range(size)]
    for a, b in sorted(edges):
        after[a].append(b)
        before[b].append(a)
    finished: list[int] = []
    seen = [False] * size
    for start in range(size):
        _finish(start, after, seen, finished)
    taken = [False] * size
    found: list[list[int]] = []
    for root in reversed(finished):
        members: list[int] = []
        _finish(root, before, taken, members)
        if len(members) > 1:
            found.append(sorted(members))
    return sorted(found)


def _finish(start: int, after: Sequence[Sequence[int]], seen: list[bool], finished: list[int]) -> None:
    """Walk depth first without recursion (a plan may be a long chain) and note nodes as they are finished."""
    if seen[start]:
        return
    seen[start] = True
    stack = [(start, iter(after[start]))]
    while stack:
        node, rest = stack[-1]
        following = next((n for n in rest if not seen[n]), None)
        if following is None:
            stack.pop()
            finished.append(node)
        else:
            seen[following] = True
            stack.append((following, iter(after[following])))


def break_cycles(size: int, support: Mapping[Edge, int]) -> tuple[set[Edge], list[Edge]]:
    """Drop the weakest edge of each cycle until none is left: what stays, and what was dropped in order."""
    kept = set(support)
    dropped: list[Edge] = []
    while found := components(size, kept):
        for members in found:
            inside = set(members)
            weakest = min(
                (edge for edge in kept if edge[0] in inside and edge[1] in inside),
                key=lambda edge: (support[edge], (-edge[0], edge[1])),
            )
            kept.discard(weakest)
            dropped.append(weakest)
    return kept, dropped


def arrange(size: int, needs: Collection[Edge], rankings: Sequence[Sequence[int]]) -> list[int]:
    """Order all tasks: needs first, then as most rankings have them (Kemeny; Copeland above ten tasks)."""
    prefer = [[0] * size for _ in range(size)]
    for ranking in rankings:
        for place, first in enumerate(ranking):
            for later in ranking[place + 1 :]:
                prefer[first][later] += 1
    before: list[set[int]] = [set() for _ in range(size)]
    for task, need in needs:
        before[task].add(need)
    return _kemeny(before, prefer) if size <= EXACT_LIMIT else _copeland(before, prefer)


def _kemeny(before: Sequence[set[int]], prefer: Sequence[Sequence[int]]) -> list[int]:
    """Find the order with the fewest broken preferences, exactly; ties take the least number first."""
    size = len(before)
    full = (1 << size) - 1
    needs = [sum(1 << need for need in group) for group in before]
    best = [-1] * (full + 1)  # best[done]: preferences kept by the tasks that are not done yet
    best[full] = 0
    choice = [0] * (full + 1)
    for done in range(full - 1, -1, -1):
        for task in range(size):
            bit = 1 << task
            if done & bit or needs[task] & ~done or best[done | bit] < 0:
                continue
            rest = full & ~(done | bit)
            gain = sum(prefer[task][other] for other in range(size) if rest >> other & 1)
            if gain + best[done | bit] > best[done]:
                best[done], choice[done] = gain + best[done | bit], task
    order: list[int] = []
    done = 0
    while done != full:
        order.append(choice[done])
        done |= 1 << choice[done]
    return order


def _copeland(before: Sequence[set[int]], prefer: Sequence[Sequence[int]]) -> list[int]:
    """Order by duels won minus duels lost among the tasks whose needs are met."""
    size = len(before)
    score = [
        sum((prefer[a][b] > prefer[b][a]) - (prefer[a][b] < prefer[b][a]) for b in range(size))
        for a in range(size)
    ]
    waiting = [len(group) for group in before]
    frees: list[list[int]] = [[] for _ in range(size)]
    for task, group in enumerate(before):
        for need in group:
            frees[need].append(task)
    ready = [(-score[task], task) for task in range(size) if not waiting[task]]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        _, task = heapq.heappop(ready)
        order.append(task)
        for freed in frees[task]:
            waiting[freed] -= 1
            if not waiting[freed]:
                heapq.heappush(ready, (-score[freed], freed))
    return order


def descendants(size: int, edges: Collection[Edge]) -> list[int]:
    """Give for each task the set of all it needs, directly or not, as the bits of a number; needs an acyclic graph."""
    needs: list[list[int]] = [[] for _ in range(size)]
    for task, need in edges:
        needs[task].append(need)
    order: list[int] = []
    seen = [False] * size
    for start in range(size):
        _finish(start, needs, seen, order)
    reach = [0] * size
    for task in order:
        for need in needs[task]:
            reach[task] |= reach[need] | 1 << need
    return reach
