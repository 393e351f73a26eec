"""Taking in what an agent wrote: honest work gets in byte for byte, hostile work is named and refused."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Self, cast

import pytest

from bot.errors import SandboxError, UserError
from bot.files import remove
from bot.git import GitMirror, TaskWorktree, WorktreeManager
from bot.git.zone import Zone
from bot.ports import Completed, Ingested, Sandbox, SandboxPolicy
from bot.sandbox import BwrapSandbox
from tests.git.conftest import WHEN, WHO


@pytest.fixture
async def tree(manager: WorktreeManager, mirror: GitMirror, base: str) -> TaskWorktree:
    return await manager.create(mirror, "T-1", base)


async def _take(tree: TaskWorktree, **keep: bytes) -> Ingested:
    return await tree.ingest(
        "Work\n\nTask: T-1", WHO, WHEN, {f"tasks/{name}": data for name, data in keep.items()}
    )


async def _refused(tree: TaskWorktree) -> str:
    with pytest.raises(UserError) as caught:
        await _take(tree)
    return str(caught.value)


def _write(tree: TaskWorktree, name: str, text: str = "x\n") -> Path:
    path = tree.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


async def test_honest_work_gets_in_byte_for_byte(tree: TaskWorktree, mirror: GitMirror, base: str) -> None:
    _write(tree, "f.txt", "new\n")
    (tree.path / "image.bin").write_bytes(bytes(range(256)))
    _write(tree, "new/deep/é.txt").chmod(0o755)
    (tree.path / "docs/a.md").unlink()
    (tree.path / "run.sh").chmod(0o644)
    (tree.path / "new/link").symlink_to("../f.txt")
    taken = await _take(tree)
    assert taken.sha is not None
    assert taken.changed == ("docs/a.md", "f.txt", "image.bin", "new/deep/é.txt", "new/link", "run.sh")
    assert (taken.added_lines, taken.removed_lines) == (3, 41)
    modes = {file.path: file.mode for file in await mirror.files(taken.sha)}
    assert modes["run.sh"] == "100644"
    assert modes["new/deep/é.txt"] == "100755"
    assert modes["new/link"] == "120000"
    assert await mirror.read(taken.sha, "image.bin") == bytes(range(256))
    assert await mirror.resolve("refs/gitwright/tasks/T-1") == taken.sha
    shown = subprocess.run(
        ["git", "--git-dir", str(mirror.git_dir), "show", "-s", "--format=%P %an %ae %at %B", taken.sha],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.strip()
    assert shown == f"{base} {WHO.name} {WHO.email} {int(WHEN.timestamp())} Work\n\nTask: T-1"


async def test_taking_in_twice_gives_the_same_sha(tree: TaskWorktree) -> None:
    _write(tree, "f.txt", "new\n")
    assert await _take(tree) == await _take(tree)


async def test_no_change_gives_no_commit_even_with_host_written_paths(tree: TaskWorktree) -> None:
    _write(tree, "tasks/BACKLOG", "by the agent\n")
    assert await _take(tree, BACKLOG=b"by the host\n") == Ingested(None, (), 0, 0)


async def test_host_written_paths_win_and_are_not_counted(tree: TaskWorktree, mirror: GitMirror) -> None:
    _write(tree, "tasks/BACKLOG", "by the agent\n")
    _write(tree, "f.txt", "new\n")
    taken = await _take(tree, BACKLOG=b"by the host\n")
    assert taken.sha is not None
    assert taken.changed == ("f.txt",)
    assert await mirror.read(taken.sha, "tasks/BACKLOG") == b"by the host\n"


async def test_caches_and_what_the_base_ignores_stay_out(tree: TaskWorktree) -> None:
    for name in (
        "pkg/__pycache__/mod.cpython-311.pyc",
        ".pytest_cache/v/x",
        "x.egg-info/PKG-INFO",
        ".coverage",
        "build/out.o",
        "a/b/run.log",
        "node_modules/m/index.js",
    ):
        _write(tree, name)
    os.mkfifo(tree.path / "build/pipe")
    (tree.path / "build/away").symlink_to("/etc/passwd")
    assert (await _take(tree)).sha is None


async def test_ignore_rules_that_the_agent_writes_hide_nothing(tree: TaskWorktree) -> None:
    _write(tree, ".gitignore", "*\n")
    _write(tree, "hidden.py")
    (tree.folder / "scratch.git/info/exclude").write_text("hidden.py\n")
    assert (await _take(tree)).changed == (".gitignore", "hidden.py")


async def test_a_change_of_tracked_files_below_an_ignored_name_gets_in(
    manager: WorktreeManager, mirror: GitMirror, base: str
) -> None:
    start = await mirror.commit_files(
        base, {"build/kept.txt": b"1\n", "node_modules/own.js": b"1\n"}, "B", WHO, WHEN
    )
    tree = await manager.create(mirror, "T-2", start)
    _write(tree, "build/kept.txt", "2\n")
    _write(tree, "node_modules/own.js", "2\n")
    assert (await _take(tree)).changed == ("build/kept.txt", "node_modules/own.js")


async def test_a_folder_may_become_a_file_and_a_file_a_folder(tree: TaskWorktree, mirror: GitMirror) -> None:
    shutil.rmtree(tree.path / "docs")
    _write(tree, "docs", "now a file\n")
    (tree.path / "f.txt").unlink()
    _write(tree, "f.txt/inside")
    taken = await _take(tree)
    assert taken.changed == ("docs", "docs/a.md", "f.txt", "f.txt/inside")
    assert taken.sha is not None
    assert await mirror.read(taken.sha, "docs") == b"now a file\n"


@pytest.mark.parametrize("rules", ["", "kept\n"])
async def test_a_folder_may_become_a_link_and_its_files_are_gone(
    manager: WorktreeManager, mirror: GitMirror, base: str, rules: str
) -> None:
    """What a link in the place of a folder leads to is not taken for the files that the folder had."""
    files = {"kept/a.md": b"old\n", "kept/deep/b.md": b"old\n", "other/a.md": b"other\n"}
    start = await mirror.commit_files(
        base, {**files, "other/deep/b.md": b"x\n", ".gitignore": rules.encode()}, "B", WHO, WHEN
    )
    tree = await manager.create(mirror, "T-2", start)
    shutil.rmtree(tree.path / "kept")
    (tree.path / "kept").symlink_to("other")
    taken = await _take(tree)
    link = () if rules else ("kept",)  # what the base ignores stays out as ever
    assert taken.changed == (*link, "kept/a.md", "kept/deep/b.md")
    assert taken.sha is not None
    modes = {file.path: file.mode for file in await mirror.files(taken.sha)}
    assert [modes[path] for path in link] == ["120000"] * len(link)
    assert {"other/a.md", "other/deep/b.md"} <= set(modes)
    assert not {"kept/a.md", "kept/deep/b.md"} & set(modes)


def _fifo(tree: TaskWorktree) -> None:
    os.mkfifo(tree.path / "NOTES")


def _fifo_that_git_would_read(tree: TaskWorktree) -> None:
    (tree.path / "build").mkdir()
    os.mkfifo(tree.path / "build/.gitattributes")


def _socket(tree: TaskWorktree) -> None:
    before = Path.cwd()
    os.chdir(tree.path)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("sock")
    finally:
        os.chdir(before)


def _huge(tree: TaskWorktree) -> None:
    with (tree.path / "big.bin").open("wb") as file:
        file.truncate((5 << 20) + 1)


def _nested(tree: TaskWorktree) -> None:
    subprocess.run(["git", "init", "-q", str(tree.path / "vendor/lib")], check=True, timeout=60)


def _bare(tree: TaskWorktree) -> None:
    subprocess.run(["git", "init", "-q", "--bare", str(tree.path / "fixtures/r")], check=True, timeout=60)


def _disguised(tree: TaskWorktree) -> None:
    _write(tree, "sub/.GI\u200bT/config")


def _case(tree: TaskWorktree) -> None:
    _write(tree, "F.TXT")


def _link_away(tree: TaskWorktree) -> None:
    shutil.rmtree(tree.path / "docs")
    (tree.path / "docs").symlink_to(tree.folder)


def _link_up(tree: TaskWorktree) -> None:
    (tree.path / "pkg/up").symlink_to("../../../etc/passwd")


def _modules(tree: TaskWorktree) -> None:
    _write(tree, ".gitmodules", '[submodule "m"]\n\tpath = m\n\turl = ./m\n')


def _lfs(tree: TaskWorktree) -> None:
    _write(tree, ".lfsconfig", "[lfs]\n\turl = http://evil.invalid\n")


def _control(tree: TaskWorktree) -> None:
    _write(tree, "a\nb")


def _no_text(tree: TaskWorktree) -> None:
    (tree.path / os.fsdecode(b"\xff\xfe")).touch()


def _pointer(tree: TaskWorktree) -> None:
    (tree.path / ".git").unlink()
    subprocess.run(["git", "init", "-q", str(tree.path)], check=True, timeout=60)


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (_fifo, "`NOTES`: neither a file"),
        (_fifo_that_git_would_read, "`build/.gitattributes`: neither a file"),
        (_socket, "`sock`: neither a file"),
        (_huge, "`big.bin`: 5242881 bytes"),
        (_nested, "`vendor/lib/.git`: a repository inside"),
        (_bare, "`fixtures/r`: a bare repository"),
        (_disguised, "`sub/.GI\\u200bT`: a repository inside"),
        (_case, "only in case"),
        (_link_away, "`docs`: a symlink that leaves"),
        (_link_up, "`pkg/up`: a symlink that leaves"),
        (_modules, "`.gitmodules`: it sends git elsewhere"),
        (_lfs, "`.lfsconfig`: it sends git elsewhere"),
        (_control, "`a\\nb`: control characters"),
        (_no_text, "no UTF-8"),
        (_pointer, "`.git`: it was replaced"),
    ],
)
async def test_hostile_folders_are_refused_by_name(
    tree: TaskWorktree, attack: Callable[[TaskWorktree], None], named: str
) -> None:
    attack(tree)
    assert named in await _refused(tree)


async def test_everything_that_is_wrong_is_named_at_once(tree: TaskWorktree) -> None:
    for attack in (_fifo, _huge, _case, _modules):
        attack(tree)
    text = await _refused(tree)
    assert all(part in text for part in ("NOTES", "big.bin", "only in case", ".gitmodules"))


def _many(tree: TaskWorktree) -> None:
    for number in range(3_001):
        _write(tree, f"many/{number}.txt")


def _fat(tree: TaskWorktree) -> None:
    for number in range(5):
        (tree.path / f"{number}.bin").write_bytes(b"x" * (5 << 20))


async def _rewritten(tree: TaskWorktree, manager: WorktreeManager, mirror: GitMirror) -> TaskWorktree:
    """Give a worktree whose base has five large files, each changed without changing its size."""
    start = await mirror.commit_files(
        tree.base, {f"{number}.bin": b"\0" * (5 << 20) for number in range(5)}, "Large", WHO, WHEN
    )
    other = await manager.create(mirror, "T-3", start)
    _fat(other)
    return other


async def test_a_change_that_is_too_large_to_be_looked_into_is_refused(
    tree: TaskWorktree, manager: WorktreeManager, mirror: GitMirror
) -> None:
    assert "The files that the work changes have 26214400 bytes" in await _refused(
        await _rewritten(tree, manager, mirror)
    )
    _fat(tree)
    assert "new files of 26214400 bytes together" in await _refused(tree)
    for number in range(5):
        (tree.path / f"{number}.bin").unlink()
    _many(tree)
    assert "The work changes 3001 files" in await _refused(tree)


async def test_only_what_changed_is_taken_in_however_large_the_repository_is(
    manager: WorktreeManager, mirror: GitMirror, base: str
) -> None:
    manager.max_file_bytes = 20_000  # so that a pack may have 160,000 bytes
    start = await mirror.commit_files(
        base, {f"{number}.bin": os.urandom(15_000) for number in range(20)}, "Much", WHO, WHEN
    )
    tree = await manager.create(mirror, "T-4", start)
    _write(tree, "src/new.py", "print()\n")
    ingested = await _take(tree)
    assert ingested.changed == ("src/new.py",)


@pytest.fixture
def _no_garbage_looked_for() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_garbage_looked_for")
async def test_removing_what_git_left_lets_everybody_else_go_on(tree: TaskWorktree, tmp_path: Path) -> None:
    left, twin = tree.folder / "ingest", tmp_path / "twin"
    for folder, number in product((left, twin), range(4_000)):
        (folder / f"{number % 256}").mkdir(parents=True, exist_ok=True)
        (folder / f"{number % 256}/{number}").touch()
    begun = time.thread_time()
    assert remove(twin) == []
    cost, longest = time.thread_time() - begun, 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            begun = time.thread_time()  # of the loop's thread alone: a busy machine adds nothing to it
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - begun)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)  # it looks before the work begins
    await _take(tree)
    watching.cancel()
    assert not left.exists()
    assert longest < cost / 2


async def test_what_the_base_already_has_is_no_offence(
    manager: WorktreeManager, mirror: GitMirror, base: str
) -> None:
    big = b"\0" * ((5 << 20) + 1)
    odd = {"Dup": b"1", "dup": b"2", "big.bin": big, ".gitmodules": b"", "fix/HEAD": b"", "fix/refs/x": b""}
    start = await mirror.commit_files(base, {**odd, "fix/objects/x": b""}, "Odd", WHO, WHEN)
    tree = await manager.create(mirror, "T-2", start)
    assert (await _take(tree)).sha is None


def _config(tree: TaskWorktree, text: str) -> None:
    with (tree.scratch_git / "config").open("a") as file:
        file.write(text)


@pytest.mark.parametrize("boxed", [False, True])
async def test_nothing_that_the_agent_configures_runs_on_the_host(
    tree: TaskWorktree,
    mirror: GitMirror,
    manager: WorktreeManager,
    sandbox: BwrapSandbox,
    tmp_path: Path,
    boxed: bool,
) -> None:
    marker, evil = tmp_path / "PWNED", tmp_path / "evil.sh"
    evil.write_text(f"#!/bin/sh\ntouch '{marker}'\ncat\n")
    evil.chmod(0o755)
    if boxed:
        manager.zone = Zone(sandbox)
    hooks = tree.scratch_git / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "post-checkout", "reference-transaction", "post-index-change"):
        shutil.copy(evil, hooks / name)
    _config(
        tree,
        f'[core]\n\thooksPath = {hooks}\n\tfsmonitor = {evil}\n[filter "x"]\n\tclean = {evil}\n\tprocess = {evil}\n',
    )
    _config(tree, f'[diff "x"]\n\ttextconv = {evil}\n\tcommand = {evil}\n[merge "x"]\n\tdriver = {evil}\n')
    _write(tree, ".gitattributes", "* filter=x diff=x merge=x\n")
    (tree.path / ".git").write_text(f"gitdir: {tree.scratch_git}\n")
    (tree.scratch_git / "HEAD").write_text("ref: refs/heads/main\n")
    (tree.scratch_git / "index.lock").touch()
    _write(tree, "f.txt", "new\n")
    taken = await _take(tree)
    assert taken.changed == (".gitattributes", "f.txt")
    assert not marker.exists()
    assert taken.sha is not None
    assert await mirror.read(taken.sha, "f.txt") == b"new\n"


async def test_skip_worktree_bits_and_a_replaced_head_hide_nothing(tree: TaskWorktree, base: str) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_DIR": str(tree.scratch_git),
        "GIT_WORK_TREE": str(tree.path),
    }
    environment |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    for args in (
        ["update-index", "--skip-worktree", "f.txt"],
        ["update-index", "--assume-unchanged", "docs/a.md"],
    ):
        subprocess.run(["git", *args], env=environment, check=True, timeout=60)
    (tree.scratch_git / "refs/replace").mkdir()
    (tree.scratch_git / "refs/replace" / base).write_text("0" * 40 + "\n")
    _write(tree, "f.txt", "HIDDEN\n")
    _write(tree, "docs/a.md", "HIDDEN\n")
    assert (await _take(tree)).changed == ("docs/a.md", "f.txt")


async def test_an_encoding_that_does_not_fit_is_told_and_not_retried(tree: TaskWorktree) -> None:
    _write(tree, ".gitattributes", "*.txt working-tree-encoding=UTF-16\n")
    _write(tree, "f.txt", "odd\n")
    assert "UTF-16" in await _refused(tree)


class _Busy:
    """A sandbox on a machine so busy that no command ends in time."""

    work = Path("/workspace")

    @asynccontextmanager
    async def open(self, policy: SandboxPolicy) -> AsyncIterator[Self]:
        yield self

    async def run(self, argv: Sequence[str], *, timeout: float, **_given: object) -> Completed:
        return Completed(None, "", timeout)


async def test_what_takes_too_long_on_a_busy_machine_is_for_later_and_not_the_works_fault(
    tree: TaskWorktree, manager: WorktreeManager
) -> None:
    plain, manager.zone = manager.zone, Zone(cast("Sandbox", _Busy()))
    _write(tree, "f.txt", "new\n")
    with pytest.raises(SandboxError, match="did not end within 300 s"):
        await _take(tree)
    assert not (tree.folder / "ingest").exists()
    manager.zone = plain
    assert (await _take(tree)).changed == ("f.txt",)


async def test_in_its_box_git_reads_the_folder_and_writes_only_its_own(
    tree: TaskWorktree, manager: WorktreeManager, mirror: GitMirror, sandbox: BwrapSandbox
) -> None:
    plain, manager.zone = manager.zone, Zone(sandbox)
    _write(tree, "f.txt", "new\n")
    taken = await _take(tree)
    manager.zone = plain
    assert await _take(tree) == taken
    assert not (tree.folder / "ingest").exists()
    assert {path.stat().st_uid for path in mirror.git_dir.rglob("*")} == {os.geteuid()}
