"""Owns what a change may touch: one table of rules with the reason of each, secrets, and what lies outside a task's scope.

`never`: an agent's change is refused. `named`: it is allowed where the merged contract's scope names that very path,
because a person has merged that; a folder or a pattern that covers it is not enough.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from bot.core import lock_sources
from bot.core.policy_rules import FIXTURES, MANIFESTS, OTHER_CI, RULES, Rule
from bot.core.sanitize import find_secrets
from bot.core.scopes import any_covers, clean, in_scope
from bot.core.secret_values import KIND, Needles
from bot.core.values import TreeChange

Strength = Literal["never", "named"]
_LINK, _MODULE, _PROGRAM = "120000", "160000", "100755"
_NESTED = 6  # roots within each other
_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A path that may not be changed so, and why."""

    path: str
    why: str
    strength: Strength = "never"


@dataclass(frozen=True, slots=True)
class Ground:
    """What a change is judged by: the merged scope, the settings, and the base's paths."""

    scope: Sequence[str] = ()
    protected_paths: Sequence[str] = ()
    tasks_dir: str = "tasks"
    tree: frozenset[str] = field(default_factory=frozenset)


def matches(path: str, pattern: str) -> bool:
    """Match a path by a file name, a folder or an fnmatch pattern; `**/x` means x at any depth."""
    return any_covers(_entries(pattern), clean(path))


@lru_cache(1024)
def _entries(pattern: str) -> frozenset[str]:
    """Give the entries of a scope that a pattern stands for."""
    folder = pattern.removesuffix("/**")  # itself, where a symlink or a file takes its place
    return frozenset(
        clean(each) for entry in (pattern, folder) for each in (entry, entry.removeprefix("**/"))
    )


def refusals(changes: Sequence[TreeChange], ground: Ground) -> tuple[Refusal, ...]:
    """Name the changed paths that are refused, each once, by the first rule that holds."""
    named = {clean(entry) for entry in ground.scope}
    after = (ground.tree | {change.path for change in changes}) - {c.path for c in changes if _gone(c)}
    roots = _roots(ground.tree | after)
    seen = _folded(ground.tree & after)
    found = []
    for change in changes:
        refusal = _by_path(change.path, ground, roots) or _by_mode(change) or _by_name(change, seen)
        if refusal is not None and (refusal.strength == "never" or clean(change.path) not in named):
            found.append(refusal)
    return tuple(found)


def _by_path(path: str, ground: Ground, roots: frozenset[str]) -> Refusal | None:
    """Find the first rule for a path; a rule that is never loosened comes before one that is."""
    if matches(path, ground.tasks_dir):
        return Refusal(path, "the bot alone writes there")
    if any(matches(path, pattern) for pattern in ground.protected_paths):
        return Refusal(path, "the settings protect it")
    hits = [rule for rule in RULES if _holds(rule, path, roots)]
    hit = next(iter(sorted(hits, key=lambda rule: rule.strength != "never")), None)
    return Refusal(path, hit.why, hit.strength) if hit else None


def _holds(rule: Rule, path: str, roots: frozenset[str]) -> bool:
    if rule.where == "anywhere":
        return any(matches(path, pattern) for pattern in rule.patterns)
    if rule.where == "outside fixtures":
        return not _fixture(path) and any(matches(path, pattern) for pattern in rule.patterns)
    inside = [path] if rule.where == "top" else _below(path, roots)
    return any(_right_there(part, pattern) for part in inside for pattern in rule.patterns)


def _below(path: str, roots: frozenset[str]) -> list[str]:
    """Write a path as the top and the nearest roots above it see it.

    A guarded path that a farther root would see has those nearer ones in it, and so the first of them is refused.
    """
    found: list[str] = []
    at = len(path)
    while (at := path.rfind("/", 0, at)) > 0 and len(found) < _NESTED:
        if path[:at] in roots:
            found.append(path[at + 1 :])
    return [*found, path]


def _right_there(path: str, pattern: str) -> bool:
    """Match below one folder: what is no path of its own stands in that very folder."""
    return ("/" in pattern or "/" not in path) and any_covers(_entries(pattern), path)


def _roots(paths: Iterable[str]) -> frozenset[str]:
    """Give the folders in which a package tool starts: the top, and those of manifests that are no fixtures."""
    found = {""}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name in MANIFESTS and not _fixture(path):
            found.add(folder)
    return frozenset(found)


def _fixture(path: str) -> bool:
    return not FIXTURES.isdisjoint(path.casefold().split("/")[:-1])


def _by_mode(change: TreeChange) -> Refusal | None:
    old, new = change.old_mode, change.new_mode
    if _MODULE in (old, new):
        return Refusal(change.path, "a submodule, whose commits nobody here has seen")
    if new == _LINK:
        return Refusal(change.path, "a symlink, which shows another file under its name", "named")
    if old.startswith("100") and new.startswith("100") and old != new:
        what = "becomes a program" if new == _PROGRAM else "is no program any more"
        return Refusal(change.path, f"it {what}", "named")
    return None


def _gone(change: TreeChange) -> bool:
    return bool(change.old_mode) and not change.new_mode


def _by_name(change: TreeChange, seen: dict[str, str]) -> Refusal | None:
    """Refuse a new path that some file systems take for another one of the tree."""
    if change.old_mode or not change.new_mode:
        return None
    for path in _ancestry(change.path):
        other = seen.setdefault(_fold(path), path)
        if other != path:
            return Refusal(change.path, f"some systems take it for `{other}`")
    return None


def _folded(paths: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in paths:
        for part in _ancestry(path):
            found.setdefault(_fold(part), part)
    return found


def _ancestry(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold() if not path.isascii() else path.casefold()


def content_refusals(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[Refusal, ...]:
    """Refuse by what changed files say: content that lies elsewhere, and packages from elsewhere."""
    found = []
    for path, data in sorted(after.items()):
        old = before.get(path, b"")
        if data == old:
            continue
        if data.startswith(_POINTER):
            found.append(Refusal(path, "a pointer to content that is stored elsewhere (LFS)"))
        elif sources := lock_sources.added(path, old, data):
            found.append(Refusal(path, f"it takes packages from {', '.join(sources)}"))
    return tuple(found)


def other_ci(tree: Iterable[str]) -> tuple[str, ...]:
    """Name the CI of other vendors that a tree shows at its root, by file or folder; what lies deeper may be a copy."""
    top = sorted({path.partition("/")[0] for path in tree})
    return tuple(name for name in top if any(matches(name, pattern) for pattern in OTHER_CI))


def outside(changed: Sequence[str], scope: Sequence[str]) -> tuple[str, ...]:
    """Name changed paths that no entry of the scope covers."""
    return tuple(path for path in changed if not in_scope(scope, path))


Secrets = tuple[tuple[str, int, str], ...]


def new_secrets(before: Mapping[str, bytes], after: Mapping[str, bytes], live: Needles) -> Secrets:
    """Find secrets that the base does not have: path, line and kind; by their values in binary files, too.

    A line or value that the base has in any of these files is known: files are moved and split.
    """
    found = []
    old = {line for data in before.values() for line in data.decode(errors="replace").splitlines()}
    fresh = live.without(before.values())
    for path, data in sorted(after.items()):
        if data == before.get(path):
            continue
        found += [(path, number, KIND) for number in fresh.lines(data)]
        for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
            if line not in old:
                found += [(path, number, secret.kind) for secret in find_secrets(line)]
    return tuple(dict.fromkeys(found))


def secrets_in(words: str, where: str, live: Needles) -> Secrets:
    """Find secrets in a text that goes with a change, such as its message: `where`, line and kind."""
    found = [(where, secret.line, secret.kind) for secret in find_secrets(words)]
    return (*found, *((where, line, KIND) for line in live.lines(words.encode("utf-8", "surrogatepass"))))
