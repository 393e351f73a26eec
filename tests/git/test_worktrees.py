"""Worktrees: what an agent finds in one, and that clean-up removes and proves it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from bot import living, process
from bot.errors import GitError
from bot.git import GitMirror, WorktreeManager, task_policy
from bot.git.runner import Place, git
from bot.git.zone import Zone
from bot.ports import Box, GitAccess, Sandbox, SandboxPolicy
from bot.sandbox import BwrapSandbox, NoSandbox
from tests.git.conftest import FILES, REPO, WHEN, WHO

_PATH = "/usr/local/bin:/usr/bin:/bin"


async def test_a_worktree_holds_the_base_and_a_pointer(
    manager: WorktreeManager, mirror: GitMirror, base: str
) -> None:
    tree = await manager.create(mirror, "T-1", base)
    found = {path: (tree.path / path).read_text() for path in FILES}
    assert found == FILES
    assert (tree.path / "run.sh").stat().st_mode & 0o111
    assert (tree.path / "link").readlink() == Path("docs/a.md")
    assert (tree.path / ".git").read_text() == "gitdir: /scratch.git\n"
    assert sorted(entry.name for entry in tree.folder.iterdir()) == [
        "home",
        "pointer",
        "scratch.git",
        "wt",
    ]


async def test_a_base_that_nobody_refers_to_survives_pruning(
    manager: WorktreeManager, mirror: GitMirror, base: str
) -> None:
    loose = await mirror.commit_files(base, {"a": b"1"}, "Loose", WHO, WHEN)
    await manager.create(mirror, "T-1", loose)
    subprocess.run(
        ["git", "--git-dir", str(mirror.git_dir), "gc", "-q", "--prune=now"], check=True, timeout=60
    )
    assert await mirror.read(loose, "a") == b"1"


async def test_a_creation_that_fails_leaves_no_folder(manager: WorktreeManager, mirror: GitMirror) -> None:
    with pytest.raises(GitError):
        await manager.create(mirror, "T-1", "1" * 40)
    assert manager.names("") == []


async def test_a_creation_that_is_interrupted_at_any_moment_leaves_no_folder(
    manager: WorktreeManager, mirror: GitMirror, base: str
) -> None:
    many = await mirror.commit_files(base, {f"d/{n}": b"x" for n in range(300)}, "Many", WHO, WHEN)
    met = set()
    for turn in range(60):
        if turn >= 12 and "wt" in met:
            break
        creating = asyncio.create_task(manager.create(mirror, "T-1", many))
        await asyncio.sleep(0.004 * min(turn, 12))
        while turn >= 12 and not (creating.done() or (manager.folder("T-1") / "wt").exists()):
            await asyncio.sleep(0.001)  # on a machine that has not come far by then
        if not creating.done():
            met.update(path.name for path in manager.folder("T-1").glob("*"))
        creating.cancel()
        await asyncio.wait({creating})
        if creating.cancelled():
            assert manager.names("") == []
        await manager.cleanup("T-1")
    assert "wt" in met, "never in the middle"


@pytest.mark.parametrize("name", ["", "..", ".x", "a/b", "-x", "a b", "x" * 200])
async def test_a_name_never_leads_out_of_the_data_folder(
    manager: WorktreeManager, mirror: GitMirror, base: str, name: str
) -> None:
    with pytest.raises(GitError):
        await manager.create(mirror, name, base)
    with pytest.raises(GitError):
        await manager.cleanup(name)


async def test_git_works_for_the_agent_and_none_of_it_reaches_the_mirror(
    manager: WorktreeManager, mirror: GitMirror, base: str, sandbox: BwrapSandbox
) -> None:
    tree = await manager.create(mirror, "T-1", base)
    (tree.path / ".git").unlink()
    (tree.path / ".git").touch()
    patch = "--- a/f.txt\n+++ b/f.txt\n@@ -1,3 +1,3 @@\n-line 0\n+changed\n line 1\n line 2\n"
    script = f"""
        set -e
        test -z "$(git status --porcelain)"
        git log --format=%H
        printf '%s' '{patch}' | sed 's/^ *//;s/^line/ line/' >/tmp/p
        git apply --3way /tmp/p
        git diff --cached --stat
        git commit -qm work
        git checkout -q -b other && git stash list && git config core.hooksPath /tmp
        ( : >{mirror.git_dir}/objects/canary ) 2>/dev/null && echo objects are writable
        ls {mirror.git_dir} | grep -v '^objects$' || true
        git rev-parse HEAD
    """
    async with sandbox.open(task_policy(tree, mirror, path=_PATH)) as box:
        done = await box.run(["sh", "-c", script], timeout=60)
    assert done.code == 0, done.output
    assert done.output.startswith(base)
    assert "writable" not in done.output
    assert "packed-refs" not in done.output
    assert await mirror.resolve(done.output.split()[-1]) is None
    assert "hooksPath" not in (mirror.git_dir / "config").read_text()


async def test_cleanup_proves_that_nothing_is_left(
    manager: WorktreeManager, mirror: GitMirror, base: str
) -> None:
    tree = await manager.create(mirror, "T-1", base)
    locked = tree.path / "locked/deep"
    locked.mkdir(parents=True)
    (locked / "file").touch()
    locked.chmod(0)
    locked.parent.chmod(0)
    assert await manager.cleanup("T-1") == []
    assert not tree.folder.exists()
    assert await manager.cleanup("T-1") == []


async def test_cleanup_reports_a_process_that_still_works_there(
    manager: WorktreeManager, mirror: GitMirror, base: str
) -> None:
    tree = await manager.create(mirror, "T-1", base)
    sleeper = subprocess.Popen(["sleep", "60"], cwd=tree.path)
    try:
        assert await manager.cleanup("T-1") == [f"process {sleeper.pid} works in {tree.folder}"]
    finally:
        sleeper.kill()
        sleeper.wait(60)
    assert await manager.cleanup("T-1") == []


@pytest.mark.parametrize("where", ["/workspace", "/home/agent", "/scratch.git"])
async def test_cleanup_reports_a_process_in_a_box_that_still_works_there(
    manager: WorktreeManager, mirror: GitMirror, base: str, sandbox: BwrapSandbox, where: str
) -> None:
    tree = await manager.create(mirror, "T-1", base)
    command = ["sh", "-c", f"cd {where} && echo begun && exec sleep 60"]
    async with sandbox.open(task_policy(tree, mirror, path=_PATH)) as box:
        async with box.start(command) as talk:
            assert await asyncio.wait_for(talk.read(100), 60) == b"begun\n"
            left = await manager.cleanup("T-1")
        assert any(line.endswith(f"works in {tree.folder}") for line in left), left
    assert await manager.cleanup("T-1") == []


@pytest.mark.skipif(
    os.geteuid() != 0, reason="does not apply: only root can make files that cannot be removed"
)
async def test_cleanup_reports_a_file_that_cannot_be_removed(
    manager: WorktreeManager, mirror: GitMirror, base: str
) -> None:
    tree = await manager.create(mirror, "T-1", base)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(tree.home)], check=False, timeout=60).returncode:
        pytest.skip("does not apply: this root may not mount")
    try:
        assert str(tree.home) in await manager.cleanup("T-1")
        assert await manager.cleanup_all() == []
    finally:
        subprocess.run(["umount", str(tree.home)], check=True, timeout=60)
    assert await manager.cleanup("T-1") == []


async def test_cleanup_all_keeps_what_lives(manager: WorktreeManager, mirror: GitMirror, base: str) -> None:
    for name in ("T-1", "T-2", "T-3"):
        await manager.create(mirror, name, base)
    assert await manager.cleanup_all(keep=["T-2"]) == ["T-1", "T-3"]
    assert await manager.cleanup_all() == ["T-2"]


_CREATE = """\
import asyncio, pathlib, sys
from bot import process
from bot.core.values import Repo
from bot.git import WorktreeManager
from bot.sandbox import NoSandbox
async def main():
    manager = WorktreeManager(pathlib.Path(sys.argv[1]), NoSandbox(allowed=True))
    mirror = await manager.mirror(Repo(7, "o", "r", "main", True))
    print(process._WARDEN.run, flush=True)
    while True:
        await manager.create(mirror, "T-1", sys.argv[2])
asyncio.run(main())
"""


async def _killed_after(milliseconds: int, code: str, *args: str) -> None:
    """Kill a process in the middle of its work, and wait until its warden has ended what it had started."""
    command = [sys.executable, "-c", code, *args]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."})
    assert child.stdout is not None
    run = child.stdout.readline().decode().strip()
    assert run
    await asyncio.sleep(milliseconds / 1000)
    child.send_signal(signal.SIGKILL)
    child.wait(60)
    child.stdout.close()
    async with asyncio.timeout(60):
        while living.of_run(run, set()):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("milliseconds", [1, 7, 23])
async def test_a_creation_killed_in_the_middle_can_be_done_again(
    manager: WorktreeManager, mirror: GitMirror, base: str, tmp_path: Path, milliseconds: int
) -> None:
    await _killed_after(milliseconds, _CREATE, str(tmp_path / "data"), base)
    tree = await manager.create(mirror, "T-1", base)
    assert {path: (tree.path / path).read_text() for path in FILES} == FILES


_WORK = """\
import asyncio, pathlib, sys
from bot import process
from bot.core.values import Repo
from bot.git import WorktreeManager
from bot.sandbox import NoSandbox
async def main():
    manager = WorktreeManager(pathlib.Path(sys.argv[1]), NoSandbox(allowed=True))
    mirror = await manager.mirror(Repo(7, "o", "r", "main", True))
    print(process._WARDEN.run, flush=True)
    while True:
        for n in range(5):
            await mirror.anchor(f"some/{n}", sys.argv[2])
            await mirror.write_tree(sys.argv[2], {f"f{n}": b"x" * 100000})
        await mirror.release_tracks(["0", "1", "2", "3", "4"])
asyncio.run(main())
"""


@pytest.mark.parametrize("milliseconds", [3, 11, 29, 60])
async def test_what_a_kill_leaves_in_a_mirror_is_removed_at_the_next_start(
    manager: WorktreeManager, mirror: GitMirror, base: str, tmp_path: Path, milliseconds: int
) -> None:
    data = tmp_path / "data"
    await _killed_after(milliseconds, _WORK, str(data), base)
    # Wherever the kill met it, these are what git leaves in the middle of its steps.
    for name in ("packed-refs.lock", "refs/gitwright/some/0.lock", "objects/pack/tmp_pack_x"):
        path = mirror.git_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (mirror.git_dir.parent / "new-x" / "made.git").mkdir(parents=True)
    with pytest.raises(GitError, match=r"0\.lock.*File exists"):
        await git(Place(mirror.git_dir), "update-ref", "refs/gitwright/some/0", base)
    restarted = WorktreeManager(data, NoSandbox(allowed=True))
    left = await restarted.sweep()
    assert {
        "7.git/packed-refs.lock",
        "7.git/refs/gitwright/some/0.lock",
        "7.git/objects/pack/tmp_pack_x",
        "new-x",
    } <= set(left)
    assert await restarted.sweep() == []
    await mirror.anchor("some/0", base)
    assert await mirror.release_tracks([str(n) for n in range(5)]) >= 1
    assert await mirror.resolve("main") == base


async def test_fetches_and_creations_at_once_do_not_disturb_each_other(
    manager: WorktreeManager, mirror: GitMirror, access: GitAccess, base: str
) -> None:
    trees = await asyncio.gather(
        *(manager.create(mirror, f"T-{n}", base) for n in range(4)),
        *(mirror.fetch(access) for _ in range(3)),
    )
    assert all((tree.path / "f.txt").is_file() for tree in trees if tree is not None)


class _Waiting:
    """A sandbox that lends no box for worktrees of one name before it is told to."""

    def __init__(self, sandbox: BwrapSandbox, name: str) -> None:
        self.go = asyncio.Event()
        self.waits = 0
        self._sandbox = sandbox
        self._name = name

    @asynccontextmanager
    async def open(self, policy: SandboxPolicy) -> AsyncIterator[Box]:
        if policy.work.parent.name.startswith(self._name):
            self.waits += 1
            await self.go.wait()
        async with self._sandbox.open(policy) as box:
            yield box


async def test_slow_checkouts_of_one_repository_do_not_hold_up_another(
    manager: WorktreeManager, mirror: GitMirror, base: str, sandbox: BwrapSandbox
) -> None:
    other = await manager.mirror(replace(REPO, id=8))
    empty = (await git(Place(other.git_dir), "mktree")).text
    start = await other.commit_tree(await other.write_tree(empty, {"a": b"1"}), (), "One", WHO, WHEN)
    waiting = _Waiting(sandbox, "slow")
    manager.zone = Zone(cast("Sandbox", waiting))
    slow = [asyncio.create_task(manager.create(mirror, f"slow-{n}", base)) for n in range(3)]
    try:
        async with asyncio.timeout(60):
            while not waiting.waits:
                await asyncio.sleep(0.01)
            assert (await manager.create(other, "T-1", start)).base == start
    finally:
        waiting.go.set()
        done = await asyncio.gather(*slow)
    assert all((tree.path / "f.txt").is_file() for tree in done)


@pytest.mark.skipif(os.geteuid() != 0, reason="does not apply: only root gives folders away")
async def test_as_root_the_agent_owns_its_folder_and_nothing_else(
    manager: WorktreeManager, mirror: GitMirror, base: str
) -> None:
    tree = await manager.create(mirror, "T-1", base)
    owners = {path.lstat().st_uid for path in tree.path.rglob("*")} | {tree.home.stat().st_uid}
    assert owners == {process.sandbox_uid()}
    assert mirror.git_dir.stat().st_uid == 0
    assert tree.folder.stat().st_uid == 0
    assert (await manager.mirror(REPO)) is mirror
