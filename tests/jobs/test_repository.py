"""A repository's settings take effect where they are read."""

import asyncio
from dataclasses import dataclass

from bot.core.values import Repo
from bot.forges.github import GitHubForge
from bot.jobs.repository import Repositories
from bot.ports import GitAccess
from tests.forges.scripted_server import Say, scripted_server

REPO = Repo(7, "o", "r", "main", private=True)
OTHER = Repo(8, "o", "r2", "main", private=True)


@dataclass
class OneFile:
    """Mirrors that hold the settings file alone."""

    text: bytes

    async def mirror(self, _repo: Repo) -> "OneFile":
        return self

    async def fetch(self, _access: GitAccess) -> None:
        return None

    async def resolve(self, _ref: str) -> str:
        return "0" * 40

    async def read(self, _sha: str, _path: str) -> bytes:
        return self.text


async def test_the_file_s_limit_of_api_calls_holds_for_its_repository_alone() -> None:
    async with scripted_server() as server:
        server.otherwise = lambda asked: Say(200, {"number": 1, "state": "open"}, delay=0.02)
        forge = GitHubForge(server.url, token="t0ken", api_limit=5)
        worktrees = OneFile(b"limits: {api: 2}\n")
        most = []
        try:
            await Repositories(forge, worktrees).config(REPO)  # type: ignore[arg-type]
            for repo, at_once in ((REPO, 2), (OTHER, 5)):
                server.most_busy, server.crowd = 0, at_once
                await asyncio.gather(*(forge.issue(repo, number) for number in range(12)))
                most.append(server.most_busy)
        finally:
            await forge.aclose()
    assert most == [2, 5]
