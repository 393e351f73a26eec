"""Owns putting a commit of the host on a branch: by git, or through the API where commits have to be signed."""

from __future__ import annotations

from dataclasses import dataclass

from bot.core.values import Repo
from bot.ports import Forge, Mirror


@dataclass(frozen=True, slots=True)
class Publisher:
    """Pushes; whoever asks gets the sha that the branch has then, which is another one where the forge signed it."""

    forge: Forge

    async def push(self, repo: Repo, mirror: Mirror, sha: str, branch: str, expected: str | None) -> str:
        """Move a branch from `expected` (None: absent) to this commit; StaleRefError where it is elsewhere."""
        async with self.forge.git_access(repo, write=True) as access:
            await mirror.push(access, sha, branch, expected)
        return sha
