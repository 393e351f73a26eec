"""Owns the built-in agent's work on files, done inside its box: read, write, edit, list and grep below the worktree.

Run as `python3 -I -c SOURCE` in the worktree, alone inside the sandbox, so it uses Python's own library only. Standard
input is JSON {"tool", ...its arguments}; the last line of the output is JSON {"ok", "text"}.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

LINE = 2_000  # characters of one line that are shown
TEXT = 40_000  # characters of an answer
ENTRIES = 400  # files of a list
MATCHES = 200
SEEN = 50_000  # files that are looked at
BYTES = 4 << 20  # of a file that is edited or searched
NEAR = 5  # places that are named where an edit does not fit


class RefusedError(Exception):
    """Why something is not done, for the model to read."""


def inside(root: Path, name: str) -> Path:
    """Give where a name leads, links followed, if that is below the worktree and none of git's own files."""
    if "\0" in name:
        raise RefusedError("a path holds no NUL")
    path = Path(os.path.realpath(root / name))
    if path != root and root not in path.parents:
        raise RefusedError(f"{name} lies outside the worktree, where you have nothing to do")
    if ".git" in path.relative_to(root).parts:
        raise RefusedError("git's own files are not yours to touch")
    return path


def text_of(path: Path, name: str) -> str:
    """Read a whole text file; line ends stay as they are."""
    try:
        found = path.stat()
    except OSError as error:
        raise RefusedError(f"{name}: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError(f"{name} is no regular file")
    if found.st_size > BYTES:
        raise RefusedError(
            f"{name} has {found.st_size:,} bytes, which is too much; use `shell` with sed or head"
        )
    raw = path.read_bytes()
    if b"\0" in raw:
        raise RefusedError(f"{name} is a binary file")
    return raw.decode("utf-8", "surrogateescape")


def read(root: Path, path: str, first: int, count: int) -> str:
    lines = text_of(inside(root, path), path).splitlines()
    shown = lines[first - 1 : first - 1 + count]
    if not shown:
        return f"{path} has {len(lines)} lines"
    numbered = [f"{number:>6}\t{line[:LINE]}" for number, line in enumerate(shown, first)]
    kept, size = [], 0
    for line in numbered:
        size += len(line) + 1
        if size > TEXT:
            break
        kept.append(line)
    last = first + len(kept) - 1
    return "\n".join(kept) + (f"\n({len(lines)} lines in all; shown to {last})" if last < len(lines) else "")


def write(root: Path, path: str, text: str) -> str:
    place = inside(root, path)
    if place.is_dir():
        raise RefusedError(f"{path} is a folder")
    new = not place.exists()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text.encode("utf-8", "surrogateescape"))
    return f"{'made' if new else 'replaced'} {path}, {len(text.splitlines())} lines"


def edit(root: Path, path: str, old: str, new: str, every: bool) -> str:
    place = inside(root, path)
    text = text_of(place, path)
    if "\r\n" in text and old not in text:
        old, new = (part.replace("\r\n", "\n").replace("\n", "\r\n") for part in (old, new))
    places = [found.start() for found in islice(re.finditer(re.escape(old), text), 10_000)]
    if not places:
        raise RefusedError(f"`old` does not occur in {path}{near(text, old)}")
    if len(places) > 1 and not every:
        lines = [text.count("\n", 0, start) + 1 for start in places[:NEAR]]
        raise RefusedError(
            f"`old` occurs {len(places)} times in {path} (lines {', '.join(map(str, lines))}): give more of the lines "
            "around it, or set `every`"
        )
    place.write_bytes(text.replace(old, new).encode("utf-8", "surrogateescape"))
    return f"changed {path} at line {text.count(chr(10), 0, places[0]) + 1}"


def near(text: str, old: str) -> str:
    """Say where the first line of `old` stands with other white space."""
    wanted = next((line.strip() for line in old.splitlines() if line.strip()), "")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if wanted and wanted in line]
    if not lines:
        return "; read the file again"
    return f", but its first line stands at {', '.join(map(str, lines[:NEAR]))}: look at the white space and what follows"


def files(root: Path, start: Path) -> Iterator[Path]:
    if start.is_file():
        yield start
        return
    for folder, folders, names in os.walk(start):
        folders[:] = sorted(name for name in folders if name != ".git")
        yield from (Path(folder, name) for name in sorted(names) if name != ".git")


def fits(root: Path, file: Path, pattern: str) -> bool:
    name = str(file.relative_to(root))
    return not pattern or any(fnmatch.fnmatch(each, pattern) for each in (name, file.name))


def list_(root: Path, path: str, pattern: str) -> str:
    start = inside(root, path)
    if not start.is_dir():
        raise RefusedError(f"{path} is no folder")
    if pattern:
        found = [
            str(file.relative_to(root))
            for file in islice(files(root, start), SEEN)
            if fits(root, file, pattern)
        ]
    else:
        found = [f"{entry.name}/" if entry.is_dir() else entry.name for entry in sorted(start.iterdir())]
    found = [each for each in found if each not in {".git", ".git/"}]
    more = f"\n(and {len(found) - ENTRIES} more)" if len(found) > ENTRIES else ""
    return "\n".join(found[:ENTRIES]) + more or "nothing"


def grep(root: Path, pattern: str, path: str, files_like: str) -> str:
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise RefusedError(f"`pattern` is no regular expression: {error}") from error
    found: list[str] = []
    for file in islice(files(root, inside(root, path)), SEEN):
        if not fits(root, file, files_like):
            continue
        name = str(file.relative_to(root))
        try:
            text = text_of(inside(root, name), name)
        except RefusedError:
            continue  # not a text: there is nothing to find in it
        for number, line in enumerate(text.splitlines(), 1):
            if wanted.search(line[:LINE]):
                found.append(f"{name}:{number}: {line.strip()[:300]}")
                if len(found) >= MATCHES:
                    return "\n".join([*found, "(there may be more)"])
    return "\n".join(found) or "nothing"


TOOLS: dict[str, Callable[..., str]] = {
    "read": read,
    "write": write,
    "edit": edit,
    "list": list_,
    "grep": grep,
}


def answer(root: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked and say how it went."""
    try:
        return {"ok": True, "text": TOOLS[asked.pop("tool")](root, **asked)}
    except RefusedError as refused:
        return {"ok": False, "text": str(refused)}
    except OSError as error:
        return {"ok": False, "text": f"{error.strerror or error}"}


def main() -> None:
    """Never fails for what it is asked."""
    done = answer(Path.cwd().resolve(), json.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(json.dumps(done, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


if __name__ == "__main__":
    main()
