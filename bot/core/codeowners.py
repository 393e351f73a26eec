"""Owns CODEOWNERS: where the file lies, whose a path is, and which owners a change needs.

Patterns are those of a .gitignore but for `!` and `[ ]`, which GitHub does not know here; the last line that fits decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")  # the first one that is there counts
LONGEST = 3 << 20  # bytes; GitHub reads no more either
LINES = 10_000  # more are not looked at: each is held against each changed path


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: a pattern and who owns what it fits; nobody where none is named."""

    parts: tuple[str, ...]
    anchored: bool  # begins at the root; else at any depth
    folder: bool  # fits what lies below only
    owners: tuple[str, ...]


def place(paths: Sequence[str]) -> str | None:
    """Give the file that counts."""
    there = set(paths)
    return next((each for each in PLACES if each in there), None)


def parse(text: str) -> tuple[Rule, ...]:
    """Read the rules in their order; lines that mean nothing to GitHub mean nothing here."""
    found = []
    for line in text.splitlines()[:LINES]:
        words = line.partition(" #")[0].split() if not line.lstrip().startswith("#") else []
        if words and not words[0].startswith("!") and not set("[]") & set(words[0]):
            found.append(_rule(words[0].replace("\\#", "#"), words[1:]))
    return tuple(found)


def _rule(pattern: str, owners: Sequence[str]) -> Rule:
    body = pattern.rstrip("/")
    parts = tuple(part for part in body.split("/") if part)
    named = tuple(dict.fromkeys(owner for owner in owners if "@" in owner))
    below = pattern.endswith("/") or parts[-1:] == ("**",)
    while parts[-1:] == ("**",):
        parts = parts[:-1]
    # As in a .gitignore: a slash anywhere but at the end ties the pattern to the root.
    return Rule(parts, "/" in body, below, named)


def owners(rules: Sequence[Rule], path: str) -> tuple[str, ...]:
    """Give the owners of a path: those of the last rule that fits it."""
    steps = tuple(path.split("/"))
    return next((rule.owners for rule in reversed(rules) if _fits(rule, steps)), ())


def needed(rules: Sequence[Rule], changed: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Give the owners of changed files with the files of each, in the order of the files."""
    found: dict[str, list[str]] = {}
    for path in changed:
        for owner in owners(rules, path):
            found.setdefault(owner, []).append(path)
    return {owner: tuple(paths) for owner, paths in found.items()}


def _fits(rule: Rule, steps: tuple[str, ...]) -> bool:
    if not rule.parts:
        return True  # `/`: everything
    pattern = rule.parts if rule.anchored else ("**", *rule.parts)
    last = len(steps) - 1 if rule.folder else len(steps)
    # A pattern may name the file or a folder above it; `docs/*` means the files right in it and nothing below.
    ends = (
        {len(steps)}
        if rule.parts[-1] == "*" and len(rule.parts) > 1 and not rule.folder
        else range(1, last + 1)
    )
    reached = _reached(pattern, steps)
    return any(end in reached for end in ends if end <= last)


def _reached(pattern: tuple[str, ...], steps: tuple[str, ...]) -> set[int]:
    """Give how many steps of a path a pattern can take up; in time bounded by their product."""
    at = {0}
    for part in pattern:
        if part == "**":
            at = set(range(min(at), len(steps) + 1)) if at else at
        else:
            at = {n + 1 for n in at if n < len(steps) and _like(part, steps[n])}
    return at


def _like(pattern: str, name: str) -> bool:
    """Hold one step against a pattern with `*` and `?`; never slower than the product of their lengths."""
    p = n = 0
    star, mark = -1, 0
    while n < len(name):
        if p < len(pattern) and pattern[p] == "*":
            star, mark, p = p, n, p + 1
        elif p < len(pattern) and pattern[p] in ("?", name[n]):
            p, n = p + 1, n + 1
        elif star >= 0:
            mark += 1
            p, n = star + 1, mark
        else:
            return False
    return all(rest == "*" for rest in pattern[p:])
