"""Owns what the tests of set-ups stand on: a mirror with commits at will, real boxes, and an index on loopback."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bot.core.values import Identity, Repo
from bot.gateway.egress import egress
from bot.git import GitMirror, WorktreeManager
from bot.git.worktrees import TaskWorktree
from bot.jobs.dependencies import Commit, Dependencies, Ready
from bot.jobs.layers import Layers
from bot.jobs.verify import Verifier
from bot.ports import Sandbox
from tests.support.index import Index

WHO = Identity("Dana", "dana@example.invalid")
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"


@dataclass
class Ground:
    """A repository's mirror, and set-ups of its commits."""

    dependencies: Dependencies
    worktrees: WorktreeManager
    mirror: GitMirror

    @property
    def layers(self) -> Layers:
        return self.dependencies.layers

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.dependencies)

    async def commit(self, files: Mapping[str, str | None], on: str = "") -> str:
        contents = {path: None if text is None else text.encode() for path, text in files.items()}
        tree = await self.mirror.write_tree(on or EMPTY, contents)
        return await self.mirror.commit_tree(tree, (on,) if on else (), "One", WHO, WHEN)

    def at(self, sha: str, base: str = "") -> Commit:
        return Commit(self.mirror, sha, base or sha)

    @asynccontextmanager
    async def laid(self, ready: Ready, sha: str, id_: str = "t") -> AsyncIterator[TaskWorktree]:
        """Lend a worktree into which what is ready was laid."""
        worktree = await self.worktrees.create(self.mirror, id_, sha)
        try:
            made = await self.dependencies.lay(ready, self.mirror, worktree, worktree.home)
            assert made.wrong == ""
            yield worktree
        finally:
            assert await self.worktrees.cleanup(id_) == []


async def ground(
    data: Path, sandbox: Sandbox, served: Index, most: int = 1 << 30, **changes: float
) -> Ground:
    worktrees = WorktreeManager(data, sandbox)
    dependencies = Dependencies(
        worktrees,
        sandbox,
        Layers(data / "layers", 4 * most),
        PATH,
        lambda folder, _languages: egress(folder, registries=(served.registry,), indexes=served.indexes),
        worktrees.owner,
    )
    mirror = await worktrees.mirror(Repo(7, "o", "r", "main", private=True))
    return Ground(replace(dependencies, **changes), worktrees, mirror)  # type: ignore[arg-type]
