"""Owns scopes: which paths a pattern covers, and whether two scopes can meet."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

_SPECIAL = re.compile(r"[*?\[]")


def clean(pattern: str) -> str:
    """Write a scope entry in one way: no leading `./`, no trailing slash."""
    parts = [part for part in pattern.strip().split("/") if part not in ("", ".")]
    return "/".join(parts)


def is_safe(path: str) -> bool:
    """Say whether a path or pattern stays inside the repository and out of `.git`."""
    parts = path.replace("\\", "/").split("/")
    absolute = path.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:", path) is not None
    control = any(ord(character) < 32 or ord(character) == 127 for character in path)
    return not (absolute or control or ".." in parts or any(part.lower() == ".git" for part in parts))


def is_pattern(entry: str) -> bool:
    return _SPECIAL.search(entry) is not None


def covers(entry: str, path: str) -> bool:
    """Say whether a scope entry covers a path: the file itself, a folder above it, or an fnmatch pattern."""
    return _covers(clean(entry), clean(path))


def _covers(entry: str, path: str) -> bool:
    """Do the same with both written in one way already, as git's paths are."""
    return entry == path or path.startswith(entry + "/") or (is_pattern(entry) and fnmatchcase(path, entry))


def in_scope(scope: Iterable[str], path: str) -> bool:
    """Say whether any entry of the scope covers the path."""
    return any(covers(entry, path) for entry in scope)


def any_covers(entries: Iterable[str], path: str) -> bool:
    """Do the same with entries and a path that are written in one way already."""
    return any(_covers(entry, path) for entry in entries)


def overlaps(a: Iterable[str], b: Iterable[str], files: Collection[str] = ()) -> bool:
    """Say whether two scopes can touch one path: a file of the tree `files`, or one that could be made.

    Patterns are also compared by their fixed beginnings and endings, so a possible meeting counts as one.
    """
    left, right = tuple(map(clean, a)), tuple(map(clean, b))
    return any(_meet(x, y, files) for x in left for y in right)


def common(
    a: Iterable[str], b: Iterable[str], files: Collection[str] = (), limit: int = 5
) -> tuple[str, ...]:
    """Name where two scopes meet, at most `limit` entries or files, sorted."""
    left, right = tuple(map(clean, a)), tuple(map(clean, b))
    exact = {y if _covers(x, y) else x for x in left for y in right if _covers(x, y) or _covers(y, x)}
    if not exact:
        exact = {f for f in files if all(any(_covers(x, f) for x in side) for side in (left, right))}
    return tuple(sorted(exact)[:limit])


def _meet(x: str, y: str, files: Collection[str]) -> bool:
    if _covers(x, y) or _covers(y, x):
        return True
    patterns = [entry for entry in (x, y) if is_pattern(entry)]
    if not patterns:
        return False
    if len(patterns) == 2:
        return _could_meet(x, y)
    fixed = y if is_pattern(x) else x
    return _could_meet(patterns[0], fixed + "/*") and not _is_file(fixed, files)


def _is_file(path: str, files: Collection[str]) -> bool:
    """Guess from the tree, else from the name, whether a fixed entry is a file or a folder."""
    if path in files:
        return True
    if any(file.startswith(path + "/") for file in files):
        return False
    return "." in path.rsplit("/", 1)[-1].lstrip(".")


def _head(pattern: str) -> str:
    found = _SPECIAL.search(pattern)
    return pattern[: found.start()] if found else pattern


def _could_meet(x: str, y: str) -> bool:
    """Compare the fixed beginnings and endings of two patterns: False only where no path can match both."""
    head_x, head_y = _head(x), _head(y)
    if not (head_x.startswith(head_y) or head_y.startswith(head_x)):
        return False
    tail_x, tail_y = _tail(x), _tail(y)
    return tail_x.endswith(tail_y) or tail_y.endswith(tail_x)


def _tail(pattern: str) -> str:
    """Give what every match of a pattern ends with; a class in brackets makes it unknown."""
    return "" if "]" in pattern else re.split(r"[*?]", pattern)[-1]
