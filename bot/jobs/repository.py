"""Owns a repository as handlers and jobs read it: its mirror brought up to date, its settings, its files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.core import backlog
from bot.core import config as settings_file
from bot.core.backlog import Loaded
from bot.core.config import RepoConfig
from bot.core.values import Repo
from bot.ports import Forge, Mirror, Worktrees

FRESH = 60.0  # seconds for which settings are believed without a push having been announced


@dataclass(slots=True)
class Repositories:
    """Reads repositories through their mirrors; handlers see it as `Reads`."""

    forge: Forge
    worktrees: Worktrees
    override: Callable[[RepoConfig], RepoConfig] = lambda config: config  # the operator's settings win
    unboxed: bool = False  # agents and tests run without a sandbox, and real people are about
    _fetched: dict[int, float] = field(default_factory=dict)

    def moved(self, repo_id: int) -> None:
        """Forget that the mirror is up to date: a push was announced."""
        self._fetched.pop(repo_id, None)

    async def fresh(self, repo: Repo, max_age: float = 0.0) -> Mirror:
        """Give the mirror, fetched at most `max_age` seconds ago."""
        mirror = await self.worktrees.mirror(repo)
        fetched = self._fetched.get(repo.id)
        began = time.monotonic()
        if fetched is None or began - fetched > max_age:
            async with self.forge.git_access(repo, write=False) as access:
                await mirror.fetch(access)
            self._fetched[repo.id] = began
        return mirror

    async def config(self, repo: Repo) -> tuple[RepoConfig, tuple[str, ...]]:
        """Give the settings from the default branch and what is wrong with the file, one sentence each."""
        mirror = await self.fresh(repo, FRESH)
        head = await mirror.resolve(repo.default_branch)
        raw = await mirror.read(head, settings_file.PATH) if head else None
        parsed, problems = settings_file.parse(raw.decode(errors="replace") if raw is not None else "")
        config = self.override(parsed)
        self.forge.cap(repo, config.limits.api)
        return config, tuple(str(problem) for problem in problems)

    async def file(self, repo: Repo, sha: str, path: str) -> str | None:
        """Read a text file of the repository at a commit; None where there is none."""
        raw = await (await self._with(repo, sha)).read(sha, path)
        return raw.decode(errors="replace") if raw is not None else None

    async def backlog(self, repo: Repo, sha: str, path: str) -> Loaded | None:
        """Read and check a backlog file at a commit; None where there is none."""
        text = await self.file(repo, sha, path)
        # In a thread: checking thousands of tasks must not hold up everybody else.
        return await asyncio.to_thread(backlog.load, text) if text is not None else None

    async def paths(self, repo: Repo, sha: str) -> tuple[str, ...]:
        """List the repository's files at a commit."""
        return tuple(file.path for file in await (await self._with(repo, sha)).files(sha))

    async def _with(self, repo: Repo, sha: str) -> Mirror:
        mirror = await self.worktrees.mirror(repo)
        return mirror if await mirror.resolve(sha) else await self.fresh(repo)
