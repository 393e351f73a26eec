"""Owns turning what a set-up wrote into a layer, and a layer into a part of a worktree; nothing hostile is followed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bot import files, trees
from bot.core import setups
from bot.core.dependencies import SetUp
from bot.core.values import TreeFile
from bot.jobs.layers import Facts, Layer
from bot.ports import Worktree

_LARGEST = 5 << 20  # bytes of a changed file that is looked into
_NAMED = 20  # files that people are told of


def captured(
    worktree: Worktree, aside: Path, tree: Sequence[TreeFile], made: SetUp, most: tuple[int, int]
) -> Facts:
    """Take what a set-up wrote out of its worktree and home; nobody of it lives any more.

    TreeError where either holds more than so many files or bytes.
    """
    most_files, most_bytes = most
    dropped: list[str] = []
    for folder in (worktree.path, worktree.home):
        seen = trees.tame(folder, most_files=most_files, most_bytes=most_bytes)
        dropped += seen.dropped
    put_back = tuple(file.path for file in tree if _differs(worktree.path, file))
    places = trees.move(worktree.path, aside / "work", frozenset({".git", *(file.path for file in tree)}))
    trees.move(worktree.home, aside / "home", setups.LEFT_OUT_OF_HOME)
    sizes = [
        trees.tame(aside / name, most_files=most_files, most_bytes=most_bytes).bytes
        for name in ("work", "home")
    ]
    return Facts(
        replace(made, bytes=sum(sizes), put_back=put_back[:_NAMED], dropped=tuple(dropped[:_NAMED])),
        places=tuple(sorted(places)),
        ready=programs(aside / "home", aside / "work"),
    )


def _differs(root: Path, file: TreeFile) -> bool:
    """Tell whether a file of the repository is not what it was; for people's eyes only, so size comes first."""
    if not file.mode.startswith("100"):
        return False
    try:
        seen = (root / file.path).lstat()
    except OSError:
        return True
    if seen.st_size != file.size:
        return True
    data = files.read_beneath(root, file.path, _LARGEST)
    if data is None:
        return seen.st_size <= _LARGEST
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() != file.sha


def programs(home: Path, work: Path) -> tuple[str, ...]:
    """Name the folders of programs that are there; see bot.core.setups."""
    found = [f"home/{name}" for name in setups.PROGRAMS_AT_HOME if trees.has_folder(home, name)]
    found += [f"work/{name}" for name in setups.PROGRAMS_AT_WORK if trees.has_folder(work, name)]
    return tuple(found)


def copied(layer: Layer, worktree: Worktree, home: Path, owner: int | None) -> None:
    """Copy a layer into a worktree and a fresh home, which nobody uses; a worktree that has it already stays as it is."""
    trees.copy(layer.home, home, owner)
    if not worktree.laid:
        trees.copy(layer.work, worktree.path, owner)
        worktree.leave_out(layer.facts.places)
