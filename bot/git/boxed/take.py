"""Owns taking a folder in: a look at it with lstat only, the ignore rules of the base, and git that builds the tree.

Runs in a box of its own, see bot/git/ingest.py: reads its order as JSON from standard input and leaves in the
working directory `result`, JSON with `tree` or `findings`, and `pack`, the objects that the base lacks.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import stat
import subprocess
import sys
import unicodedata
from collections.abc import Iterable

# What tools leave behind: taken in only where the base has something of that name.
CACHE_FOLDERS = [
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
    ".tox",
    ".nox",
    ".venv",
    ".eggs",
    ".coverage",
    ".gradle",
    "node_modules",
]
CACHE_PATTERNS = ("*.pyc", "*.pyo", "*.egg-info/", ".coverage", ".coverage.*", ".DS_Store", "*.swp")
MOST_ENTRIES = 200_000
MOST_PATH = 3_000  # bytes: git has to write it behind the names of folders of its own
MOST_FINDINGS = 50
TOTAL = 4  # times the largest file: what is changed may be as large together
_REDIRECTS = (".gitmodules", ".lfsconfig")
_GIT_READS = {".gitattributes", ".gitignore", ".gitmodules"}
_SHOWN = 300  # characters of a name
# What file systems leave out when they compare names, and what turns the direction of reading.
_INVISIBLE = re.compile(
    "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\u206a-\u206f\ufeff\U000e0000-\U000e007f]"
)
# What Windows makes of `.git` and of the names that git reads, where it shortens them.
_SHORTENED = re.compile(r"(git|gitmod|gitatt|gitign|gi7eba|gi7d29|gi250a)~[0-9]+")


class Base:
    """What is in the commit that the agent started from, as git lists it."""

    def __init__(self, rows: bytes) -> None:
        self.blobs: dict[str, tuple[str, str, int]] = {}  # mode, sha, size
        self.submodules: set[str] = set()
        self.folders: set[str] = set()
        self.links: dict[str, str] = {}
        for row in rows.split(b"\0"):
            meta, _, name = row.partition(b"\t")
            if not name:
                continue
            path = os.fsdecode(name)
            mode, kind, sha, size = meta.decode().split()
            if kind == "blob":
                self.blobs[path] = (mode, sha, int(size))
                above = path
            else:
                self.submodules.add(path)
                above = path + "/"
            while (above := posixpath.dirname(above)) and above not in self.folders:
                self.folders.add(above)

    def knows(self, path: str) -> bool:
        return path in self.blobs or path in self.folders


class Finding:
    """Something that must not be taken in; `always` where an ignore rule does not excuse it."""

    def __init__(self, path: str, problem: str, always: bool = False) -> None:
        self.path = path
        self.problem = problem
        self.always = always


class Walk:
    """Goes through a folder without following a symlink; caches that the base does not have are left out."""

    def __init__(self, root: str, base: Base, max_bytes: int, laid: set[str]) -> None:
        self.root = root
        self.base = base
        self.laid = laid  # what the host put there before the agent came, with all below it
        self.max_bytes = max_bytes
        self.paths: list[str] = []  # regular files and symlinks
        self.links: set[str] = set()
        self.findings: list[Finding] = []
        self._seen: dict[str, str] = {}
        self._entries = 0
        self._new_bytes = 0

    def note(self, path: str, problem: str) -> None:
        self.findings.append(Finding(path, problem, posixpath.basename(path) in _GIT_READS))

    def all(self) -> None:
        pending = [""]
        while pending:
            at = pending.pop()
            try:
                with os.scandir(posixpath.join(self.root, at)) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                self.note(at, f"the folder cannot be read ({error.strerror})")
                continue
            self._entries += len(entries)
            if self._entries > MOST_ENTRIES:
                self.findings.append(Finding(at, f"more than {MOST_ENTRIES} files", always=True))
                return
            self._bare_repository(at, {entry.name for entry in entries})
            pending += [path for entry in entries if (path := self._entry(at, entry))]
        if self._new_bytes > TOTAL * self.max_bytes:
            problem = f"new files of {self._new_bytes} bytes together, more than the {TOTAL * self.max_bytes} allowed"
            self.findings.append(Finding("", problem, always=True))
        self._redirects()

    def _entry(self, at: str, entry: os.DirEntry[str]) -> str | None:
        """Judge one entry; give its path where it is a folder to go into."""
        path = f"{at}/{entry.name}" if at else entry.name
        if path == ".git":
            if not entry.is_file(follow_symlinks=False):
                self.findings.append(Finding(".git", "it was replaced", always=True))
            return None
        found = entry.stat(follow_symlinks=False)
        if not self.base.knows(path):
            if entry.name in CACHE_FOLDERS or path in self.laid:
                return None
            self._name(path, entry.name)
        if len(os.fsencode(path)) > MOST_PATH:
            self.note(path, f"its path is longer than {MOST_PATH} bytes")
            return None
        self._case(path)
        if stat.S_ISDIR(found.st_mode):
            return None if path in self.base.submodules else path
        if stat.S_ISLNK(found.st_mode):
            self.links.add(path)
            self._link(path)
        elif not stat.S_ISREG(found.st_mode):
            self.note(path, "neither a file nor a folder nor a symlink")
            return None
        else:
            self._file(path, found)
        self.paths.append(path)
        return None

    def _file(self, path: str, found: os.stat_result) -> None:
        known = self.base.blobs.get(path)
        if found.st_size > max(self.max_bytes, known[2] if known else 0):
            self.note(path, f"{found.st_size} bytes, more than the {self.max_bytes} that are allowed")
        elif known is None or known[2] != found.st_size:
            self._new_bytes += found.st_size
        if not found.st_mode & stat.S_IRUSR:
            self.note(path, "its mode lets nobody read it")

    def _name(self, path: str, name: str) -> None:
        plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", name)).casefold().rstrip(". ")
        if plain == ".git" or plain.startswith(".git:") or _SHORTENED.fullmatch(plain):
            self.note(path, "a repository inside the repository, or a name that passes for one")
        elif any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name) or _surrogates(name):
            self.note(path, "control characters or bytes that are no UTF-8 in the name")
        elif "\\" in name:
            self.note(path, "a backslash in the name, which leads into folders on other systems")
        elif _INVISIBLE.search(name):
            self.note(path, "invisible characters in the name")

    def _case(self, path: str) -> None:
        other = self._seen.setdefault(folded(path), path)
        if other != path and not (self.base.knows(path) and self.base.knows(other)):
            self.note(path, f"differs from `{printable(other)}` only in case")

    def _link(self, path: str) -> None:
        target = os.readlink(posixpath.join(self.root, path))  # noqa: PTH115 - the text as it is, never normalized
        if self.base.links.get(path) == target:
            return
        there = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        if posixpath.isabs(target) or there.split("/")[0] in {"..", ".git"}:
            self.note(path, "a symlink that leaves the repository")

    def _bare_repository(self, at: str, names: set[str]) -> None:
        if at and {"HEAD", "objects", "refs"} <= names and f"{at}/HEAD" not in self.base.blobs:
            self.note(at, "a bare repository inside the repository")

    def _redirects(self) -> None:
        """Refuse a change of the files that send git elsewhere."""
        for name in _REDIRECTS:
            data = _read(posixpath.join(self.root, name), self.max_bytes)
            known = self.base.blobs.get(name)
            if (known[1] if known else None) != (_blob_sha(data) if data is not None else None):
                self.findings.append(Finding(name, "it sends git elsewhere, so only people change it", True))


def folded(path: str) -> str:
    """Write a path as file systems that ignore case, composition or invisible characters compare it."""
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", path)).upper().casefold()
    return unicodedata.normalize("NFC", plain)


def printable(path: str) -> str:
    shown = path.encode("utf-8", "backslashreplace").decode().encode("unicode_escape").decode()
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."


def _read(path: str, limit: int) -> bytes | None:
    """Read a regular file without following a symlink or waiting for a pipe; None for anything else."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(number, "rb") as file:
        return file.read(limit + 1) if stat.S_ISREG(os.fstat(number).st_mode) else None


def _blob_sha(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _surrogates(name: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in name)


class Git:
    """Git with the options of the order; its own folder, index and work tree come by the environment."""

    def __init__(self, options: list[str]) -> None:
        self._options = options

    def __call__(self, *args: str, stdin: bytes = b"", codes: tuple[int, ...] = (0,), **env: str) -> bytes:
        command = ["git", *self._options, *args]
        done = subprocess.run(
            command, input=stdin, stdout=subprocess.PIPE, check=False, env={**os.environ, **env}
        )
        if done.returncode not in codes:
            sys.exit(done.returncode)  # what went wrong it has said on standard error
        return done.stdout

    def contents(self, shas: dict[str, str]) -> dict[str, bytes]:
        """Read blobs: path -> sha gives path -> bytes."""
        if not shas:
            return {}
        out = self("cat-file", "--batch", stdin="".join(f"{sha}\n" for sha in shas.values()).encode())
        found, at = {}, 0
        for path in shas:  # each is `<sha> blob <size>\n<bytes>\n`
            end = out.index(b"\n", at) + 1
            size = int(out[at:end].split()[2])
            found[path] = out[end : end + size]
            at = end + size + 1
        return found


def base_of(git: Git, sha: str) -> Base:
    base = Base(git("ls-tree", "-r", "-z", "-l", "--full-tree", sha))
    links = {path: blob for path, (mode, blob, _) in base.blobs.items() if mode == "120000"}
    base.links = {path: os.fsdecode(target) for path, target in git.contents(links).items()}
    return base


def ignored(git: Git, base: Base, walk: Walk) -> set[str]:
    """Ask git which new paths the base's own ignore rules leave out; the agent's rules do not count."""
    rules = {
        path: blob
        for path, (mode, blob, _) in base.blobs.items()
        if posixpath.basename(path) == ".gitignore" and mode.startswith("100")
    }
    os.mkdir("rules")  # noqa: PTH102
    for path, text in git.contents(rules).items():
        os.makedirs(posixpath.join("rules", posixpath.dirname(path)), exist_ok=True)  # noqa: PTH103
        with open(posixpath.join("rules", path), "xb") as file:  # noqa: PTH123
            file.write(text)
    with open("caches", "x") as file:  # noqa: PTH123
        file.write("\n".join(CACHE_PATTERNS) + "\n")
    fresh = {path for path in walk.paths if path not in base.blobs}
    fresh |= {finding.path for finding in walk.findings if finding.path and not base.knows(finding.path)}
    if not fresh:
        return set()
    # This command knows no literal paths; behind `./` no name can pass for pathspec magic.
    names = b"".join(b"./" + os.fsencode(path) + b"\0" for path in sorted(fresh))
    excludes = f"core.excludesFile={os.path.abspath('caches')}"  # noqa: PTH100
    environment = {"GIT_LITERAL_PATHSPECS": "0", "GIT_WORK_TREE": os.path.abspath("rules")}  # noqa: PTH100
    command = ("-c", excludes, "check-ignore", "--no-index", "-z", "--stdin")
    out = git(*command, stdin=names, codes=(0, 1), **environment)
    return {os.fsdecode(path)[2:] for path in out.split(b"\0") if path}


def main() -> None:
    order = json.load(sys.stdin)
    git = Git(order["options"])
    base = base_of(git, order["base"])
    walk = Walk(order["root"], base, order["max_bytes"], set(order["laid"]))
    walk.all()
    left_out = ignored(git, base, walk)
    findings = [each for each in walk.findings if each.always or each.path not in left_out]
    if findings:
        shown = [[printable(each.path), each.problem[: 2 * _SHOWN]] for each in findings[:MOST_FINDINGS]]
        _result({"findings": shown, "more": len(findings) - len(shown)})
        return
    gone = behind(walk.links, base.blobs)
    names = sorted({path for path in walk.paths if path not in left_out} | set(base.blobs) - gone)
    if not order["known"]:  # else the host has put there the index of the checkout
        git("read-tree", order["base"])
    # Compares contents without storing them: what is stored again here is all that git does not know to be unchanged,
    # since it cannot mark objects of the mirror as used, which is read-only.
    git("update-index", "-q", "--ignore-submodules", "--refresh", codes=(0, 1))
    if gone:
        git("update-index", "-z", "--force-remove", "--stdin", stdin=_listed(sorted(gone)))
    git("update-index", "-z", "--add", "--remove", "--replace", "--stdin", stdin=_listed(names))
    tree = git("write-tree").decode().strip()
    with open("pack", "xb") as pack:  # noqa: PTH123
        # The base's tree and not its commit: beside a tree that leaves nothing out, and all of the checkout is packed.
        revisions = f"{tree}\n^{order['base']}^{{tree}}\n".encode()
        pack.write(git("pack-objects", "-q", "--revs", "--stdout", stdin=revisions))
    _result({"tree": tree})


def behind(links: set[str], paths: Iterable[str]) -> set[str]:
    """Name the paths below one that is a symlink now: git refuses to look there, and the files are gone."""
    found = set()
    for path in paths if links else ():
        above = path
        while (above := posixpath.dirname(above)) and path not in found:
            if above in links:
                found.add(path)
    return found


def _listed(names: list[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def _result(found: dict[str, object]) -> None:
    with open("result", "x") as file:  # noqa: PTH123
        json.dump(found, file)


if __name__ == "__main__":
    main()
