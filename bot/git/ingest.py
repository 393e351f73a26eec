"""Owns taking in what an agent wrote: a program and git in a box that holds nothing, and the commit by the host."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bot import files
from bot.core.values import Identity
from bot.errors import GitError, SandboxError, UserError
from bot.git.boxed import program
from bot.git.boxed.take import TOTAL
from bot.git.kept import Kept
from bot.git.mirror import GitMirror
from bot.git.runner import ENVIRONMENT, OPTIONS, Place
from bot.git.zone import Zone
from bot.ports import Completed, Ingested

_MOST_CHANGED = 3_000  # files: every one is looked into before anybody sees it
_RESULT_BYTES = 1 << 20
_SECONDS = 300.0
_GIT_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n"


@dataclass(frozen=True, slots=True)
class Order:
    """What to take in, from where, and how to commit it."""

    path: Path
    folder: Path  # the host's own, made and removed here
    base: str
    anchor: str
    message: str
    author: Identity
    when: datetime
    keep: Mapping[str, bytes | None]
    max_bytes: int
    laid: tuple[
        str, ...
    ] = ()  # dependencies that the host put there: left out where the base has nothing of that name
    index: Kept | None = None  # of the checkout of the base; all files are read again where there is none


async def ingest(mirror: GitMirror, zone: Zone, order: Order) -> Ingested:
    """Commit what is in the folder on top of the base, anchored in the mirror.

    `keep` overrides its paths and does not count as a change. UserError names everything that is refused, SandboxError
    is raised where the machine is too busy.
    """
    await asyncio.to_thread(_leave, order)
    try:
        tree = await _tree(mirror, zone, order)
    finally:
        await asyncio.to_thread(_leave, order)
    await _bounded(mirror, order, tree)
    return await _commit(mirror, order, tree)


def _leave(order: Order) -> None:
    if left := files.remove(order.folder):
        raise GitError(f"`{left[0]}` cannot be removed")


async def _tree(mirror: GitMirror, zone: Zone, order: Order) -> str:
    """Have the tree made in a box, and bring its objects into the mirror."""
    mirror.check()
    work, home = files.ensure_dir(order.folder / "work"), files.ensure_dir(order.folder / "home")
    objects = mirror.git_dir / "objects"
    _repository(work / "git", objects)
    known = order.index is not None and await asyncio.to_thread(order.index.lend, work / "git" / "index")
    wanted = {
        "root": str(order.path),
        "base": order.base,
        "max_bytes": order.max_bytes,
        "laid": order.laid,
        "known": known,
        "options": OPTIONS,
    }
    async with zone.open(work, home, shown=(order.path, objects)) as box:
        git_dir = box.work / "git"
        env = {**ENVIRONMENT, **Place(git_dir, order.path, git_dir / "index").environment()}
        done = await box.run(program("take"), env=env, stdin=json.dumps(wanted).encode(), timeout=_SECONDS)
    found = _result(work, done)
    most = 2 * TOTAL * order.max_bytes  # what git adds to the files is less than they are
    if (work / "pack").lstat().st_size > most:
        raise UserError(f"The files that the work changes need more than {most} bytes.")
    pack = await asyncio.to_thread(files.read_beneath, work, "pack", most)
    if pack is None:
        raise GitError("git ended well in its box and left no objects")
    await mirror.unpack(pack)
    return found


def _repository(git_dir: Path, objects: Path) -> None:
    """Make one for the box that borrows the mirror's objects and knows nothing else."""
    for name in ("objects/info", "refs"):
        (git_dir / name).mkdir(parents=True)
    (git_dir / "HEAD").write_text("ref: refs/heads/none\n", "utf-8")
    (git_dir / "config").write_text(_GIT_CONFIG, "utf-8")
    (git_dir / "objects/info/alternates").write_text(f"{objects}\n", "utf-8")


def _result(work: Path, done: Completed) -> str:
    """Read what the program found: the tree, or a UserError with all that is refused; SandboxError where it found nothing yet."""
    if done.code is None:
        # Entries and bytes are bounded, so it is this machine that is busy. Tried again is the whole run, so not for hours.
        raise SandboxError(f"taking the work in did not end within {_SECONDS:.0f} s")
    if done.code:
        raise UserError(f"git cannot take the work into the repository:\n{done.output.strip()[-1000:]}")
    data = files.read_beneath(work, "result", _RESULT_BYTES)
    try:
        found = json.loads(data or b"")
        if tree := found.get("tree"):
            return str(tree)
        lines = [f"- `{path}`: {problem}" for path, problem in found["findings"]]
        more = [f"- and {int(found['more'])} more"] if found["more"] else []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GitError("the box of the ingest left no result that can be read") from error
    raise UserError("The work cannot be taken into the repository:\n" + "\n".join([*lines, *more]))


async def _bounded(mirror: GitMirror, order: Order, tree: str) -> None:
    """Refuse a change of so many files or bytes that looking into all of it would take minutes."""
    changed = {change.path for change in await mirror.changes(order.base, tree)}
    if len(changed) > _MOST_CHANGED:
        raise UserError(
            f"The work changes {len(changed)} files, more than the {_MOST_CHANGED} that are looked into."
        )
    size = sum(file.size for file in await mirror.files(tree) if file.path in changed)
    if size > TOTAL * order.max_bytes:
        most = TOTAL * order.max_bytes
        raise UserError(f"The files that the work changes have {size} bytes, more than {most} together.")


async def _commit(mirror: GitMirror, order: Order, tree: str) -> Ingested:
    changed = [row for row in await mirror.diff_stat(order.base, tree) if row[0] not in order.keep]
    if not changed:
        return Ingested(None, (), 0, 0)
    final = await mirror.write_tree(tree, order.keep) if order.keep else tree
    sha = await mirror.commit_tree(final, (order.base,), order.message, order.author, order.when)
    await mirror.anchor(order.anchor, sha)
    added, removed = sum(row[1] for row in changed), sum(row[2] for row in changed)
    return Ingested(sha, tuple(row[0] for row in changed), added, removed)
