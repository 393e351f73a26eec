"""Owns the search for a planted token: in all files that can be read, in what is told of processes, in their memory.

A program that is sent over standard input (`sending.py`), with Python's own library only; the variable ASKED says what for. The
token's halves come backwards, so that it is not found here; files that were last changed before `since`, when it was made,
cannot hold it. `folders` without `skipped`, and `pids`, are what is searched; nothing means all. A line for each place; at the end a count.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

LARGEST = 64 << 20
PARTS = ("environ", "cmdline", "maps", "comm", "status", "mounts", "mountinfo", "cgroup")
SEEN = {"files": 0, "read": 0, "processes": 0}


def holds(data: bytes, halves: tuple[bytes, bytes]) -> bool:
    """Look for both halves beside each other, without ever having them so ourselves."""
    first, second = halves
    at = data.find(first)
    while at >= 0:
        after = at + len(first)
        if data[after : after + len(second)] == second:
            return True
        at = data.find(first, at + 1)
    return False


def files(
    top: str, since: float, halves: tuple[bytes, bytes], skipped: Collection[str] = ()
) -> Iterator[str]:
    """Walk without following links; names count too, and where links lead."""
    if os.path.isfile(top):
        yield from _file(top, since, halves)
    for folder, below, names in os.walk(top):
        below[:] = [name for name in below if os.path.join(folder, name) not in skipped]
        for name in (*below, *names):
            if holds(os.fsencode(name), halves):
                yield f"name {folder}"
            with suppress(OSError):
                yield from _file(os.path.join(folder, name), since, halves)


def _file(path: str, since: float, halves: tuple[bytes, bytes]) -> Iterator[str]:
    SEEN["files"] += 1
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode) and holds(os.fsencode(os.readlink(path)), halves):
        yield f"link {path}"
    if stat.S_ISREG(found.st_mode) and found.st_ctime >= since and found.st_size < LARGEST:
        SEEN["read"] += 1
        if holds(Path(path).read_bytes(), halves):
            yield f"file {path}"


def processes(pids: list[str], halves: tuple[bytes, bytes]) -> Iterator[str]:
    for pid in pids:
        SEEN["processes"] += 1
        for part in PARTS:
            with suppress(OSError):
                if holds(Path(f"/proc/{pid}/{part}").read_bytes(), halves):
                    yield f"{part} {pid}"
        with suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    if holds(os.fsencode(os.readlink(f"/proc/{pid}/fd/{name}")), halves):
                        yield f"fd {pid}"
        with suppress(OSError):
            if any(holds(part, halves) for part in memory(pid)):
                yield f"memory {pid}"


def memory(pid: str) -> Iterator[bytes]:
    """Read what a process has written: what it shares with files was looked at there."""
    regions = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as all_of_it:
        for words in regions:
            begin, end = (int(number, 16) for number in words[0].split("-"))
            if words[1].startswith("rw") and end - begin <= LARGEST:
                with suppress(OSError, ValueError):
                    all_of_it.seek(begin)
                    yield all_of_it.read(end - begin)


def environment(halves: tuple[bytes, bytes]) -> Iterator[str]:
    for name, value in os.environb.items():
        if holds(value, halves) or holds(name, halves):
            yield f"own-environment {os.fsdecode(name)}"


def main() -> None:
    """Search everything."""
    asked = json.loads(os.environ.pop("ASKED"))
    first, second = (half[::-1].encode() for half in asked["halves"])
    halves = (first, second)
    pids = [str(pid) for pid in asked["pids"]] or [name for name in os.listdir("/proc") if name.isdigit()]
    found = [*environment(halves), *processes(pids, halves)]
    for top in asked["folders"] or ["/"]:
        found += files(top, asked["since"], halves, {"/proc", *asked["skipped"]})
    for place in found:
        sys.stdout.write(f"{place}\n")
    sys.stdout.write(f"searched {SEEN['files']} {SEEN['read']} {SEEN['processes']}\n")
