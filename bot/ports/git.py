"""Owns the ports to git: mirrors, worktrees, and what is taken in from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from bot.core.values import CommitInfo, Identity, Repo, TreeChange, TreeFile
from bot.ports.forge import GitAccess


@dataclass(frozen=True, slots=True)
class Ingested:
    """What was found in a worktree after the agent was dead: a commit, or None where nothing changed."""

    sha: str | None
    changed: tuple[str, ...]
    added_lines: int
    removed_lines: int


class Mirror(Protocol):
    """One bare repository that the host alone writes; nobody else's bytes configure it."""

    git_dir: Path

    async def fetch(self, access: GitAccess) -> None:
        """Bring all branches to refs/remotes/origin/*, and drop those that are gone."""

    async def resolve(self, ref: str) -> str | None:
        """Give the sha of a branch name, ref or sha; None where there is none."""

    async def read(self, sha: str, path: str, limit: int = 1 << 20) -> bytes | None:
        """Read a file at a commit; None where it is missing, no regular file, or larger than `limit`."""

    async def read_many(self, sha: str, paths: Sequence[str], limit: int = 1 << 20) -> dict[str, bytes]:
        """Read several files at a commit with one process; what `read` would give None for is left out."""

    async def files(self, sha: str) -> list[TreeFile]:
        """List every blob of a commit's tree, sorted by path."""

    async def commit_files(
        self, parent: str, files: Mapping[str, bytes | None], message: str, author: Identity, when: datetime
    ) -> str:
        """Commit these paths (None deletes) on top of `parent` without a checkout; the same input gives the same sha."""

    async def write_tree(self, base: str, files: Mapping[str, bytes | None]) -> str:
        """Write the tree of `base` (commit or tree) with these paths put or deleted."""

    async def commit_tree(
        self, tree: str, parents: tuple[str, ...], message: str, author: Identity, when: datetime
    ) -> str:
        """Commit a tree with this author, date and message; the same input gives the same sha."""

    async def merge_tree(self, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
        """Merge two commits in memory: the tree, with markers in the conflicted paths (none: clean)."""

    async def merge_base(self, one: str, other: str) -> str | None:
        """Give the best common ancestor of two commits; None where there is none."""

    async def commits(self, old: str, new: str) -> list[CommitInfo]:
        """List the commits that `new` has and `old` lacks, newest first."""

    async def subjects(self, sha: str, limit: int) -> list[tuple[str, str]]:
        """List the author's address and subject of the newest commits that are no merges, newest first."""

    async def diff_stat(self, old: str, new: str) -> list[tuple[str, int, int]]:
        """List changed paths with added and removed lines (binary: 0, 0)."""

    async def changes(self, old: str, new: str) -> list[TreeChange]:
        """List changed paths with their modes and shas, no renames, sorted by path."""

    async def patch(self, old: str, new: str) -> str:
        """Give the whole difference of two commits as a patch, binary contents included, no renames."""

    async def contents(self, files: Sequence[TreeFile]) -> dict[str, bytes]:
        """Read blobs by path with one process for each few megabytes."""

    async def message(self, sha: str) -> str:
        """Give a commit's message as it was written."""

    async def unpublished(self, sha: str) -> list[CommitInfo]:
        """List the commits up to this one that no branch of the forge holds, newest first."""

    async def anchor(self, name: str, sha: str) -> None:
        """Keep a commit from garbage collection under refs/gitwright/<name>."""

    async def push(self, access: GitAccess, sha: str, branch: str, expected: str | None) -> None:
        """Push one sha to one branch whose tip must be `expected` (None: absent); StaleRefError otherwise, a push that is done already is fine."""


class Worktree(Protocol):
    """One task's folder: the agent writes `path`; the host reads it only after the agent is dead."""

    id: str
    path: Path
    home: Path
    scratch_git: Path
    base: str
    laid: bool  # whether `leave_out` was called

    def leave_out(self, places: Sequence[str]) -> None:
        """Take nothing in of these places, each with all below it, where the base has nothing of that name."""

    async def ingest(
        self, message: str, author: Identity, when: datetime, keep: Mapping[str, bytes | None]
    ) -> Ingested:
        """Scan and commit what is in the folder on top of `base`; `keep` are host-written paths that override it. UserError names what the scan refuses."""


class Worktrees(Protocol):
    """Makes and removes worktrees; one bare mirror per repository."""

    async def mirror(self, repo: Repo) -> Mirror: ...

    async def create(self, mirror: Mirror, id_: str, base: str) -> Worktree:
        """Check `base` out into a new folder; what an earlier try of this id left is removed first."""

    async def cleanup(self, id_: str) -> list[str]:
        """Remove a worktree and prove it: an empty list, or what is still there."""

    def names(self, prefix: str) -> list[str]:
        """List the worktrees that lie here and whose names begin so."""

    async def cleanup_all(self, keep: Sequence[str] = ()) -> list[str]:
        """Remove every worktree but these and name those that were removed."""
