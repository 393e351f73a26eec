"""Owns the choice of a task's class by its planned file scope; in doubt the dearer one.

ModelRouter().classify(scope_paths, files) -> Route(kind, reasons).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.core import scopes
from bot.core.plans import Kind

_DOCUMENT = re.compile(
    r"\.(md|mdx|rst|txt|adoc)$|(^|/)(docs?|website)/|(^|/)(CHANGELOG|README|LICENSE|CONTRIBUTING|AUTHORS)[^/]*$",
    re.I,
)
_TEST = re.compile(
    r"(^|/)(tests?|__tests__|snapshots?)/|(^|/)test_[^/]*$|[._](test|spec)\.[^/]+$|\.snap$|[.-]lock(\.|$)",
    re.I,
)
# Small changes here have wide effects: what CI runs, migrations, who may do what, what others call.
_DELICATE = re.compile(
    r"(^|/)\.github/|(^|/)migrations?/|\.(sql|proto)$|(^|/)(security|auth|crypto|permissions?|secrets?)(/|[._-])",
    re.I,
)
MOST_FILES = 3  # of a simple task; above that real changes were rarely small


@dataclass(frozen=True, slots=True)
class Route:
    """The class of a task and why; the reasons are for people."""

    kind: Kind
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelRouter:
    """Decides by paths alone: on real commits that beat every reading of the text."""

    def classify(
        self,
        scope_paths: Sequence[str],
        files: Collection[str] = (),
        *,
        protected: Collection[str] = (),
        dependants: int = 0,
        estimate: str = "S",
    ) -> Route:
        """Give a task's class: documentation only, at most one source file, or complex."""
        paths, doubts = _expand(scope_paths, files)
        if doubts:
            return Route("complex", doubts)
        guarded = [p for p in paths if _DELICATE.search(p) or scopes.in_scope(protected, p)]
        if guarded:
            return Route("complex", (f"`{guarded[0]}` is protected or has wide effects",))
        if all(_DOCUMENT.search(path) for path in paths):
            return Route("documentation", ("all files are documentation",))
        sources = [path for path in paths if not _DOCUMENT.search(path) and not _TEST.search(path)]
        if len(sources) > 1 or len(paths) > MOST_FILES:
            return Route("complex", (f"{len(paths)} files, {len(sources)} of them source",))
        if dependants or estimate == "L":
            reason = f"{dependants} tasks wait for it" if dependants else "it is estimated large"
            return Route("complex", (reason,))
        return Route("simple", ("at most one source file",))


def _expand(scope_paths: Sequence[str], files: Collection[str]) -> tuple[list[str], tuple[str, ...]]:
    """Turn a scope into files; what cannot be told apart is a doubt."""
    if not any(path.strip() for path in scope_paths):
        return [], ("no files are planned",)
    paths: list[str] = []
    for entry in map(scopes.clean, scope_paths):
        if entry in files or not (scopes.is_pattern(entry) or _is_folder(entry, files)):
            paths.append(entry)
            continue
        covered = sorted(path for path in files if scopes.covers(entry, path))
        if not all(_DOCUMENT.search(path) for path in covered) or not covered:
            return [], (f"`{entry}` is more than named files",)
        paths += covered
    return list(dict.fromkeys(paths)), ()


def _is_folder(entry: str, files: Collection[str]) -> bool:
    return any(path.startswith(entry + "/") for path in files) or "." not in entry.rsplit("/", 1)[-1]
