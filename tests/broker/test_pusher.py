"""Real git, through the broker and past it: what the broker refuses the forge itself would have taken."""

import asyncio
import base64
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import jwt
import pytest

from bot.core.values import Repo
from bot.ports import Forge, GitAccess
from tests.forges.conftest import RunningForge, a_forge


def git(folder: Path, access: GitAccess, *args: str) -> subprocess.CompletedProcess[str]:
    basic = base64.b64encode(f"x-access-token:{access.token}".encode()).decode()
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{access.url}.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }
    return subprocess.run(
        ["git", *args], cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def past_the_broker(server: RunningForge, repo: Repo, mode: str) -> GitAccess:
    """Access of the same kind as the bot is lent for pushing, without the broker."""
    url = f"{server.url}/{repo.slug}.git"
    if mode == "token":
        return GitAccess(url, server.token)
    now = int(time.time())
    claims = {"iss": str(server.app["id"]), "iat": now - 60, "exp": now + 500}
    wish = {"repository_ids": [repo.id], "permissions": {"metadata": "read", "contents": "write"}}
    path = f"/app/installations/{repo.installation}/access_tokens"
    statement = jwt.encode(claims, server.app["pem"], algorithm="RS256")
    return GitAccess(url, server.call("POST", path, wish, token=statement)["token"])


@pytest.fixture
async def forge(server: RunningForge, mode: str) -> AsyncIterator[Forge]:
    made = a_forge(server, mode)
    yield made
    await made.aclose()


@pytest.fixture
async def clone(forge: Forge, repo: Repo, tmp_path: Path) -> Path:
    """A clone with a commit more than the forge has, and two branches and a tag there."""
    folder = tmp_path / "clone"
    async with forge.git_access(repo, write=False) as access:
        got = await asyncio.to_thread(git, tmp_path, access, "clone", "-q", access.url, "clone")
        assert got.returncode == 0, got.stderr
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    nothing = GitAccess("http://127.0.0.1:9/", "none")
    for command in (("commit", "-q", "--allow-empty", "-m", "x"), ("tag", "v1")):
        assert git(folder, nothing, *who, *command).returncode == 0
    return folder


@asynccontextmanager
async def branch_there(forge: Forge, repo: Repo, clone: Path, name: str) -> AsyncIterator[None]:
    async with forge.git_access(repo, write=True) as access:
        made = await asyncio.to_thread(git, clone, access, "push", access.url, f"HEAD:refs/heads/{name}")
    assert made.returncode == 0, made.stderr
    yield


THERE = "agent/issue-7/backlog"
REFUSED = {
    "the default branch": (("HEAD:refs/heads/main",), "nothing is pushed to the default branch"),
    "two branches": (("HEAD:refs/heads/a", "HEAD:refs/heads/b"), "moves one branch"),
    "a tag": (("v1:refs/tags/v1",), "only branches"),
    "another ref": (("HEAD:refs/notes/x",), "only branches"),
    "somebody's branch": (("HEAD:refs/heads/agent/x",), "a track's own branches"),
    "a deletion": ((f":refs/heads/{THERE}",), "no branch is deleted"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_the_broker_refuses_what_the_forge_would_take(
    server: RunningForge, forge: Forge, repo: Repo, clone: Path, mode: str, what: str
) -> None:
    refs, why = REFUSED[what]
    async with branch_there(forge, repo, clone, THERE):
        async with forge.git_access(repo, write=True) as access:
            told = await asyncio.to_thread(git, clone, access, "push", "--force", access.url, *refs)
        assert told.returncode != 0
        assert why in told.stdout + told.stderr
        straight = past_the_broker(server, repo, mode)
        taken = await asyncio.to_thread(git, clone, straight, "push", "--force", straight.url, *refs)
        assert taken.returncode == 0, f"the control failed: {taken.stderr}"


async def test_a_handle_for_fetching_does_not_push_and_one_for_pushing_does_not_fetch(
    server: RunningForge, forge: Forge, repo: Repo, clone: Path, mode: str
) -> None:
    push = ("push", "HEAD:refs/heads/agent/issue-7/T-1-a1")
    async with forge.git_access(repo, write=False) as access:
        told = await asyncio.to_thread(git, clone, access, push[0], access.url, push[1])
        assert told.returncode != 0
        assert "this handle is for fetching" in told.stderr
    async with forge.git_access(repo, write=True) as access:
        told = await asyncio.to_thread(git, clone, access, "clone", "-q", access.url, "again")
        assert told.returncode != 0
        listed = await asyncio.to_thread(git, clone, access, "ls-remote", access.url)
        assert "refs/heads/main" in listed.stdout, "where its branch is may be looked at"
        elsewhere = replace(access, url=access.url.replace(repo.name, "another"))
        told = await asyncio.to_thread(git, clone, elsewhere, push[0], elsewhere.url, push[1])
        assert f"this handle is for pushes to {repo.slug}" in told.stderr
    straight = past_the_broker(server, repo, mode)
    got = await asyncio.to_thread(git, clone, straight, "clone", "-q", straight.url, "again")
    assert got.returncode == 0, f"the control failed: {got.stderr}"


async def test_a_real_token_and_a_made_up_handle_open_nothing(
    server: RunningForge, forge: Forge, repo: Repo, clone: Path, mode: str
) -> None:
    real = past_the_broker(server, repo, mode).token
    async with forge.git_access(repo, write=False) as access:
        assert not access.token.startswith("gh")
        assert access.token.startswith("gwh_")
        for wrong in (real, "gwh_made-up", ""):
            told = await asyncio.to_thread(git, clone, replace(access, token=wrong), "ls-remote", access.url)
            assert told.returncode != 0
            assert "503" in told.stderr
