"""Owns what keeps a repository of ours usable over months: leftovers of a killed git go, and what piles up is packed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bot import files
from bot.git import seal
from bot.git.runner import Place, git

LOCKS = ("*.lock", "refs/**/*.lock")
LEFT = (
    *LOCKS,
    "gc.pid",
    "index-*",
    "objects/*/tmp_obj_*",
    "objects/pack/tmp_*",
    "objects/pack/.tmp-*",
    "objects/tmp_objdir-*",
)
_PACKING = {
    "gc.auto": "6700",
    "gc.autoPackLimit": "50",
    "gc.autoDetach": "false",
    "gc.packRefs": "false",  # whoever writes a ref at that moment would fail
}


def sweep(git_dir: Path, patterns: Sequence[str] = LEFT) -> list[Path]:
    """Remove what a killed git left and give what is gone; to be called when none works there."""
    left = [path for pattern in patterns for path in git_dir.glob(pattern)]
    return [path for path in left if not files.remove(path)]


async def pack(git_dir: Path) -> None:
    """Pack what has piled up, where it is enough to be worth it; what nothing refers to goes after two weeks."""
    seal.check(git_dir)
    options = [part for key, value in _PACKING.items() for part in ("-c", f"{key}={value}")]
    await git(Place(git_dir), "gc", "--auto", "--quiet", options=options, timeout=3600)
