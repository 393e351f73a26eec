"""Commits and differences between them, read from git into values."""

from collections.abc import Iterator
from dataclasses import dataclass

from forge.git import EMPTY_TREE, Bare, Person

STATUS = {
    "A": "added",
    "D": "removed",
    "M": "modified",
    "R": "renamed",
    "C": "copied",
    "T": "changed",
}
SEPARATOR = "\x1f"
FORMAT = SEPARATOR.join(("%H", "%T", "%P", "%an", "%ae", "%ad", "%cn", "%ce", "%cd", "%B"))
KEPT = 50  # of a long log, only the first commits are worth a place in the cache
DATE = "--date=format-local:%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit; the message without newlines at its end, as GitHub shows it."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file of a difference; `patch` is None for a binary file and where only the mode or name changed."""

    path: str
    previous: str | None
    status: str
    sha: str
    additions: int
    deletions: int
    patch: str | None


def log(
    bare: Bare,
    *revisions: str,
    limit: int = 250,
    skip: int = 0,
    reverse: bool = False,
    path: str | None = None,
) -> list[Commit]:
    """Commits as `git log` lists them, newest first unless reversed; revisions are ids or `^id`."""
    flags = ["--topo-order", "--reverse"] if reverse else []
    pick = [f"--max-count={limit}", f"--skip={skip}"] if limit else []
    tail = ["--", path] if path else ["--"]
    out = bare.run(
        "--literal-pathspecs",
        "log",
        "-z",
        DATE,
        "--encoding=UTF-8",
        f"--format={FORMAT}",
        *flags,
        *pick,
        *revisions,
        *tail,
    )
    found = [_commit(record) for record in out.decode(errors="replace").split("\0") if record]
    for each in found[:KEPT]:
        bare.keep(("commit", each.sha), each)
    return found


def _commit(record: str) -> Commit:
    sha, tree, parents, an, ae, ad, cn, ce, cd, message = record.split(SEPARATOR, 9)
    return Commit(
        sha, tree, tuple(parents.split()), Person(an, ae, ad), Person(cn, ce, cd), message.rstrip("\n")
    )


def commit(bare: Bare, sha: str) -> Commit:
    """One commit by its id, which must be one."""
    return bare.cached(("commit", sha), lambda: log(bare, sha, limit=1)[0])


def between(bare: Bare, base: str, head: str) -> list[Commit]:
    """The commits that `head` has beyond `base`, oldest first, at most 250 of them."""

    def read() -> list[Commit]:
        return log(bare, head, f"^{base}", limit=0, reverse=True)[:250]

    return bare.cached(("between", base, head), read)


def new_commits(bare: Bare, before: str, after: str) -> set[str]:
    """The ids of all commits that a move of a ref made reachable from it."""
    return bare.cached(
        ("new", before, after), lambda: set(bare.run("rev-list", after, f"^{before}").decode().split())
    )


def fork_point(bare: Bare, base: str, head: str) -> str:
    """What `head` is compared with when it is compared with `base`: their merge base, or nothing at all."""
    return bare.merge_base(base, head) or EMPTY_TREE


def changes(bare: Bare, base: str, head: str) -> list[FileChange]:
    """The files that differ between two trees, with their patches."""
    return bare.cached(("changes", base, head), lambda: list(_changes(bare, base, head)))


def _changes(bare: Bare, base: str, head: str) -> Iterator[FileChange]:
    flags = ("diff-tree", "-r", "-M", "--no-commit-id")
    raw = bare.run(*flags, "-z", "--raw", "--no-abbrev", base, head).decode(errors="replace")
    counted = bare.run(*flags, "-z", "--numstat", base, head).decode(errors="replace")
    patches = _patches(bare.run(*flags, "-p", base, head).decode(errors="replace"))
    counts = _counts(counted)
    fields = iter(raw.split("\0"))
    for facts in fields:
        if not facts:
            continue
        _, _, old, new, letter = facts.split()
        first = next(fields)
        renamed = letter[0] in "RC"
        path = next(fields) if renamed else first
        added, deleted = next(counts)
        patch = next(patches, None)
        if letter[0] == "T":  # shown as a removal and an addition
            next(patches, None)
        sha = old if letter[0] == "D" else new
        yield FileChange(path, first if renamed else None, STATUS[letter[0]], sha, added, deleted, patch)


def _counts(text: str) -> Iterator[tuple[int, int]]:
    """Added and deleted lines of each file; `-` stands for binary files, a rename has two more fields."""
    fields = iter(text.split("\0"))
    for line in fields:
        if not line:
            continue
        added, deleted, path = line.split("\t", 2)
        if not path:
            next(fields)
            next(fields)
        yield (0, 0) if added == "-" else (int(added), int(deleted))


def _patches(text: str) -> Iterator[str | None]:
    """The hunks of each file; lines of content never start with `diff`."""
    for part in ("\n" + text).split("\ndiff --git ")[1:]:
        start = part.find("\n@@ ")
        yield part[start + 1 :].removesuffix("\n") if start >= 0 else None


def paths(bare: Bare, sha: str) -> tuple[list[str], list[str], list[str]]:
    """The paths that a commit added, removed and modified against its first parent; none for a merge."""

    def read() -> tuple[list[str], list[str], list[str]]:
        out = bare.run("diff-tree", "-r", "-z", "--root", "--no-commit-id", "--name-status", sha)
        fields = out.decode(errors="replace").split("\0")
        found: dict[str, list[str]] = {"A": [], "D": [], "M": []}
        for letter, path in zip(fields[::2], fields[1::2], strict=False):
            found.get(letter, found["M"]).append(path)
        return found["A"], found["D"], found["M"]

    return bare.cached(("paths", sha), read)


def diff_text(bare: Bare, base: str, head: str) -> bytes:
    """The difference as `Accept: application/vnd.github.diff` wants it."""
    return bare.run("diff-tree", "-r", "-p", "-M", "--no-commit-id", base, head)


def patch_text(bare: Bare, base: str, head: str) -> bytes:
    """The commits as `Accept: application/vnd.github.patch` wants them."""
    return bare.run("format-patch", "--stdout", "--no-signature", f"{base}..{head}")
