import os
from pathlib import Path

import pytest

from bot.demo import source
from bot.errors import UserError

WHO = {f"GIT_{role}_{part}": "a@localhost" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with two commits, and something uncommitted."""
    path = tmp_path / "clone"
    source.run_git(["init", "--quiet", "-b", "trunk", str(path)])
    for text in ("one", "two"):
        (path / "file.txt").write_text(text)
        source.run_git(["add", "."], cwd=path)
        source.run_git(["commit", "--quiet", "-m", text], cwd=path, env=WHO)
    (path / "file.txt").write_text("not committed")
    return path


def snapshot(root: Path) -> dict[str, tuple[int, int, int, bytes]]:
    found = {}
    for folder, _, names in os.walk(root):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            stat = path.stat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (stat.st_mtime_ns, stat.st_nlink, stat.st_mode, content)
    return found


def pushed(room: Path, sha: str, target: Path) -> list[str]:
    source.run_git(["init", "--quiet", "--bare", str(target)])
    source.push(room, sha, str(target), "token", "main")
    return source.run_git([f"--git-dir={target}", "log", "--format=%s", "main"]).splitlines()


def test_a_revision_reaches_the_forge_and_the_clone_is_only_read(clone: Path, tmp_path: Path) -> None:
    before = snapshot(clone)
    sha = source.borrow(clone, "HEAD~1", tmp_path / "room.git")
    assert pushed(tmp_path / "room.git", sha, tmp_path / "forge.git") == ["one"]
    assert snapshot(clone) == before


def test_a_shallow_clone_starts_a_history_of_its_own(clone: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    source.run_git(["clone", "--quiet", "--depth=1", f"file://{clone}", str(shallow)])
    sha = source.borrow(shallow, "HEAD", tmp_path / "room.git")
    assert len(pushed(tmp_path / "room.git", sha, tmp_path / "forge.git")) == 1
    assert source.run_git([f"--git-dir={tmp_path / 'forge.git'}", "show", "main:file.txt"]) == "two"


def test_a_revision_that_is_not_there_is_said(clone: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no revision v9"):
        source.borrow(clone, "v9", tmp_path / "room.git")


def test_a_persons_patch_becomes_a_commit_on_the_branch(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.txt").write_text("a\n")
    room, forge = tmp_path / "room.git", tmp_path / "forge.git"
    pushed(room, source.plant(files, room), forge)
    patch = tmp_path / "change.patch"
    patch.write_text("diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-a\n+b\n")
    sha = source.commit_patch(room, str(forge), "token", "main", patch, "colleague")
    assert (
        source.run_git([f"--git-dir={forge}", "log", "-1", "--format=%H %an", "main"]) == f"{sha} colleague"
    )
    assert source.run_git([f"--git-dir={forge}", "show", "main:a.txt"]) == "b"
