"""Owns the bare repository that the host alone writes: fetching, reading, committing, pushing."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from bot.core.values import CommitInfo, Identity, TreeChange, TreeFile
from bot.errors import GitError, UserError
from bot.git import seal
from bot.git.pushing import push
from bot.git.reading import batches, read_changes
from bot.git.room import unpack, within_room
from bot.git.runner import Answer, Place, git, git_remote, signature
from bot.git.upkeep import LOCKS, sweep
from bot.ports import GitAccess

ANCHORS = "refs/gitwright/"
_BRANCHES = "refs/remotes/origin/"
_SHA = re.compile(r"[0-9a-f]{40}")
_LAST_SECOND = 253_402_300_799  # of the year 9999
_WORKTREE = re.compile(r"\d+-(issue-\d+(?:-r\d+)?)-.*")


class GitMirror:
    """One bare repository below the data folder."""

    def __init__(self, git_dir: Path) -> None:
        self.git_dir = git_dir
        self._place = Place(git_dir)
        self._fetching = asyncio.Lock()
        self._preparing = asyncio.Lock()
        self._writers = 0
        self._interrupted = False

    async def prepare(self) -> None:
        """Make the repository where it is missing; GitError where anybody but the host configured it."""
        async with self._preparing:
            if not self.git_dir.exists():
                await self._make()
            self.git_dir.chmod(0o700)
            await asyncio.to_thread(seal.check, self.git_dir)

    async def _make(self) -> None:
        """Make it aside and move it into place, so that a kill leaves none or a whole one."""
        with tempfile.TemporaryDirectory(prefix="new-", dir=self.git_dir.parent) as folder:
            made = Path(folder) / "made.git"
            await git(Place(made), "init", "--quiet", "--bare", "--template=", str(made))
            (made / "config").write_bytes(seal.CONFIG)
            (made / "config").chmod(0o600)
            made.rename(self.git_dir)

    def check(self) -> None:
        """Raise GitError where anybody but the host configured it; every use of it begins so."""
        seal.check(self.git_dir)

    async def _git(
        self,
        *args: str,
        place: Place | None = None,
        stdin: bytes = b"",
        codes: Sequence[int] = (0,),
        env: Mapping[str, str] | None = None,
    ) -> Answer:
        self.check()
        return await git(place or self._place, *args, stdin=stdin, codes=codes, env=env)

    async def fetch(self, access: GitAccess) -> None:
        """Bring all branches to refs/remotes/origin/*, and drop those that are gone."""
        await self._fetch(access, f"+refs/heads/*:{_BRANCHES}*", "--prune", "--force")

    async def fetch_commit(self, access: GitAccess, sha: str) -> None:
        """Bring a commit that no branch leads to, and keep it under refs/gitwright/given/."""
        await self._fetch(access, f"+{_checked(sha)}:{ANCHORS}given/{sha}")

    async def _fetch(self, access: GitAccess, refs: str, *options: str) -> None:
        usual = ("--quiet", "--no-tags", "--no-write-fetch-head")
        async with self._fetching, self._writing():
            self.check()
            fetching = git_remote(self._place, access, "fetch", *usual, *options, access.url, refs)
            await within_room(self.git_dir, fetching)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        """Let git write refs here; once nobody does, the locks of one that was interrupted are taken away.

        A git that is killed leaves them, and every later one would fail over them.
        """
        self._writers += 1
        try:
            yield
        except BaseException:
            self._interrupted = True
            raise
        finally:
            self._writers -= 1
            if self._interrupted and not self._writers:
                sweep(self.git_dir, LOCKS)
                self._interrupted = False

    async def resolve(self, ref: str) -> str | None:
        """Give the sha of a branch name, ref or sha; None where there is none."""
        name = ref if _SHA.fullmatch(ref) or ref.startswith("refs/") else _BRANCHES + ref
        answer = await self._git(
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            f"{name}^{{commit}}",
            codes=(0, 1, 128),
        )
        return answer.text if answer.code == 0 and _SHA.fullmatch(answer.text) else None

    async def read(self, sha: str, path: str, limit: int = 1 << 20) -> bytes | None:
        """Read a file at a commit; None where it is missing, no regular file, or larger than `limit`."""
        for file in await self._list(sha, path):
            if file.path == path and file.mode.startswith("100") and file.size <= limit:
                return await self.blob(file.sha)
        return None

    async def blob(self, sha: str) -> bytes:
        return (await self._git("cat-file", "blob", sha)).out

    async def read_many(self, sha: str, paths: Sequence[str], limit: int = 1 << 20) -> dict[str, bytes]:
        """Read several files at a commit with one process; what `read` would give None for is left out."""
        wanted = set(paths)
        return await self.contents(
            [
                file
                for file in await self.files(sha)
                if file.path in wanted and file.mode.startswith("100") and file.size <= limit
            ]
        )

    async def contents(self, files: Sequence[TreeFile]) -> dict[str, bytes]:
        """Read blobs by path with one process for each few megabytes."""
        texts: dict[str, bytes] = {}
        for batch in batches(files):
            names = "".join(f"{file.sha}\n" for file in batch).encode()
            out = (await self._git("cat-file", "--batch", stdin=names)).out
            at = 0
            for file in batch:  # each is `<sha> blob <size>\n<bytes>\n`
                at = out.index(b"\n", at) + 1
                texts[file.path] = out[at : at + file.size]
                at += file.size + 1
        return texts

    async def files(self, sha: str) -> list[TreeFile]:
        """List every blob of a commit's tree, sorted by path."""
        return sorted(await self._list(sha), key=lambda file: file.path)

    async def submodules(self, sha: str) -> list[str]:
        """List the paths where a tree refers to commits of other repositories."""
        rows = (await self._git("ls-tree", "-r", "-z", "--full-tree", _checked(sha))).out.split(b"\0")
        return [row.partition(b"\t")[2].decode(*_TEXT) for row in rows if row.startswith(b"160000")]

    async def _list(self, sha: str, *paths: str) -> list[TreeFile]:
        command = ("ls-tree", "-r", "-z", "-l", "--full-tree", _checked(sha), "--", *paths)
        found = []
        for row in (await self._git(*command)).out.split(b"\0"):
            meta, _, path = row.partition(b"\t")
            if not path:
                continue
            mode, kind, blob, size = meta.decode().split()
            if kind == "blob":
                found.append(TreeFile(path.decode(*_TEXT), mode, blob, int(size)))
        return found

    async def commit_files(
        self, parent: str, files: Mapping[str, bytes | None], message: str, author: Identity, when: datetime
    ) -> str:
        """Commit these paths (None deletes) on top of `parent` without a checkout; the same input gives the same sha."""
        tree = await self.write_tree(parent, files)
        return await self.commit_tree(tree, (parent,), message, author, when)

    async def write_tree(self, base: str, files: Mapping[str, bytes | None]) -> str:
        """Write the tree of `base` (commit or tree) with these paths put or deleted.

        A file that is there keeps its mode. UserError names a path that git does not take.
        """
        with tempfile.TemporaryDirectory(prefix="index-", dir=self.git_dir) as folder:
            place = Place(self.git_dir, index=Path(folder) / "index")
            await self._git("read-tree", _checked(base), place=place)
            modes = {file.path: file.mode for file in await self._list(base, *files)} if files else {}
            entries = [await self._entry(path, files[path], modes.get(path, "")) for path in sorted(files)]
            command = ("update-index", "--add", "--replace", "-z", "--index-info")
            answer = await self._git(*command, stdin=b"".join(entries), codes=(0, 1, 128), place=place)
            if answer.code or answer.err:  # it skips some bad paths with a remark only
                raise UserError(f"A path cannot be taken into the repository: {answer.err.strip()}")
            return (await self._git("write-tree", place=place)).text

    async def _entry(self, path: str, data: bytes | None, mode: str) -> bytes:
        """Store the content and give its line for `update-index --index-info`."""
        name = path.encode(*_TEXT) + b"\0"
        if data is None:
            return b"0 " + b"0" * 40 + b"\t" + name
        blob = (await self._git("hash-object", "-w", "--stdin", "--no-filters", stdin=data)).text
        mode = mode if mode.startswith("100") else "100644"
        return f"{mode} {blob}\t".encode() + name

    async def commit_tree(
        self, tree: str, parents: tuple[str, ...], message: str, author: Identity, when: datetime
    ) -> str:
        """Commit a tree with this author, date and message; the same input gives the same sha."""
        flags = [flag for parent in parents for flag in ("-p", _checked(parent))]
        env = signature(author, when)
        text = message.rstrip("\n").encode() + b"\n"
        return (await self._git("commit-tree", *flags, _checked(tree), stdin=text, env=env)).text

    async def merge_tree(self, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
        """Merge two commits in memory: the tree and the conflicted paths (none: clean)."""
        command = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages")
        answer = await self._git(*command, _checked(ours), _checked(theirs), codes=(0, 1))
        tree, *paths = [part.decode(*_TEXT) for part in answer.out.split(b"\0") if part]
        return tree, tuple(paths) if answer.code else ()

    async def merge_base(self, one: str, other: str) -> str | None:
        """Give the best common ancestor of two commits; None where there is none."""
        answer = await self._git("merge-base", _checked(one), _checked(other), codes=(0, 1))
        return answer.text or None

    async def commits(self, old: str, new: str) -> list[CommitInfo]:
        """List the commits that `new` has and `old` lacks, newest first."""
        return await self._log(f"{_checked(old)}..{_checked(new)}")

    async def _log(self, *range_: str) -> list[CommitInfo]:
        # Ended by a NUL each, which is all that no name and no address can hold.
        shown = "--format=%H%x00%P%x00%ae%x00%ce%x00%ct%x00%T"
        fields = (await self._git("log", "-z", shown, *range_, "--")).out.decode(*_TEXT).split("\0")
        rows = zip(*[iter(fields)] * 6, strict=False)  # the last NUL leaves an empty field
        return [
            CommitInfo(sha, tuple(parents.split()), author, committer, _when(seconds), tree)
            for sha, parents, author, committer, seconds, tree in rows
        ]

    async def subjects(self, sha: str, limit: int) -> list[tuple[str, str]]:
        """List the author's address and subject of the newest commits that are no merges, newest first."""
        command = (
            "log",
            "--no-merges",
            f"--max-count={limit}",
            "--format=%ae%x00%s%x00",
            _checked(sha),
            "--",
        )
        fields = (await self._git(*command)).out.decode(*_TEXT).split("\0")
        pairs = zip(fields[::2], fields[1::2], strict=False)
        return [(email.strip(), subject[:500]) for email, subject in pairs]

    async def diff_stat(self, old: str, new: str) -> list[tuple[str, int, int]]:
        """List changed paths with added and removed lines (binary: 0, 0)."""
        command = ("diff-tree", "-r", "-z", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv")
        found = []
        for row in (await self._git(*command, _checked(old), _checked(new))).out.split(b"\0"):
            if row:
                added, removed, path = row.split(b"\t", 2)
                numbers = (0, 0) if added == b"-" else (int(added), int(removed))
                found.append((path.decode(*_TEXT), *numbers))
        return sorted(found)

    async def changes(self, old: str, new: str) -> list[TreeChange]:
        """List changed paths with their modes and shas, no renames, sorted by path."""
        command = (
            "diff-tree",
            "-r",
            "-z",
            "--raw",
            "--no-abbrev",
            "--no-renames",
            "--ignore-submodules=none",
        )
        out = (await self._git(*command, _checked(old), _checked(new))).out.split(b"\0")
        return read_changes(out)

    async def patch(self, old: str, new: str) -> str:
        """Give the whole difference of two commits as a patch, binary contents included, no renames."""
        command = ("diff-tree", "-r", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff")
        answer = await self._git(*command, "--no-textconv", _checked(old), _checked(new))
        return answer.out.decode(*_TEXT)

    async def anchor(self, name: str, sha: str) -> None:
        """Keep a commit from garbage collection under refs/gitwright/<name>."""
        async with self._writing():
            await self._git("update-ref", "--end-of-options", ANCHORS + name, _checked(sha))

    async def release(self, name: str) -> None:
        """Let go of an anchor; one that is not there is fine."""
        async with self._writing():
            await self._git("update-ref", "-d", "--end-of-options", ANCHORS + name)

    async def release_tracks(self, tracks: Sequence[str]) -> int:
        """Let go of all anchors of these tracks, and count them.

        An anchor's name is `<what>/<track>`, `<what>/<track>/...`, or that of a worktree, `tasks/<repo>-<track>-...`.
        """
        wanted = tuple(tracks)
        listed = await self._git("for-each-ref", "--format=%(refname)", ANCHORS)
        names = [ref.removeprefix(ANCHORS) for ref in listed.text.splitlines()]
        gone = [name for name in names if _track_of(name, wanted)]
        commands = "".join(f"delete {ANCHORS}{name}\n" for name in gone).encode()
        if gone:
            async with self._writing():
                await self._git("update-ref", "--stdin", stdin=commands)
        return len(gone)

    async def unpack(self, pack: bytes) -> None:
        """Take in objects from a pack, each checked: one that is broken, links to nowhere or is too large is a GitError."""
        self.check()
        await unpack(self._place, pack)

    async def push(self, access: GitAccess, sha: str, branch: str, expected: str | None) -> None:
        """Push one sha to one branch whose tip must be `expected` (None: absent); StaleRefError otherwise, a push that is done already is fine."""
        self.check()
        await push(self._place, access, _checked(sha), branch, expected)

    async def message(self, sha: str) -> str:
        """Give a commit's message as it was written."""
        return (await self._git("log", "-1", "--format=%B", _checked(sha), "--")).text

    async def unpublished(self, sha: str) -> list[CommitInfo]:
        """List the commits up to this one that no branch of the forge holds, newest first."""
        return await self._log(_checked(sha), "--not", f"--glob={_BRANCHES}*")


def _track_of(anchor: str, tracks: Sequence[str]) -> bool:
    """Tell whether an anchor is of one of these tracks."""
    part = anchor.split("/")[1] if "/" in anchor else ""
    own = _WORKTREE.fullmatch(part)
    return part in tracks or (own is not None and own[1] in tracks)


_TEXT = ("utf-8", "surrogateescape")


def _when(seconds: str) -> datetime:
    """Read a commit's date, whatever somebody wrote into it: none is 1970, and no year is after 9999."""
    return datetime.fromtimestamp(min(int(seconds or 0), _LAST_SECOND), UTC)


def _checked(sha: str) -> str:
    """Let only full shas near a command line: nothing else can be an option or a range."""
    if not _SHA.fullmatch(sha):
        raise GitError(f"`{sha[:60]}` is no full sha")
    return sha
