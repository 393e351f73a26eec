"""Owns the fixtures of the git tests: a served repository, its mirror, and worktrees with a real sandbox."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.core.values import Identity, Repo
from bot.git import GitMirror, WorktreeManager
from bot.ports import GitAccess
from bot.sandbox import BwrapSandbox, NoSandbox
from tests.git.server import TOKEN, GitServer
from tests.support.walls import walls

WHO = Identity("Gitwright", "bot@example.invalid")
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REPO = Repo(7, "o", "r", "main", private=True)
FILES = {
    "f.txt": "".join(f"line {n}\n" for n in range(40)),
    "docs/a.md": "docs\n",
    "pkg/mod.py": "VALUE = 1\n",
    "tests/test_mod.py": "from pkg import mod\n\n\ndef test_value():\n    assert mod.VALUE == 1\n",
    "run.sh": "#!/bin/sh\necho hi\n",
    ".gitignore": "build/\n*.log\n",
}


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("seeded")
    seed_repository(root)
    return root


@pytest.fixture
def server(tmp_path: Path, seeded: Path) -> Iterator[GitServer]:
    root = tmp_path / "served"
    shutil.copytree(seeded, root, symlinks=True)
    running = GitServer(root)
    yield running
    running.close()


def seed_repository(root: Path) -> None:
    """Make `r.git` with one commit on `main`."""
    work = root / "seed"
    for name, text in FILES.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    (work / "run.sh").chmod(0o755)
    (work / "link").symlink_to("docs/a.md")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    for args in (["init", "-q", "-b", "main"], ["add", "-A"], [*who, "commit", "-qm", "base"]):
        _git(work, *args)
    _git(root, "clone", "-q", "--bare", str(work), "r.git")
    _git(root / "r.git", "config", "http.receivepack", "true")


def _git(cwd: Path, *args: str) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *args], cwd=cwd, env=env, check=True, capture_output=True, timeout=60)


@pytest.fixture
def access(server: GitServer) -> GitAccess:
    return GitAccess(f"{server.url}/r.git", TOKEN)


@pytest.fixture
def manager(tmp_path: Path) -> WorktreeManager:
    """Without walls around what it runs: what is refused and taken must not hang on them."""
    return WorktreeManager(tmp_path / "data", NoSandbox(allowed=True))


@pytest.fixture
async def mirror(manager: WorktreeManager, access: GitAccess) -> GitMirror:
    found = await manager.mirror(REPO)
    await found.fetch(access)
    return found


@pytest.fixture
async def base(mirror: GitMirror) -> str:
    sha = await mirror.resolve("main")
    assert sha is not None
    return sha


@pytest.fixture
async def sandbox() -> BwrapSandbox:
    return await walls()
