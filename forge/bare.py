"""Plumbing on one bare repository: refs, objects, trees and merges, all by the system's git."""

import subprocess
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

ZERO = "0" * 40
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
TIMEOUT = 120.0
CACHED = 1024

T = TypeVar("T")


class GitError(Exception):
    """Git ended with a code that the caller did not expect; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Person:
    """An author or committer; `date` as GitHub spells it, in UTC."""

    name: str
    email: str
    date: str


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry of a tree; `size` only for blobs."""

    mode: str
    type: str
    sha: str
    size: int | None
    path: str


@dataclass(frozen=True, slots=True)
class Change:
    """What to do with one path of a tree; without `sha` the path is removed."""

    path: str
    sha: str | None
    mode: str = "100644"


class Bare:
    """One bare repository; every method is one git process at most, but for what an id names and a cache holds."""

    def __init__(self, path: Path, env: Mapping[str, str]) -> None:
        self.path = path
        self._env = dict(env)
        self._cache: OrderedDict[tuple[str, ...], object] = OrderedDict()
        self._guard = threading.Lock()

    def run(self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """The output of a git that must succeed; GitError with its complaint otherwise."""
        code, out, err = self.attempt(*args, stdin=stdin, env=env)
        if code != 0:
            raise GitError(f"git {args[0]}: {err.decode(errors='replace').strip()}")
        return out

    def attempt(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, bytes]:
        """Exit code, output and complaint of a git that may fail."""
        done = subprocess.run(
            ["git", f"--git-dir={self.path}", *args],
            input=stdin,
            capture_output=True,
            env={**self._env, **(env or {})},
            timeout=TIMEOUT,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def keep(self, key: tuple[str, ...], value: object) -> None:
        """Puts into the cache what was found out on the way."""
        with self._guard:
            self._cache[key] = value
            while len(self._cache) > CACHED:
                self._cache.popitem(last=False)

    def cached(self, key: tuple[str, ...], make: Callable[[], T]) -> T:
        """What `make` returned for a key of object ids; such answers never change."""
        with self._guard:
            if key in self._cache:
                self._cache.move_to_end(key)
                return cast(T, self._cache[key])
        value = make()
        self.keep(key, value)
        return value

    # --- refs

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Each ref at or below a prefix with the id that it holds, by name."""
        out = self.run("for-each-ref", "--format=%(objectname) %(refname)", prefix).decode(errors="replace")
        pairs = (line.split(" ", 1) for line in out.splitlines())
        return {name: sha for sha, name in pairs}

    def ref(self, name: str) -> str | None:
        """What a full ref name holds."""
        code, out, _ = self.attempt("show-ref", "--verify", "--hash", "--", name)
        return out.decode().strip() if code == 0 else None

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch, tag, sha or full ref means; GitHub prefers branches."""
        if "\n" in revision:
            return None
        names = (f"refs/heads/{revision}", f"refs/tags/{revision}", revision)
        asked = "".join(f"{name}^{{commit}}\n" for name in names)
        out = self.run("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked.encode())
        found = (line.split() for line in out.decode(errors="replace").splitlines())
        return next((words[0] for words in found if len(words) == 2 and words[1] == "commit"), None)

    def move(self, ref: str, new: str, old: str) -> bool:
        """Sets a ref if it still holds `old` (ZERO: does not exist); `new` ZERO deletes it. False if it moved."""
        change = ("-d", ref, old) if new == ZERO else (ref, new, old)
        code, _, _ = self.attempt("update-ref", *change)
        return code == 0

    def force(self, ref: str, new: str) -> None:
        """Sets a ref that only the forge writes."""
        self.run("update-ref", ref, new)

    def head(self, branch: str) -> None:
        """Makes a branch the one that clones check out."""
        self.run("symbolic-ref", "HEAD", f"refs/heads/{branch}")

    # --- objects

    def kind(self, sha: str) -> str | None:
        """`commit`, `tree`, `blob` or `tag`; None if there is no such object."""
        code, out, _ = self.attempt("cat-file", "-t", sha)
        return out.decode().strip() if code == 0 else None

    def blob(self, sha: str) -> bytes:
        """A blob's bytes."""
        return self.run("cat-file", "blob", sha)

    def write_blob(self, data: bytes) -> str:
        """Stores bytes and returns their id."""
        return self.run("hash-object", "-w", "--stdin", stdin=data).decode().strip()

    def tree_of(self, treeish: str) -> str | None:
        """The id of the tree that a commit or tree id means."""
        code, out, _ = self.attempt(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{treeish}^{{tree}}"
        )
        return out.decode().strip() if code == 0 else None

    def tree(self, treeish: str, path: str = "", *, recursive: bool = False) -> list[TreeEntry] | None:
        """The entries of a tree or of a folder in it, paths relative to it; None if it is no tree."""
        spec = f"{treeish}:{path}" if path else treeish
        flags = ("-r", "-t") if recursive else ()
        code, out, _ = self.attempt("ls-tree", "-z", "-l", *flags, spec)
        return [_entry(line) for line in out.split(b"\0") if line] if code == 0 else None

    def entry(self, treeish: str, path: str) -> TreeEntry | None:
        """The entry at a path."""
        out = self.run("--literal-pathspecs", "ls-tree", "-z", "-l", treeish, "--", path)
        found = [_entry(line) for line in out.split(b"\0") if line]
        return found[0] if found else None

    def write_tree(self, base: str | None, changes: Iterable[Change]) -> str:
        """A tree like `base` with some paths changed; raises GitError where an object is missing or a path is bad."""
        with self._index() as index:
            if base is not None:
                self.run("read-tree", base, env=index)
            lines = [
                f"{change.mode if change.sha else 0} {change.sha or ZERO}\t{change.path}\0"
                for change in changes
            ]
            self.run("update-index", "-z", "--index-info", stdin="".join(lines).encode(), env=index)
            return self.run("write-tree", env=index).decode().strip()

    @contextmanager
    def _index(self) -> Iterator[dict[str, str]]:
        with tempfile.TemporaryDirectory(prefix="forge-index-") as folder:
            yield {"GIT_INDEX_FILE": str(Path(folder) / "index")}

    def commit_tree(
        self, tree: str, parents: Iterable[str], message: str, author: Person, committer: Person
    ) -> str:
        """A new commit's id; the message is taken byte for byte."""
        env = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_AUTHOR_DATE": author.date,
            "GIT_COMMITTER_NAME": committer.name,
            "GIT_COMMITTER_EMAIL": committer.email,
            "GIT_COMMITTER_DATE": committer.date,
        }
        flags = [flag for parent in parents for flag in ("-p", parent)]
        out = self.run("commit-tree", *flags, "-F", "-", tree, stdin=message.encode(), env=env)
        return out.decode().strip()

    # --- relations

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor."""

        def find() -> str | None:
            code, out, _ = self.attempt("merge-base", one, other)
            return out.decode().strip() if code == 0 else None

        return self.cached(("merge-base", one, other), find)

    def descends(self, commit: str, ancestor: str) -> bool:
        """Whether `ancestor` is the commit itself or reachable from it."""
        return self.merge_base(commit, ancestor) == ancestor

    def ahead_behind(self, base: str, head: str) -> tuple[int, int]:
        """How many commits only `head` has, and how many only `base` has."""

        def count() -> tuple[int, int]:
            out = self.run("rev-list", "--left-right", "--count", f"{base}...{head}").decode().split()
            return int(out[1]), int(out[0])

        return self.cached(("ahead-behind", base, head), count)

    def merged_tree(self, base: str, head: str) -> str | None:
        """The tree of merging two commits; None if they conflict or share no history."""

        def merge() -> str | None:
            code, out, err = self.attempt("merge-tree", "--write-tree", "--no-messages", base, head)
            if code not in (0, 1) and b"unrelated histories" not in err:
                raise GitError(f"git merge-tree: {err.decode(errors='replace').strip()}")
            return out.split(b"\n", 1)[0].decode() if code == 0 else None

        return self.cached(("merged-tree", base, head), merge)


def _entry(line: bytes) -> TreeEntry:
    facts, path = line.split(b"\t", 1)
    mode, kind, sha, size = facts.decode().split()
    return TreeEntry(mode, kind, sha, None if size == "-" else int(size), path.decode(errors="replace"))
