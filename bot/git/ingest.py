"""Owns taking in what an agent wrote: scan, ignore rules of the base, and git in a box of its own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bot import files, process
from bot.core.values import Identity
from bot.errors import GitError, UserError
from bot.git.mirror import GitMirror
from bot.git.runner import ENVIRONMENT, OPTIONS, Place, git
from bot.git.scan import CACHE_PATTERNS, Base, Finding, Scan, scan
from bot.ports import Ingested, Sandbox, SandboxPolicy

_MAX_FINDINGS = 50
_PACK_BYTES = 1 << 30
_SECONDS = 300.0
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
# Runs where only the folder (read-only), the objects (read-only) and its own git dir can be reached.
_SCRIPT = """\
set -e
base=$1; shift
git "$@" read-tree "$base"
git "$@" update-index -z --add --remove --replace --stdin <paths
git "$@" write-tree >tree
printf '%s\\n^%s\\n' "$(cat tree)" "$base" | git "$@" pack-objects -q --revs --stdout >pack
"""


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
    owner: int | None


async def ingest(mirror: GitMirror, sandbox: Sandbox | None, order: Order) -> Ingested:
    """Commit what is in the folder on top of the base, anchored in the mirror.

    `keep` overrides its paths and does not count as a change. UserError names everything that is refused.
    """
    base = await _base(mirror, order.base)
    seen = await asyncio.to_thread(scan, order.path, base, order.max_bytes)
    _leave(order)
    try:
        ignored = await _ignored(mirror, order, base, seen)
        _refuse([finding for finding in seen.findings if finding.always or finding.path not in ignored])
        paths = sorted({path for path in seen.paths if path not in ignored} | set(base.blobs))
        tree = await _tree(mirror, sandbox, order, paths)
    finally:
        _leave(order)
    return await _commit(mirror, order, tree)


def _leave(order: Order) -> None:
    if left := files.remove(order.folder):
        raise GitError(f"`{left[0]}` cannot be removed")


async def _base(mirror: GitMirror, sha: str) -> Base:
    blobs = await mirror.files(sha)
    links = await mirror.contents([file for file in blobs if file.mode == "120000"])
    targets = {path: target.decode("utf-8", "surrogateescape") for path, target in links.items()}
    return Base.of(blobs, await mirror.submodules(sha), targets)


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        shown = "\n".join(f"- {finding}" for finding in findings[:_MAX_FINDINGS])
        more = f"\n- and {len(findings) - _MAX_FINDINGS} more" if len(findings) > _MAX_FINDINGS else ""
        raise UserError(f"The work cannot be taken into the repository:\n{shown}{more}")


async def _ignored(mirror: GitMirror, order: Order, base: Base, seen: Scan) -> set[str]:
    """Ask git which new paths the base's own ignore rules leave out; the agent's rules do not count."""
    rules = files.ensure_dir(order.folder / "rules")
    found = [file for file in base.blobs.values() if file.path.rpartition("/")[2] == ".gitignore"]
    regular = [file for file in found if file.mode.startswith("100")]
    for path, text in (await mirror.contents(regular)).items():
        (rules / path).parent.mkdir(parents=True, exist_ok=True)
        (rules / path).write_bytes(text)
    caches = order.folder / "caches"
    caches.write_text("\n".join(CACHE_PATTERNS) + "\n", "utf-8")
    fresh = {path for path in seen.paths if path not in base.blobs}
    fresh |= {finding.path for finding in seen.findings if finding.path and not base.knows(finding.path)}
    if not fresh:
        return set()
    # This command knows no literal paths; behind `./` no name can pass for pathspec magic.
    names = b"".join(b"./" + path.encode("utf-8", "surrogateescape") + b"\0" for path in sorted(fresh))
    answer = await git(
        Place(mirror.git_dir, rules, order.folder / "no-index"),
        "check-ignore",
        "--no-index",
        "-z",
        "--stdin",
        stdin=names,
        env={"GIT_LITERAL_PATHSPECS": "0"},
        options=("-c", f"core.excludesFile={caches}"),
        codes=(0, 1),
    )
    return {path.decode("utf-8", "surrogateescape")[2:] for path in answer.out.split(b"\0") if path}


async def _tree(mirror: GitMirror, sandbox: Sandbox | None, order: Order, paths: Sequence[str]) -> str:
    """Write the tree of these paths and bring its objects into the mirror."""
    folder, objects = order.folder / "git-box", mirror.git_dir / "objects"
    git_dir = files.ensure_dir(folder) / "git"
    for name in ("objects/info", "refs"):
        (git_dir / name).mkdir(parents=True)
    (git_dir / "HEAD").write_text("ref: refs/heads/none\n", "utf-8")
    (git_dir / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = false\n", "utf-8")
    (git_dir / "objects/info/alternates").write_text(f"{objects}\n", "utf-8")
    (folder / "paths").write_bytes(b"".join(p.encode("utf-8", "surrogateescape") + b"\0" for p in paths))
    (folder / "home").mkdir()
    files.give(folder, order.owner)
    place = Place(git_dir, order.path, git_dir / "index")
    argv = ["sh", "-c", _SCRIPT, "ingest", order.base, *OPTIONS]
    env = {**ENVIRONMENT, **place.environment()}
    if sandbox is None:
        await _plain(folder, argv, env)
    else:
        readable = {order.path: str(order.path), objects: str(objects)}
        policy = SandboxPolicy(
            work=folder, home=folder / "home", readable=readable, env=env, path=_path_to_git()
        )
        async with sandbox.open(policy) as box:
            done = await box.run(argv, timeout=_SECONDS)
        _require_success(done.code, done.output)
    return await _bring(mirror, folder)


def _path_to_git() -> str:
    found = shutil.which("git")
    return f"{Path(found).parent}:{_SYSTEM_PATH}" if found else _SYSTEM_PATH


async def _plain(folder: Path, argv: Sequence[str], env: Mapping[str, str]) -> None:
    done = await process.run(
        argv, env={**process.inherited("PATH"), **env}, timeout=_SECONDS, cwd=folder, cap=1 << 16
    )
    _require_success(done.code, done.stderr.decode("utf-8", "replace"))


def _require_success(code: int | None, said: str) -> None:
    if code is None:
        raise UserError(f"git could not read the work within {_SECONDS:.0f} s.")
    if code:
        raise UserError(f"git cannot take the work into the repository:\n{said.strip()[-1000:]}")


async def _bring(mirror: GitMirror, folder: Path) -> str:
    tree = files.read_beneath(folder, "tree", 100)
    pack = files.read_beneath(folder, "pack", _PACK_BYTES)
    if tree is None or pack is None:
        raise GitError("git ended well in its box and left no tree")
    await mirror.unpack(pack)
    return tree.decode("ascii", "replace").strip()


async def _commit(mirror: GitMirror, order: Order, tree: str) -> Ingested:
    changed = [row for row in await mirror.diff_stat(order.base, tree) if row[0] not in order.keep]
    if not changed:
        return Ingested(None, (), 0, 0)
    final = await mirror.write_tree(tree, order.keep) if order.keep else tree
    sha = await mirror.commit_tree(final, (order.base,), order.message, order.author, order.when)
    await mirror.anchor(order.anchor, sha)
    added, removed = sum(row[1] for row in changed), sum(row[2] for row in changed)
    return Ingested(sha, tuple(row[0] for row in changed), added, removed)
