"""Owns the ranking of files and definitions for a task: which of them a worker most probably needs.

rank_files(query, documents) -> [(path, score)]; rank_symbols(query, path, text) -> [(Symbol, score)].
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from bot.core.similarity import words
from bot.core.symbols import Symbol, definitions

_K1, _B = 1.2, 0.75
_NAMES, _DEEPEST = 300, 12
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
_CODE = re.compile(r"`([^`\n]+)`|^(?: {4}|\t|>>> ?)(.*)$", re.MULTILINE)
# No name is longer than 255: people's texts hold runs of any length, and each place of one is tried.
_PATH = re.compile(r"[\w.-]{1,255}(?:/[\w.-]{1,255})+|[\w-]{1,255}\.[A-Za-z]{1,5}\b")
_MODULE = re.compile(r"\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_DEFINITION = re.compile(
    r"^[ \t]*(?:export\s+)?(?:default\s+)?(?:pub\s+)?(?:async\s+)?"
    r"(?:def|class|function|func|fn|fun|interface|trait|struct|enum|type)\s+(?:\([^)]*\)\s*)?([A-Za-z_]\w*)",
    re.MULTILINE,
)
_STOP_WORDS = """the a an and or of to in is it for on with that this be as are not if from by at when we i you can
should would so but has have there which def class self return import none true false"""
_STOP = frozenset(_STOP_WORDS.split())


def tokens(text: str) -> list[str]:
    """Split text into words and parts of identifiers, without those that say nothing."""
    return [word for word in words(text) if len(word) > 1 and word not in _STOP]


def rank_files(query: str, documents: Mapping[str, str]) -> list[tuple[str, float]]:
    """Rank all files for a query, best first; ties by path. BM25, definitions named, paths named."""
    paths = sorted(documents)
    counts = {path: Counter(tokens(path) + tokens(documents[path])) for path in paths}
    scores = _bm25(Counter(tokens(query)), counts)
    best = max(scores.values(), default=0.0) or 1.0
    named = _definitions_named(query, documents)
    mentioned = _paths_named(query, paths)
    total = {
        path: scores[path] / best + 0.5 * named.get(path, 0.0) + 0.8 * mentioned.get(path, 0.0)
        for path in paths
    }
    return sorted(
        ((path, round(score, 9)) for path, score in total.items()), key=lambda pair: (-pair[1], pair[0])
    )


def _bm25(query: Counter[str], counts: Mapping[str, Counter[str]]) -> dict[str, float]:
    lengths = {path: sum(count.values()) for path, count in counts.items()}
    average = (sum(lengths.values()) / len(lengths)) if lengths else 1.0
    frequency = {term: sum(1 for count in counts.values() if term in count) for term in sorted(query)}
    size = len(counts)
    scores: dict[str, float] = {}
    for path, count in counts.items():
        damp = _K1 * (1 - _B + _B * lengths[path] / (average or 1.0))
        scores[path] = math.fsum(
            math.log(1 + (size - frequency[term] + 0.5) / (frequency[term] + 0.5))
            * count[term]
            * (_K1 + 1)
            / (count[term] + damp)
            * (1 + math.log(query[term]))
            for term in sorted(query)
            if term in count
        )
    return scores


def mentions(query: str) -> dict[str, float]:
    """Give the identifiers of a query with their weight: more in code, and if they look like a name in code."""
    in_code = {name for a, b in _CODE.findall(query) for name in _NAME.findall(a or b)}
    found: dict[str, float] = {}
    for name in _NAME.findall(query):
        compound = "_" in name.strip("_") or re.search(r"[a-z][A-Z]", name) is not None
        if name in in_code or compound or name[0].isupper():
            found[name] = (2.0 if name in in_code else 1.0) * (1.5 if compound else 1.0)
    return found


def _definitions_named(query: str, documents: Mapping[str, str]) -> dict[str, float]:
    """Score files that define what the query names: the rarer the definition, the more it says. In [0, 1]."""
    wanted = mentions(query)
    where: dict[str, list[str]] = {}
    for path in sorted(documents):
        for name in sorted(set(_DEFINITION.findall(documents[path])) & wanted.keys()):
            where.setdefault(name, []).append(path)
    scores: dict[str, float] = {}
    for name in sorted(where):
        for path in where[name]:
            scores[path] = scores.get(path, 0.0) + wanted[name] / len(where[name])
    best = max(scores.values(), default=0.0)
    return {path: score / best for path, score in scores.items()} if best else {}


def _paths_named(query: str, paths: Sequence[str]) -> dict[str, float]:
    """Score files whose path, or whose module name, stands in the query. In [0, 1]."""
    named = {match.strip("./") for match in _first(_PATH, query)}
    modules = {match.replace(".", "/") for match in _first(_MODULE, query)}
    found: dict[str, float] = {}
    for path in paths:
        stem = path.rsplit(".", 1)[0].removesuffix("/__init__")
        if any(path == name or name.endswith("/" + path) for name in named if "/" in name):
            found[path] = 1.0
        elif any(path.endswith("/" + name) for name in named) or path in named:
            found[path] = 0.8
        elif any(_module_match(stem, module) for module in modules):
            found[path] = 0.6
    return found


def _module_match(stem: str, module: str) -> bool:
    """Compare `src/pkg/mod` with `pkg/mod/Class/method`."""
    parts = module.split("/")[:_DEEPEST]
    heads = ("/".join(parts[:length]) for length in range(2, len(parts) + 1))
    return any(stem == head or stem.endswith("/" + head) for head in heads)


def _first(pattern: re.Pattern[str], query: str) -> list[str]:
    """Give the different names of a query in their order, as many as a person may mean: each is held against every file."""
    return list(dict.fromkeys(pattern.findall(query)))[:_NAMES]


def rank_symbols(query: str, path: str, text: str) -> list[tuple[Symbol, float]]:
    """Rank the definitions of a file for a query, best first; ties by line."""
    symbols = definitions(path, text)
    lines = text.splitlines()
    wanted = mentions(query)
    asked = Counter(tokens(query))
    bodies = {str(i): Counter(tokens("\n".join(lines[s.line - 1 : s.end]))) for i, s in enumerate(symbols)}
    body = _bm25(asked, bodies) if bodies else {}
    best = max(body.values(), default=0.0) or 1.0
    scored = []
    for index, symbol in enumerate(symbols):
        name = wanted.get(symbol.short, 0.0) + sum(
            0.25 for part in set(tokens(symbol.short)) if part in asked
        )
        scored.append((symbol, round(body[str(index)] / best + name, 9)))
    return sorted(scored, key=lambda pair: (-pair[1], pair[0].line, pair[0].name))
