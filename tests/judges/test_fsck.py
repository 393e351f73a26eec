"""The judge of repositories finds a damaged object in any of a forge's repositories."""

import subprocess
from pathlib import Path

import pytest

from tests.judges.fsck import fsck_all


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@forge.test")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    bare = tmp_path / "repos" / "o" / "r.git"
    bare.mkdir(parents=True)
    git(bare, "init", "--bare", "--initial-branch=main")
    tree = git(bare, "mktree", "--missing")
    git(bare, "update-ref", "refs/heads/main", git(bare, "commit-tree", tree, "-m", "first"))
    return bare


def test_sound_repositories_are_counted(tmp_path: Path, repository: Path) -> None:
    assert fsck_all(tmp_path) == 1
    assert fsck_all(tmp_path / "elsewhere") == 0


def test_a_lost_object_is_found(tmp_path: Path, repository: Path) -> None:
    tree = git(repository, "rev-parse", "main^{tree}")
    (repository / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(AssertionError, match=r"o/r\.git is damaged"):
        fsck_all(tmp_path)
