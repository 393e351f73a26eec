"""What the tokens of an App may do, as the forge's own records have it: what a step needs, in its repository alone."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from bot.core.values import Repo
from bot.forges.github import auth
from bot.ports import Forge
from tests.forges.conftest import RunningForge, a_forge

MAY = {
    "READ": {
        "metadata": "read",
        "contents": "read",
        "issues": "read",
        "pull_requests": "read",
        "checks": "read",
        "statuses": "read",
    },
    "TALK": {
        "metadata": "read",
        "contents": "read",
        "issues": "write",
        "pull_requests": "write",
        "checks": "write",
    },
    "LOGS": {"metadata": "read", "actions": "read"},
    "METADATA": {"metadata": "read"},
    "PUSH": {"metadata": "read", "contents": "write"},
}


async def read(forge: Forge, repo: Repo, issue: int) -> None:
    await forge.issue(repo, issue)


async def talk(forge: Forge, repo: Repo, issue: int) -> None:
    assert await forge.react(repo, "issue", issue, "eyes")


async def look_at_a_log(forge: Forge, repo: Repo, _: int) -> None:
    assert await forge.job_log(repo, 1) == ""


async def list_repositories(forge: Forge, repo: Repo, _: int) -> None:
    assert repo in (await forge.repos()).repos


async def push(forge: Forge, repo: Repo, _: int) -> None:
    async with forge.git_access(repo, write=True):
        pass


STEPS: dict[str, Callable[[Forge, Repo, int], Awaitable[None]]] = {
    "READ": read,
    "TALK": talk,
    "LOGS": look_at_a_log,
    "METADATA": list_repositories,
    "PUSH": push,
}


def test_every_set_of_permissions_is_looked_at_here() -> None:
    sets = {name: each for name, each in vars(auth).items() if name.isupper() and isinstance(each, Mapping)}
    assert sets == MAY
    assert list(STEPS) == list(MAY)


@pytest.mark.parametrize("mode", ["app"])  # a person's token is as wide as the person made it
@pytest.mark.parametrize("name", MAY)
async def test_a_token_is_narrowed_to_its_repository_and_step(
    server: RunningForge, repo: Repo, mode: str, name: str
) -> None:
    issue, before = server.issue(repo.slug), len(minted(server))
    forge = a_forge(server, mode)
    await STEPS[name](forge, repo, issue)
    await forge.aclose()
    # To list what an installation reaches is the one step that is about no repository.
    reach = None if name == "METADATA" else [repo.id]
    assert minted(server)[before:] == [(MAY[name], reach)]


def minted(server: RunningForge) -> list[tuple[dict[str, str], Any]]:
    """List the permissions and the repositories (None: all of the installation) of each token that was made, in order."""
    with sqlite3.connect(server.data / "forge.sqlite") as db:
        sql = "SELECT permissions, repository_ids FROM tokens WHERE kind = 'installation' ORDER BY id"
        rows = db.execute(sql).fetchall()
    db.close()
    return [(json.loads(may), ids and json.loads(ids)) for may, ids in rows]
