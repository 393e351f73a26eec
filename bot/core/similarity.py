"""Owns how alike two tasks are, and which tasks of different planners are one and the same.

`similarity(a, b)` = 0.6 TF-IDF cosine + 0.4 file overlap; `clusters(sides)` groups documents of several sides,
at most one document of each side in a group.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

TEXT_WEIGHT = 0.6
FILE_WEIGHT = 0.4
T_MATCH = 0.44
T_REVIEW = 0.24

_WORD = re.compile(r"[^\W_]+(?:_[^\W_]+)*")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+")
_STOP_WORDS = """a an and are as at be by can do does for from has have i in into is it its let me need needs not now
of on or our should so that the their then there these they this to we will with would you"""
_STOP = frozenset(_STOP_WORDS.split())
_SCALE = 10**9  # similarities are compared as integers: float noise must not decide ties


@dataclass(frozen=True, slots=True)
class Document:
    """What is compared of one task."""

    text: str
    files: frozenset[str] = frozenset()


def words(text: str) -> list[str]:
    """Split text into case-folded words; identifiers give their parts and, if compound, the whole."""
    found: list[str] = []
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text)):
        word = match[0]
        parts = [part.casefold() for piece in word.split("_") for part in _CAMEL.findall(piece)]
        if len(parts) > 1:
            found.append(word.casefold())
        found += parts
    return found


def terms(text: str) -> Counter[str]:
    """Count the words and pairs of neighboring words, without stop words."""
    kept = [word for word in words(text) if word not in _STOP and len(word) > 1]
    return Counter([*kept, *(f"{a} {b}" for a, b in pairwise(kept))])


class Vectors:
    """TF-IDF vectors whose rarity counts come from the documents and from a background, each text once."""

    def __init__(self, texts: Iterable[str], background: Iterable[str] = ()) -> None:
        unique = sorted(set(texts))
        self._counts = {text: terms(text) for text in unique}
        frequency: Counter[str] = Counter()
        for counts in self._counts.values():
            frequency.update(counts.keys())
        size = len(unique)
        for text in sorted(set(background)):
            frequency.update(set(terms(text)))
            size += 1
        self._rarity = {term: math.log((1 + size) / (1 + df)) + 1 for term, df in frequency.items()}
        self._vectors: dict[str, dict[str, float]] = {text: self._vector(text) for text in unique}

    def _vector(self, text: str) -> dict[str, float]:
        raw = {
            term: (1 + math.log(count)) * self._rarity[term]
            for term, count in sorted(self._counts[text].items())
        }
        norm = math.sqrt(math.fsum(weight * weight for weight in raw.values()))
        return {term: weight / norm for term, weight in raw.items()} if norm else {}

    def cosine(self, a: str, b: str) -> float:
        """Compare two of the texts given at the start; 1 for equal texts, even for such without a word."""
        if a == b:
            return 1.0
        left, right = self._vectors[a], self._vectors[b]
        if len(left) > len(right):
            left, right = right, left
        return math.fsum(weight * right[term] for term, weight in left.items() if term in right)


def jaccard(a: Collection[str], b: Collection[str]) -> float:
    """Give the share of common members; 0 where both are empty."""
    left, right = set(a), set(b)
    union = len(left | right)
    return len(left & right) / union if union else 0.0


def similarity(a: Document, b: Document, vectors: Vectors) -> float:
    """Compare two documents in [0, 1], rounded to 1e-9; equal documents give 1."""
    if a == b:
        return 1.0
    mixed = TEXT_WEIGHT * vectors.cosine(a.text, b.text) + FILE_WEIGHT * jaccard(a.files, b.files)
    return round(mixed, 9)


Place = tuple[int, int]  # side, position within the side


@dataclass(frozen=True, slots=True)
class Edge:
    """Two documents of different sides that may be one task."""

    score: float
    a: Place
    b: Place


def clusters(
    sides: Sequence[Sequence[Document]], vectors: Vectors, match: float = T_MATCH, review: float = T_REVIEW
) -> list[list[Place]]:
    """Group documents: at most one of each side, joined by pairs at `match` or above, no pair below `review`."""
    scores: dict[tuple[Place, Place], float] = {}
    edges: list[Edge] = []
    for left in range(len(sides)):
        for right in range(left + 1, len(sides)):
            table = [[similarity(a, b, vectors) for b in sides[right]] for a in sides[left]]
            scores |= {
                ((left, i), (right, j)): score for i, row in enumerate(table) for j, score in enumerate(row)
            }
            edges += [
                Edge(table[i][j], (left, i), (right, j)) for i, j in assign(table) if table[i][j] >= match
            ]
    group = {(s, i): [(s, i)] for s, side in enumerate(sides) for i in range(len(side))}
    for edge in sorted(edges, key=_edge_order):
        a, b = group[edge.a], group[edge.b]
        if a is not b and _may_join(a, b, scores, review):
            a.extend(b)
            for place in b:
                group[place] = a
    unique = {id(members): sorted(members) for members in group.values()}
    return sorted(unique.values())


def _edge_order(edge: Edge) -> tuple[float, int, Place, Place]:
    return (-edge.score, abs(edge.a[1] - edge.b[1]), edge.a, edge.b)


def _may_join(
    a: Sequence[Place], b: Sequence[Place], scores: Mapping[tuple[Place, Place], float], review: float
) -> bool:
    if {side for side, _ in a} & {side for side, _ in b}:
        return False
    return all(scores[min(x, y), max(x, y)] >= review for x in a for y in b)


def assign(table: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pair rows with columns one to one so that the sum of scores is greatest; ties prefer equal positions."""
    rows, columns = len(table), len(table[0]) if table else 0
    if not rows or not columns:
        return []
    if rows > columns:
        turned = [[table[i][j] for i in range(rows)] for j in range(columns)]
        return sorted((i, j) for j, i in assign(turned))
    span = 4 * (rows + columns) ** 2
    cost = [[-round(table[i][j] * _SCALE) * span + abs(i - j) for j in range(columns)] for i in range(rows)]
    return _hungarian(cost, rows, columns)


def _hungarian(cost: Sequence[Sequence[int]], rows: int, columns: int) -> list[tuple[int, int]]:
    """Solve the assignment problem in O(rows² · columns) with potentials; needs rows <= columns."""
    infinity = 1 << 200
    u, v = [0] * (rows + 1), [0] * (columns + 1)
    match, way = [0] * (columns + 1), [0] * (columns + 1)
    for row in range(1, rows + 1):
        match[0] = row
        column = 0
        least, used = [infinity] * (columns + 1), [False] * (columns + 1)
        while match[column]:
            used[column] = True
            current, delta, following = match[column], infinity, 0
            for j in range(1, columns + 1):
                if used[j]:
                    continue
                reduced = cost[current - 1][j - 1] - u[current] - v[j]
                if reduced < least[j]:
                    least[j], way[j] = reduced, column
                if least[j] < delta:
                    delta, following = least[j], j
            for j in range(columns + 1):
                if used[j]:
                    u[match[j]] += delta
                    v[j] -= delta
                else:
                    least[j] -= delta
            column = following
        while column:
            match[column] = match[way[column]]
            column = way[column]
    return sorted((match[j] - 1, j - 1) for j in range(1, columns + 1) if match[j])
