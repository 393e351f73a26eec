"""Owns the proof that a mirror is configured by the host alone: its configuration's bytes, and nothing else that configures."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bot.errors import GitError

CONFIG = b"""\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tlogAllRefUpdates = false
[gc]
\tauto = 0
"""
# What git would obey beside its configuration: other stores of objects, commands, attributes, remotes, other folders.
_OTHERS = (
    "config.worktree",
    "hooks",
    "info/attributes",
    "info/grafts",
    "info/sparse-checkout",
    "objects/info/alternates",
    "objects/info/http-alternates",
    "commondir",
    "gitdir",
    "worktrees",
    "modules",
    "remotes",
    "branches",
    "shallow",
)


def broken(git_dir: Path) -> str:
    """Say what is there that the host did not write; empty where all is as it was made.

    Only entries and a hundred bytes are looked at, so this goes before each use.
    """
    try:
        number = os.open(git_dir / "config", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"its configuration cannot be read ({error.strerror})"
    with os.fdopen(number, "rb") as file:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode) or file.read(len(CONFIG) + 1) != CONFIG:
            return "its configuration is not the one that was written"
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            return "others may write its configuration"
    there = next((name for name in _OTHERS if os.path.lexists(git_dir / name)), "")
    return f"`{there}` has appeared in it" if there else ""


def check(git_dir: Path) -> None:
    """Raise GitError where anybody else configured a mirror: it is not used, and may be deleted as it is a copy."""
    if problem := broken(git_dir):
        raise GitError(
            f"The mirror {git_dir.name} was tampered with: {problem}. Delete it; it is fetched again."
        )
