"""Owns the check of scope entries against the repository's tree, in work that large trees and files keep bounded."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

from bot.core import scopes
from bot.core.backlog_problems import Problem, Row, problem
from bot.core.yaml_tree import Node

LIKENESS = 0.8
MOST_ALIKE = 500  # paths that one entry is compared with: comparing texts is slow


class Tree:
    """The files and folders of a commit, found by name and by folder; empty where no tree is known."""

    def __init__(self, files: Collection[str]) -> None:
        self.files = frozenset(files)
        self._by_name: dict[str, list[str]] = {}
        self._by_folder: dict[str, list[str]] = {}
        for file in sorted(self.files):
            folder, _, name = file.rpartition("/")
            self._by_name.setdefault(name, []).append(file)
            self._by_folder.setdefault(folder, []).append(file)
        self.folders = {above for folder in self._by_folder for above in _and_above(folder)}
        self._left = 20 * MOST_ALIKE  # comparisons for the whole file

    def near(self, path: str) -> str:
        """Suggest a file for a mistyped path: one of the same name or of the same folder; empty where none is alike."""
        folder, _, name = path.rpartition("/")
        alike = [*_few(self._by_name, name), *_few(self._by_folder, folder)]
        self._left -= len(alike)
        found = get_close_matches(path, alike, 1, LIKENESS) if self._left >= 0 else []
        return found[0] if found else ""


def _few(known: Mapping[str, list[str]], key: str) -> list[str]:
    found = known.get(key, [])
    return found if len(found) <= MOST_ALIKE else []


def _and_above(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]


def path_problems(row: Row, path: str, node: Node, tree: Tree) -> Iterator[Problem]:
    """Find scope entries that leave the repository, and those that name nothing that exists."""
    if not scopes.is_safe(path):
        message = f"The path `{path}` is not inside the repository"
        yield problem("SCHEMA", node, message, "Write it from the repository's root, without `..`.", row.id)
        return
    entry = scopes.clean(path)
    if not tree.files or entry in tree.files or entry in tree.folders:
        return
    if scopes.is_pattern(entry):
        if not fnmatch.filter(tree.files, entry):
            message = f"The pattern `{path}` matches no file yet"
            yield problem("SCOPE_MISSING_FILE", node, message, "Right for new files; else mend it.", row.id)
        return
    near = tree.near(entry)
    hint = (
        f"Right for a new file; or did you mean `{near}`?" if near else "Right for a new file; else mend it."
    )
    yield problem("SCOPE_MISSING_FILE", node, f"`{path}` does not exist yet", hint, row.id)
