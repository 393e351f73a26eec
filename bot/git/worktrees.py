"""Owns the folders that tasks are worked on in: made from a mirror, taken in, removed with proof."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from weakref import WeakValueDictionary

from bot import files, living, points, process
from bot.core.values import Identity, Repo
from bot.errors import GitError, RetryableError
from bot.git import kept
from bot.git.ingest import Order, ingest
from bot.git.mirror import GitMirror
from bot.git.runner import ENVIRONMENT, OPTIONS, Place
from bot.git.upkeep import pack, sweep
from bot.git.zone import Zone
from bot.ports import Ingested, Mirror, Sandbox, SandboxPolicy, Worktree

SCRATCH = "/scratch.git"  # where an agent sees its throw-away repository
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_CHECKOUTS = 2  # checkouts are bound by file creation: more at once are no faster
_SECONDS = 900.0  # for a checkout
# Stat data differ inside (other user ids), and comparing less of them saves the agent a full re-read.
_SCRATCH_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tcheckStat = minimal
\ttrustctime = false
[gc]
\tauto = 0
[user]
\tname = agent
\temail = agent@localhost
"""


class TaskWorktree:
    """One task's folder; see the port `Worktree`."""

    def __init__(self, manager: WorktreeManager, mirror: GitMirror, id_: str, base: str) -> None:
        self.id = id_
        self.base = base
        self.folder = manager.folder(id_)
        self.path = self.folder / "wt"
        self.home = self.folder / "home"
        self.scratch_git = self.folder / "scratch.git"
        self.pointer = self.folder / "pointer"
        self._manager = manager
        self._mirror = mirror
        self.laid = False
        self._laid: tuple[str, ...] = ()
        self._index: kept.Kept | None = None

    def remember(self) -> None:
        """Keep the index of the checkout; to be called when the files have been written, and before anything else runs."""
        self._index = kept.keep(self.scratch_git, "index", self.folder / "index")

    def leave_out(self, places: Sequence[str]) -> None:
        """Take nothing in of these places, and have git inside ignore them; to be called before anything runs there."""
        self._laid = tuple(places)
        self.laid = True
        rules = "".join(f"/{_pattern(place)}\n" for place in places).encode("utf-8", "surrogateescape")
        files.put_beneath(self.scratch_git, "info/exclude", rules, self._manager.owner)

    async def ingest(
        self, message: str, author: Identity, when: datetime, keep: Mapping[str, bytes | None]
    ) -> Ingested:
        """Scan and commit what is in the folder on top of `base`; to be called when no agent lives any more.

        `keep` are host-written paths that override it; they are not counted as changed. UserError names what
        the scan refuses.
        """
        order = Order(
            path=self.path,
            folder=self.folder / "ingest",
            base=self.base,
            anchor=f"tasks/{self.id}",
            message=message,
            author=author,
            when=when,
            keep=keep,
            max_bytes=self._manager.max_file_bytes,
            laid=self._laid,
            index=self._index,
        )
        return await ingest(self._mirror, self._manager.zone, order)


class WorktreeManager:
    """Mirrors and worktrees of one data folder.

    Whatever writes or reads their files runs in boxes of `sandbox`. Folders are handed to `owner`, the user id
    that boxes run as where that is not the bot's own.
    """

    def __init__(self, data: Path, sandbox: Sandbox, max_file_bytes: int = 5 << 20) -> None:
        self.zone = Zone(sandbox)
        self.owner = process.sandbox_uid()
        self.max_file_bytes = max_file_bytes
        self._mirrors_root = files.ensure_dir(data.resolve() / "mirrors")
        self._tasks_root = files.ensure_dir(data.resolve() / "tasks", 0o711)
        self._mirrors: dict[int, GitMirror] = {}
        self._checkouts = asyncio.Semaphore(_CHECKOUTS)
        self._repos: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
        self._telling: bool | None = None  # whether an index of a checkout can be believed here

    def folder(self, id_: str) -> Path:
        if not _ID.fullmatch(id_):
            raise GitError(f"`{id_}` is no name for a worktree: letters, digits, dots, dashes, underscores")
        return self._tasks_root / id_

    async def mirror(self, repo: Repo) -> GitMirror:
        """Give the one mirror of a repository, made where it is missing."""
        mirror = self._mirrors.setdefault(repo.id, GitMirror(self._mirrors_root / f"{repo.id}.git"))
        await mirror.prepare()
        return mirror

    async def create(self, mirror: Mirror, id_: str, base: str) -> TaskWorktree:
        """Check `base` out into a new folder; what an earlier try of this id left is removed first."""
        if left := await self.cleanup(id_):
            raise GitError(f"An earlier worktree `{id_}` cannot be removed: {'; '.join(left[:3])}")
        own = self._own(mirror)
        worktree = TaskWorktree(self, own, id_, base)
        try:
            # One for each repository: those of a huge one take long, and others have theirs.
            async with self._repos.setdefault(own.git_dir, asyncio.Lock()), self._checkouts:
                await self._check_out(worktree, own)
        except BaseException:
            await self.cleanup(id_)  # who asked has nothing yet that could be cleaned up
            raise
        return worktree

    async def _check_out(self, worktree: TaskWorktree, mirror: GitMirror) -> None:
        """Have git write the files in a box: what a repository holds is hostile, too."""
        await mirror.anchor(f"tasks/{worktree.id}", worktree.base)  # which checks the mirror
        files.ensure_dir(worktree.folder, 0o711)
        _furnish(worktree, mirror, self.owner)
        points.reached("worktree-begun")
        scratch, objects = worktree.scratch_git, mirror.git_dir / "objects"
        async with self.zone.open(worktree.path, worktree.home, shown=(objects,), writable=(scratch,)) as box:
            place = Place(scratch, box.work, scratch / "index")
            command = ["git", *OPTIONS, "read-tree", "--reset", "-u", worktree.base]
            env = {**ENVIRONMENT, **place.environment()}
            done = await box.run(command, env=env, timeout=_SECONDS)
        if done.code is None:
            raise RetryableError(f"the checkout of {worktree.id} did not end within {_SECONDS:.0f} s")
        if done.code:
            raise GitError(f"`{worktree.base}` cannot be checked out: {done.output.strip()[-1000:]}")
        # A box without walls wrote as the bot; and what changes owner has changed for git.
        if self.owner not in (None, (scratch / "index").lstat().st_uid):
            for folder in (worktree.path, scratch):
                await asyncio.to_thread(files.give, folder, self.owner)
            return
        if self._telling is None:
            self._telling = await asyncio.to_thread(kept.tells, worktree.folder)
        if self._telling:
            await asyncio.to_thread(worktree.remember)

    async def cleanup(self, id_: str) -> list[str]:
        """Remove a worktree and prove it: an empty list, or what is still there."""
        folder = self.folder(id_)
        # First, as a box sees what is in it by another name: what is removed nobody is found in.
        shown = (folder / name for name in ("wt", "home", "scratch.git"))
        alive = await asyncio.to_thread(living.workers, folder, *shown)
        left = await asyncio.to_thread(files.remove, folder)
        return [*left, *alive]

    async def release(self, repo_id: int, tracks: Sequence[str]) -> int:
        """Let go of the commits that are kept for these tracks of a repository, and count them."""
        folder = self._mirrors_root / f"{repo_id}.git"
        if not folder.is_dir():
            return 0
        mirror = self._mirrors.setdefault(repo_id, GitMirror(folder))
        return await mirror.release_tracks(tracks)

    async def forget(self, repo_id: int) -> bool:
        """Delete the mirror of a repository that is no more; False where there is none. GitError where it stays."""
        folder = self._mirrors_root / f"{repo_id}.git"
        if not folder.is_dir():
            return False
        if left := await asyncio.to_thread(files.remove, folder):
            raise GitError(f"the mirror {folder.name} cannot be removed: {'; '.join(left[:3])}")
        self._mirrors.pop(repo_id, None)
        return True

    async def pack(self) -> list[str]:
        """Pack every mirror in which much has piled up, one after another, and say what went wrong."""
        wrong = []
        for folder in sorted(self._mirrors_root.glob("*.git")):
            try:
                await pack(folder)
            except (GitError, RetryableError) as error:
                wrong.append(f"{folder.name}: {error}")
        return wrong

    def names(self, prefix: str) -> list[str]:
        """List the worktrees that lie here and whose names begin so."""
        return sorted(folder.name for folder in self._tasks_root.iterdir() if folder.name.startswith(prefix))

    async def cleanup_all(self, keep: Sequence[str] = ()) -> list[str]:
        """Remove every worktree but these and name those that were removed."""
        gone = []
        for folder in sorted(self._tasks_root.iterdir()):
            if folder.name not in keep and not await self.cleanup(folder.name):
                gone.append(folder.name)
        return gone

    async def sweep(self) -> list[str]:
        """Remove what a killed process left in the mirrors, and name it; to be called before anything works in them.

        Locks among it would make git refuse ever after what the killed one was about to do.
        """
        return await asyncio.to_thread(_sweep, self._mirrors_root)

    async def merge(
        self, mirror: Mirror, ours: str, theirs: str, message: str, author: Identity, when: datetime
    ) -> tuple[str | None, tuple[str, ...]]:
        """Merge two commits in memory: the merge commit, or None and the conflicted paths."""
        own = self._own(mirror)
        tree, conflicts = await own.merge_tree(ours, theirs)
        if conflicts:
            return None, conflicts
        return await own.commit_tree(tree, (ours, theirs), message, author, when), ()

    def _own(self, mirror: Mirror) -> GitMirror:
        if not isinstance(mirror, GitMirror):
            raise GitError("worktrees are made from mirrors of this manager only")
        return mirror


def _sweep(mirrors: Path) -> list[str]:
    gone = [path for path in mirrors.glob("new-*") if not files.remove(path)]
    for mirror in mirrors.glob("*.git"):
        gone += sweep(mirror)
    return sorted(str(path.relative_to(mirrors)) for path in gone)


def _pattern(place: str) -> str:
    """Write a path as a rule that ignores it and nothing else."""
    return re.sub(r"([\\*?\[#! \n\r])", r"\\\1", place)


def _furnish(worktree: TaskWorktree, mirror: GitMirror, owner: int | None) -> None:
    """Give the agent an empty folder, a home and a throw-away repository that borrows the mirror's objects."""
    scratch = worktree.scratch_git
    worktree.path.mkdir()
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (scratch / name).mkdir(parents=True)
    (scratch / "HEAD").write_text("ref: refs/heads/work\n", "utf-8")
    (scratch / "refs/heads/work").write_text(f"{worktree.base}\n", "utf-8")
    (scratch / "config").write_text(_SCRATCH_CONFIG, "utf-8")
    (scratch / "objects/info/alternates").write_text(f"{mirror.git_dir / 'objects'}\n", "utf-8")
    files.ensure_dir(worktree.home)
    for pointer in (worktree.pointer, worktree.path / ".git"):
        pointer.write_text(f"gitdir: {SCRATCH}\n", "utf-8")
    for path in (worktree.path, worktree.home, scratch, worktree.pointer):
        files.give(path, owner)


def task_policy(
    worktree: Worktree, mirror: Mirror, *, path: str, env: Mapping[str, str] | None = None
) -> SandboxPolicy:
    """Say what a box for this worktree shows: the folder, its home, its throw-away repository, the objects."""
    objects = mirror.git_dir / "objects"
    return SandboxPolicy(
        work=worktree.path,
        home=worktree.home,
        pointer_git=worktree.path.parent / "pointer",
        writable={worktree.scratch_git: SCRATCH},
        readable={objects: str(objects)},
        env=env or {},
        path=path,
    )
