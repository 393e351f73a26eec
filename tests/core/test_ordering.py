"""Cycles, and the order most agree on, against brute force."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from bot.core import ordering

nodes = st.integers(0, 5)
graphs = st.dictionaries(
    st.tuples(nodes, nodes).filter(lambda e: e[0] != e[1]), st.integers(1, 3), max_size=14
)


def is_acyclic(edges: set[tuple[int, int]]) -> bool:
    left = set(edges)
    while left:
        free = {edge for edge in left if edge[1] not in {task for task, _ in left}}
        if not free:
            return False
        left -= free
    return True


@given(graphs)
def test_breaking_cycles_leaves_none_and_drops_only_parts_of_cycles(
    support: dict[tuple[int, int], int],
) -> None:
    kept, dropped = ordering.break_cycles(6, support)
    assert is_acyclic(kept)
    assert kept | set(dropped) == set(support)
    if is_acyclic(set(support)):
        assert not dropped


@given(graphs)
def test_components_are_the_sets_of_nodes_that_reach_each_other(support: dict[tuple[int, int], int]) -> None:
    reach = {(a, b) for a, b in support}
    for middle in range(6):
        reach |= {(a, d) for a, b in reach if b == middle for c, d in reach if c == middle}
    mutual = {
        frozenset(n for n in range(6) if n == m or ((n, m) in reach and (m, n) in reach)) for m in range(6)
    }
    assert ordering.components(6, support) == sorted(sorted(group) for group in mutual if len(group) > 1)


@given(graphs, st.lists(st.permutations(range(5)).flatmap(lambda p: st.integers(0, 5).map(lambda n: p[:n]))))
def test_the_exact_order_breaks_as_few_preferences_as_possible(
    support: dict[tuple[int, int], int], rankings: list[list[int]]
) -> None:
    edges = {(a, b) for a, b in ordering.break_cycles(6, support)[0] if a < 5 and b < 5}

    def kept(order: tuple[int, ...]) -> int:
        place = {node: index for index, node in enumerate(order)}
        return sum(
            place[a] < place[b]
            for ranking in rankings
            for i, a in enumerate(ranking)
            for b in ranking[i + 1 :]
        )

    def is_valid(order: tuple[int, ...]) -> bool:
        return all(order.index(need) < order.index(task) for task, need in edges)

    best = max(kept(order) for order in permutations(range(5)) if is_valid(order))
    found = tuple(ordering.arrange(5, edges, rankings))
    assert is_valid(found)
    assert kept(found) == best


@given(graphs)
def test_the_quick_order_keeps_needs_first(support: dict[tuple[int, int], int]) -> None:
    edges, _ = ordering.break_cycles(12, support)
    order = ordering.arrange(12, edges, [list(range(12))])
    assert sorted(order) == list(range(12))
    assert all(order.index(need) < order.index(task) for task, need in edges)


@given(graphs)
def test_descendants_are_all_that_is_needed_directly_or_not(support: dict[tuple[int, int], int]) -> None:
    edges, _ = ordering.break_cycles(6, support)
    found = ordering.descendants(6, edges)
    for task in range(6):
        wanted: set[int] = set()
        while len(more := {n for t, n in edges if t == task or t in wanted}) > len(wanted):
            wanted = more
        assert {n for n in range(6) if found[task] >> n & 1} == wanted


def test_a_long_chain_does_not_exhaust_the_stack() -> None:
    chain = {(index + 1, index): 1 for index in range(20_000)}
    assert ordering.components(20_001, chain) == []
