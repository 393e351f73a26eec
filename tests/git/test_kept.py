"""The index that the host keeps of a checkout spares git reading, and hides nothing."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from bot.git import GitMirror, TaskWorktree, WorktreeManager, kept
from bot.git.runner import ENVIRONMENT, OPTIONS, Place
from bot.ports import GitAccess
from bot.sandbox import BwrapSandbox
from tests.git.conftest import REPO, WHEN, WHO


async def _worktree(folder: Path, sandbox: BwrapSandbox, access: GitAccess) -> tuple[TaskWorktree, GitMirror]:
    manager = WorktreeManager(folder / "data", sandbox)
    mirror = await manager.mirror(REPO)
    await mirror.fetch(access)
    base = await mirror.resolve("main")
    assert base is not None
    return await manager.create(mirror, "T-1", base), mirror


async def _dirty(tree: TaskWorktree, mirror: GitMirror, sandbox: BwrapSandbox, index: Path) -> list[str]:
    """List what git would have to read again, as seen in a box like that of the ingest."""
    work, home = tree.folder / "look", tree.folder / "look-home"
    for folder in (work / "git/objects/info", work / "git/refs", home):
        folder.mkdir(parents=True)
    (work / "git/HEAD").write_text("ref: refs/heads/none\n")
    (work / "git/objects/info/alternates").write_text(f"{mirror.git_dir / 'objects'}\n")
    (work / "git/index").write_bytes(index.read_bytes())
    zone = WorktreeManager(tree.folder / "other", sandbox).zone
    async with zone.open(work, home, shown=(tree.path, mirror.git_dir / "objects")) as box:
        # Newer than all files, so that none has to be read because it may have changed in the same second.
        env = {**ENVIRONMENT, **Place(box.work / "git", tree.path, box.work / "git/index").environment()}
        done = await box.run(["git", *OPTIONS, "diff-files", "--name-only"], env=env, timeout=60)
    assert done.code == 0, done.output
    return done.output.splitlines()


async def test_nothing_of_a_checkout_has_to_be_read_again(
    tmp_path: Path, sandbox: BwrapSandbox, access: GitAccess
) -> None:
    tree, mirror = await _worktree(tmp_path, sandbox, access)
    index = tree.folder / "index"
    assert index.exists() == kept.tells(tmp_path)
    if not index.exists():
        return
    assert index.stat().st_mtime_ns == (tree.scratch_git / "index").stat().st_mtime_ns
    assert await _dirty(tree, mirror, sandbox, index) == []
    os.utime(tree.path / "f.txt", ns=(0, 0))
    for name in ("look", "look-home"):
        (tree.folder / name).rename(tree.folder / f"old-{name}")
    assert await _dirty(tree, mirror, sandbox, index) == ["f.txt"]


async def test_a_change_of_equal_size_whose_time_is_set_back_is_seen(
    tmp_path: Path, sandbox: BwrapSandbox, access: GitAccess
) -> None:
    tree, _ = await _worktree(tmp_path, sandbox, access)
    file, index = tree.path / "f.txt", tree.folder / "index"
    for wait, text in ((0.0, b"#"), (1.1, b"%")):  # within the second of the checkout, and after it
        time.sleep(wait)
        if wait and index.exists():
            # As after a checkout that took long: git need not suspect any file, but for when its inode changed.
            later = index.stat().st_mtime_ns + 60 * 10**9
            os.utime(index, ns=(later, later))
        before = file.stat()
        file.write_bytes(text * before.st_size)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        after = file.stat()
        assert (after.st_size, after.st_mtime_ns, after.st_ino) == (
            before.st_size,
            before.st_mtime_ns,
            before.st_ino,
        )
        assert (await tree.ingest("Work", WHO, WHEN, {})).changed == ("f.txt",)


async def test_what_the_agent_says_of_its_index_is_not_asked(
    tmp_path: Path, sandbox: BwrapSandbox, access: GitAccess
) -> None:
    tree, _ = await _worktree(tmp_path, sandbox, access)
    env = {"PATH": os.environ["PATH"], **ENVIRONMENT, **Place(tree.scratch_git, tree.path).environment()}
    command = ["git", "-c", "safe.directory=*", "update-index", "--skip-worktree", "f.txt"]
    subprocess.run(command, env=env, cwd=tree.path, check=True, timeout=60)
    (tree.path / "f.txt").write_text("changed\n")
    assert (await tree.ingest("Work", WHO, WHEN, {})).changed == ("f.txt",)


async def test_an_index_that_somebody_changed_or_took_away_is_not_used(
    tmp_path: Path, sandbox: BwrapSandbox, access: GitAccess
) -> None:
    tree, _ = await _worktree(tmp_path, sandbox, access)
    (tree.path / "f.txt").write_text("changed\n")
    index = tree.folder / "index"
    index.write_bytes((tree.scratch_git / "index").read_bytes()[:-1] + b"!")
    assert (await tree.ingest("Work", WHO, WHEN, {})).changed == ("f.txt",)
    index.unlink()
    assert (await tree.ingest("Work", WHO, WHEN, {})).changed == ("f.txt",)


def test_it_is_lent_with_its_time_and_only_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"index")
    os.utime(tmp_path / "from", ns=(1, 10**18 + 7))
    index = kept.keep(tmp_path, "from", tmp_path / "kept")
    assert index is not None
    assert index.lend(tmp_path / "lent")
    assert (tmp_path / "lent").read_bytes() == b"index"
    assert (tmp_path / "lent").stat().st_mtime_ns == 10**18 + 7
    (tmp_path / "kept").write_bytes(b"other")
    assert not index.lend(tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert kept.keep(tmp_path, "none", tmp_path / "nowhere") is None


def test_trying_the_file_system_leaves_nothing(tmp_path: Path) -> None:
    assert kept.tells(tmp_path) in (True, False)
    assert list(tmp_path.iterdir()) == []
