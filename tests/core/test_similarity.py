"""Comparing texts and pairing tasks."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import similarity
from bot.core.similarity import Document, Vectors

tables = st.integers(1, 4).flatmap(
    lambda rows: st.integers(1, 4).flatmap(
        lambda columns: st.lists(
            st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=columns, max_size=columns),
            min_size=rows,
            max_size=rows,
        )
    )
)


@given(tables)
def test_the_pairing_has_the_greatest_sum_of_all_pairings(table: list[list[float]]) -> None:
    rows, columns = len(table), len(table[0])
    pairs = similarity.assign(table)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs) == min(rows, columns)
    size = max(rows, columns)

    def worth(i: int, j: int) -> float:
        return table[i][j] if i < rows and j < columns else 0.0

    best = max(sum(worth(i, p[i]) for i in range(size)) for p in permutations(range(size)))
    assert sum(table[i][j] for i, j in pairs) == pytest.approx(best)


def test_identifiers_are_compared_by_their_parts_too() -> None:
    assert similarity.words("parseHTTPHeader parse_http") == [
        "parsehttpheader",
        "parse",
        "http",
        "header",
        "parse_http",
        "parse",
        "http",
    ]


def test_a_word_that_the_repository_is_full_of_says_less() -> None:
    texts = ["sympy parser", "sympy solver"]
    plain = Vectors(texts)
    aware = Vectors(texts, [f"sympy/module{number}.py" for number in range(50)])
    assert aware.cosine(*texts) < plain.cosine(*texts)


def test_three_that_are_alike_only_in_a_chain_do_not_become_one() -> None:
    a = Document("alpha beta gamma", frozenset({"1", "2"}))
    b = Document("alpha beta delta omega", frozenset({"2"}))
    c = Document("delta omega sigma", frozenset({"3"}))
    vectors = Vectors([a.text, b.text, c.text])
    groups = similarity.clusters([[a], [b], [c]], vectors, match=0.2, review=0.15)
    assert similarity.similarity(b, c, vectors) >= 0.2
    assert [(0, 0), (1, 0), (2, 0)] not in groups


@given(
    st.text(max_size=40),
    st.text(max_size=40),
    st.sets(st.sampled_from("abc")),
    st.sets(st.sampled_from("abc")),
)
def test_likeness_is_symmetric_and_between_nought_and_one(a: str, b: str, f: set[str], g: set[str]) -> None:
    x, y = Document(a, frozenset(f)), Document(b, frozenset(g))
    vectors = Vectors([a, b])
    assert similarity.similarity(x, y, vectors) == similarity.similarity(y, x, vectors)
    assert 0 <= similarity.similarity(x, y, vectors) <= 1
    assert similarity.similarity(x, x, vectors) == 1
