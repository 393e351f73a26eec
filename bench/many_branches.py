"""What a worktree costs against a full clone, and a forecast of conflicts against trying the merges.

Run: python -m bench.many_branches [--files 5000] [--branches 50]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.place import machine, scratch, table
from bot.core.values import Identity, Repo
from bot.git.mirror import GitMirror
from bot.git.worktrees import WorktreeManager
from bot.ports import GitAccess
from bot.sandbox import NoSandbox

BOT = Identity("bench", "bench@localhost")
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = 3
_ENV = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{
        f"GIT_{role}_{part}": "bench@localhost"
        for role in ("AUTHOR", "COMMITTER")
        for part in ("NAME", "EMAIL")
    },
}


def git(*words: str, cwd: Path | None = None, codes: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(
        ["git", *words], cwd=cwd, env=_ENV, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode in codes, done.stderr
    return done.stdout.strip()


def repository(folder: Path, files: int) -> Path:
    """Make a repository of that many files of some 40 lines each."""
    for number in range(files):
        path = folder / f"pkg{number % 97}" / f"part{number % 13}" / f"m{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"line_{n} = {number * n}\n" for n in range(40)))
    git("init", "--quiet", "-b", "main", str(folder))
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "-m", "all", cwd=folder)
    return folder


async def measured_worktree(manager: WorktreeManager, mirror: GitMirror, base: str) -> float:
    begin = time.perf_counter()
    await manager.create(mirror, "bench", base)
    spent = time.perf_counter() - begin
    await manager.cleanup("bench")
    return spent


def measured_clone(source: Path, target: Path) -> float:
    begin = time.perf_counter()
    git("clone", "--quiet", "--no-local", source.as_uri(), str(target))
    return time.perf_counter() - begin


async def branches(mirror: GitMirror, base: str, count: int) -> list[str]:
    """Make open branches: each changes three files of its own, every fifth also one that all of those share."""
    made = []
    for number in range(count):
        changes: dict[str, bytes | None] = {
            f"pkg{n % 97}/part{n % 13}/m{n}.py": f"changed = {number}\n".encode()
            for n in (number * 3 + 1, number * 3 + 2, number * 3 + 3)
        }
        if number % 5 == 0:
            changes["pkg0/part0/m0.py"] = f"shared = {number}\n".encode()
        made.append(await mirror.commit_files(base, changes, f"branch {number}", BOT, WHEN))
    return made


async def forecast(mirror: GitMirror, new: str, others: list[str]) -> tuple[float, int]:
    """Say with which of the others a new branch conflicts, as it is done before each pull request."""
    begin = time.perf_counter()
    found = [await mirror.merge_tree(new, other) for other in others]
    return time.perf_counter() - begin, sum(bool(paths) for _, paths in found)


def tried(clone: Path, new: str, others: list[str]) -> tuple[float, int]:
    """Try the same merges in a checkout."""
    git("checkout", "--quiet", "--detach", new, cwd=clone)
    conflicts, begin = 0, time.perf_counter()
    for other in others:
        done = subprocess.run(
            ["git", "merge", "--quiet", "--no-commit", "--no-ff", other],
            cwd=clone,
            env=_ENV,
            capture_output=True,
            timeout=300,
            check=False,
        )
        conflicts += done.returncode != 0
        git("merge", "--abort", cwd=clone, codes=(0, 128))
    return time.perf_counter() - begin, conflicts


def say(what: str) -> None:
    """Tell what is being done: a busy machine takes minutes for all of it."""
    print(f"{what} ...", file=sys.stderr, flush=True)


async def main(files: int, count: int) -> None:
    """Measure both and print the tables."""
    with scratch() as folder:
        say(f"making a repository of {files} files")
        source = repository(folder / "source", files)
        manager = WorktreeManager(folder / "data", NoSandbox(allowed=True))
        mirror = await manager.mirror(Repo(1, "bench", "bench", "main", True))
        await mirror.fetch(GitAccess(source.as_uri(), ""))
        base = str(await mirror.resolve("main"))
        # In turns, and the best of each: whatever else the machine does only ever adds.
        worktrees, clones = [], []
        for number in range(TIMES):
            say(f"a clone and a worktree, {number + 1} of {TIMES}")
            clones.append(measured_clone(source, folder / f"clone{number}"))
            worktrees.append(await measured_worktree(manager, mirror, base))
        worktree, clone = min(worktrees), min(clones)
        say(f"making {count + 1} branches")
        open_branches = await branches(mirror, base, count + 1)
        for number, sha in enumerate(open_branches):
            await mirror.anchor(f"bench/{number}", sha)
        target = folder / "clone0"
        git("fetch", "--quiet", mirror.git_dir.as_uri(), "+refs/gitwright/*:refs/bench/*", cwd=target)
        say(f"forecasting and trying {count} merges")
        foretold, expected = await forecast(mirror, open_branches[0], open_branches[1:])
        by_trying, found = tried(target, open_branches[0], open_branches[1:])
        assert expected == found, f"foretold {expected} conflicts, {found} came"
    print(f"# Many branches: {files} files, {count} open branches\n\n{machine()}\n")
    rows = [
        ["", "seconds", "ratio"],
        [f"full clone (best of {TIMES})", f"{clone:.2f}", "1.00"],
        [f"worktree from the mirror (best of {TIMES})", f"{worktree:.2f}", f"{worktree / clone:.2f}"],
        ["", "", ""],
        [f"trying {count} merges in a checkout", f"{by_trying:.2f}", "1.00"],
        [
            f"forecast for {count} branches ({found} conflicts)",
            f"{foretold:.2f}",
            f"{foretold / by_trying:.2f}",
        ],
    ]
    print(table(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--branches", type=int, default=50)
    given = parser.parse_args()
    asyncio.run(main(given.files, given.branches))
