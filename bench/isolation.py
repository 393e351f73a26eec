"""What isolation costs: a box and each command in it against none, ingest against `git add`, 16 tasks against 16 clones.

Run: python -m bench.isolation [--files 5000] [--tasks 16]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from bench.many_branches import BOT, git, measured_clone, repository, say
from bench.place import machine, scratch, table
from bot import files
from bot.core.values import Repo
from bot.git.mirror import GitMirror
from bot.git.worktrees import WorktreeManager
from bot.ports import GitAccess, Sandbox, SandboxPolicy
from bot.sandbox import Containers, ContainerSandbox, NoSandbox, probe

TIMES = 20
ROUNDS = 3
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


async def _spent(what: Callable[[], Awaitable[object]]) -> float:
    begin = time.perf_counter()
    await what()
    return (time.perf_counter() - begin) * 1000


async def boxes(sandbox: Sandbox, folder: Path, times: int) -> dict[str, list[float]]:
    """Measure opening and closing, the first command, a further one, and a box for one command, each in ms."""
    policy = SandboxPolicy(work=files.ensure_dir(folder / "work"), home=files.ensure_dir(folder / "home"))
    found: dict[str, list[float]] = {"start": [], "first": [], "command": [], "close": [], "once": []}
    for _ in range(times):
        lent = sandbox.open(policy)
        begin = time.perf_counter()
        box = await lent.__aenter__()
        found["start"].append((time.perf_counter() - begin) * 1000)
        run = lambda box=box: box.run(["true"], timeout=60)  # noqa: E731 - bound to this round's box
        found["first"].append(await _spent(run))
        for _ in range(5):
            found["command"].append(await _spent(run))
        found["close"].append(await _spent(lambda lent=lent: lent.__aexit__(None, None, None)))

        async def once() -> None:
            async with sandbox.open(policy) as fresh:
                await fresh.run(["true"], timeout=60)

        found["once"].append(await _spent(once))
    return found


async def ingesting(
    mirror: GitMirror, base: str, managers: dict[str, WorktreeManager]
) -> dict[str, list[float]]:
    """Measure what it takes to make a commit of a folder in which ten files were changed, in seconds."""
    found: dict[str, list[float]] = {"plain": [], **{name: [] for name in managers}}
    for number in range(ROUNDS):
        for name, manager in managers.items():
            tree = await manager.create(mirror, "bench", base)
            _change(tree.path, number)
            if name == next(iter(managers)):
                found["plain"].append(_added(tree.path, mirror, base))
            begin = time.perf_counter()
            await tree.ingest("bench", BOT, WHEN, {})
            found[name].append(time.perf_counter() - begin)
            await manager.cleanup("bench")
    return found


def _change(path: Path, number: int) -> None:
    changed = [file for file in sorted(path.rglob("*.py")) if file.is_file()][:: max(1, number + 397)][:10]
    for file in changed:
        file.write_text(f"changed = {number}\n")


def _added(path: Path, mirror: GitMirror, base: str) -> float:
    """Do with plain git the least that makes a tree: `add --all` into a fresh index, and `write-tree`."""
    where = path.parent / "plain"
    git("init", "--quiet", "--bare", str(where))
    (where / "objects/info/alternates").write_text(f"{mirror.git_dir / 'objects'}\n")
    git("config", "--file", str(where / "config"), "core.bare", "false")
    options = (f"--git-dir={where}", f"--work-tree={path}")
    begin = time.perf_counter()
    git(*options, "read-tree", base)
    git(*options, "add", "--all", cwd=path)
    git(*options, "write-tree")
    spent = time.perf_counter() - begin
    shutil.rmtree(where)
    return spent


def disk(folder: Path) -> float:
    """Give the space that a folder takes, in MB; hard links once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for path in folder.rglob("*"):
        found = path.lstat()
        if (found.st_dev, found.st_ino) not in seen:
            seen.add((found.st_dev, found.st_ino))
            total += found.st_blocks * 512
    return total / 1e6


async def at_once(folder: Path, source: Path, manager: WorktreeManager, tasks: int) -> list[list[str]]:
    """Have so many worktrees at once, and so many full clones, with what each takes."""
    mirror = await _mirror(manager, source)
    base = str(await mirror.resolve("main"))
    before = disk(folder / "data")
    begin = time.perf_counter()
    await asyncio.gather(*(manager.create(mirror, f"task-{number}", base) for number in range(tasks)))
    seconds, room = time.perf_counter() - begin, disk(folder / "data") - before
    clones = files.ensure_dir(folder / "clones")
    gate = asyncio.Semaphore(os.cpu_count() or 1)

    async def clone(number: int) -> None:
        async with gate:
            await asyncio.to_thread(measured_clone, source, clones / str(number))

    begin = time.perf_counter()
    await asyncio.gather(*(clone(number) for number in range(tasks)))
    by_clones, their_room = time.perf_counter() - begin, disk(clones)
    return [
        [
            f"{tasks} full clones, as many at a time as there are cores",
            f"{by_clones:.2f} s",
            f"{their_room:.0f} MB",
            "1.00",
            "1.00",
        ],
        [
            f"{tasks} tasks' worktrees, asked for at once, each checked out in a box",
            f"{seconds:.2f} s",
            f"{room:.0f} MB",
            f"{seconds / by_clones:.2f}",
            f"{room / their_room:.2f}",
        ],
    ]


async def _mirror(manager: WorktreeManager, source: Path) -> GitMirror:
    mirror = await manager.mirror(Repo(1, "bench", "bench", "main", True))
    await mirror.fetch(GitAccess(source.as_uri(), ""))
    return mirror


async def back_ends(container: tuple[str, str, str | None] | None) -> dict[str, Sandbox]:
    """Give what this machine has; none is the baseline."""
    found: dict[str, Sandbox] = {"none": NoSandbox(allowed=True)}
    boxed = await probe()
    if boxed.level != "none":
        found[f"{boxed.sandbox.name} ({boxed.level})"] = boxed.sandbox
    if container is not None:
        asked = await probe(Containers(*container))
        if asked.level == "none":
            raise SystemExit(f"these containers do not hold: {asked.problems}")
        assert isinstance(asked.sandbox, ContainerSandbox)
        found[f"{asked.sandbox.name} ({asked.level})"] = asked.sandbox
    return found


async def main(count: int, tasks: int, container: tuple[str, str, str | None] | None) -> None:
    """Measure all, each against its baseline, and print the tables."""
    sandboxes = await back_ends(container)
    with scratch() as folder:
        say("opening boxes")
        found = {
            name: await boxes(sandbox, folder / f"box{number}", TIMES if name == "none" or number == 1 else 5)
            for number, (name, sandbox) in enumerate(sandboxes.items())
        }
        say(f"making a repository of {count} files")
        source = repository(folder / "source", count)
        boxed = list(sandboxes.items())[1] if len(sandboxes) > 1 else ("none", sandboxes["none"])
        manager = WorktreeManager(folder / "data", boxed[1])
        say("ingesting")
        mirror = await _mirror(manager, source)
        managers = {boxed[0]: manager, "none": WorktreeManager(folder / "data", sandboxes["none"])}
        ingested = await ingesting(mirror, str(await mirror.resolve("main")), managers)
        say(f"{tasks} tasks at once, and as many clones")
        rows = await at_once(folder, source, manager, tasks)
    print(f"# Isolation\n\n{machine()}\n")
    _print_boxes(found)
    plain = min(ingested["plain"])
    print(f"\n**Ingest**, ten files of {count} changed (best of {ROUNDS}):\n")
    print(
        table(
            [
                ["", "seconds", "ratio"],
                *([name, f"{min(all_):.2f}", f"{min(all_) / plain:.2f}"] for name, all_ in ingested.items()),
            ]
        )
    )
    print(f"\n**{tasks} tasks at once**, {count} files:\n")
    print(table([["", "time", "disk", "ratio of time", "ratio of disk"], *rows]))


def _print_boxes(found: dict[str, dict[str, list[float]]]) -> None:
    base = found["none"]
    rows = [
        [
            "ms: median (least), ratio of medians to none",
            "open",
            "first command",
            "each further one",
            "close",
            "open, one command, close",
        ]
    ]
    for name, parts in found.items():
        cells = []
        for part in ("start", "first", "command", "close", "once"):
            middle = statistics.median(parts[part])
            usual = statistics.median(base[part])
            ratio = f", {middle / usual:.1f}" if usual > 0.5 else ""
            cells.append(f"{middle:.1f} ({min(parts[part]):.1f}){ratio}")
        rows.append([name, *cells])
    print(f"**A box** (`true`, {TIMES} times; containers 5 times):\n")
    print(table(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument("--container", help="docker or podman: measure its boxes as well")
    parser.add_argument("--image", default="gitwright-box")
    parser.add_argument("--runtime")
    given = parser.parse_args()
    wanted = (given.container, given.image, given.runtime) if given.container else None
    asyncio.run(main(given.files, given.tasks, wanted))
