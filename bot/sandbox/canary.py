"""Owns the program that tries, inside a box, what must fail there: a word for each wall that is missing, then `alive`.

It runs alone in the box, read from standard input, so it uses Python's own library only:
`python3 - FILE TOKEN PROCESSES MEMORY HIDDEN...`. FILE is the host's and holds TOKEN reversed, as do environment and
arguments of a process of the host; the box is bounded to so many PROCESSES and bytes of MEMORY (0: not, as a whole). The
HIDDEN are the host's, and can be read by whoever sees them.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

GIVEN = {"PATH", "HOME", "LANG", "TMPDIR", "TERM", "HOSTNAME", "PWD", "container"}
ADDRESSES = (("169.254.169.254", 80), ("192.0.2.1", 443))  # where clouds keep secrets; an address of nobody's
FAMILIES = ((40, 1, 0), (16, 3, 15), (17, 3, 0), (38, 5, 0), (15, 3, 2))  # vsock, netlink, packet, alg, key
PLACES = {"/tmp": 2 << 30, "/dev/shm": 1 << 30}  # noqa: S108 - they are looked at
WRITTEN = "canary"  # in the working directory: its owner shows who wrote it
MOST_SEEN = 12
CHILDREN = 6
SECONDS = 10.0  # for what is started at once to do its work


def may(path: str, flags: int) -> bool:
    """Say whether a file can be opened so; one that was made for it is removed."""
    with suppress(OSError):
        os.close(os.open(path, flags, 0o600))
        if flags & os.O_CREAT:
            os.unlink(path)  # noqa: PTH108
        return True
    return False


def holds(path: str, token: bytes) -> bool:
    """Say whether a file can be read and holds it."""
    with suppress(OSError):
        return token in Path(path).read_bytes()
    return False


def files(secret: str, token: bytes) -> Iterator[str]:
    """Try what a box may not read or write."""
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    if may("/usr/gitwright-canary", new):
        yield "writes-system"
    if may("/gitwright-canary", new):
        yield "writes-root"
    if may(f"{secret}.new", new):
        yield "writes-host"
    if may("/proc/sys/kernel/core_pattern", os.O_WRONLY):
        yield "writes-kernel"
    try:
        Path(WRITTEN).touch()
    except OSError:
        yield "cannot-work"
    if holds(secret, token):
        yield "reads-host"
    for place, most in PLACES.items():
        with suppress(OSError):
            found = os.statvfs(place)
            if found.f_blocks * found.f_frsize > most:
                yield "unbounded-temporary-space"


def processes(token: bytes) -> Iterator[str]:
    """Look at who else is there, and at who we are."""
    pids = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    if len(pids) > MOST_SEEN:
        yield "sees-processes"
    if any(holds(f"/proc/{pid}/environ", token) for pid in pids):
        yield "reads-environments"
    if any(holds(f"/proc/{pid}/cmdline", token) for pid in pids):
        yield "reads-arguments"
    with suppress(OSError):
        given = Path("/proc/1/environ").read_bytes().decode("utf-8", "replace").split("\0")
        if {text.partition("=")[0] for text in given if text} - GIVEN:
            yield "leaks-environment"
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    if int(status.get("CapEff", "0"), 16):
        yield "has-capabilities"
    if status.get("NoNewPrivs") == "0":
        yield "gains-privileges"


def network() -> Iterator[str]:
    """Try to get out."""
    names = [line.partition(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    if set(names) - {"lo"}:
        yield "network"
    for address in ADDRESSES:
        try:
            socket.create_connection(address, 0.3).close()
            yield "network"
        except TimeoutError:
            yield "network"  # there is a way, if nobody at its end
        except OSError:
            continue
    for family, kind, protocol in FAMILIES:
        with suppress(OSError):
            socket.socket(family, kind, protocol).close()
            yield "sockets"


def children(count: int, work: Callable[[], object]) -> int:
    """Start so many at once, and count those that did their work and live beside the others."""
    read_end, write_end = os.pipe()
    pids = []
    for _ in range(count):
        try:
            pid = os.fork()
        except OSError:
            break
        if pid == 0:
            try:
                kept = work()
                os.write(write_end, b".")
                signal.pause()
                del kept
            finally:
                os._exit(0)
        pids.append(pid)
    done, dead, deadline = 0, set[int](), time.monotonic() + SECONDS
    while done + len(dead) < len(pids) and time.monotonic() < deadline:
        if select.select([read_end], [], [], 0.02)[0]:
            done += len(os.read(read_end, count))
        dead |= {pid for pid in set(pids) - dead if os.waitpid(pid, os.WNOHANG)[0]}
    alive = {pid for pid in set(pids) - dead if os.waitpid(pid, os.WNOHANG)[0] == 0}
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(alive)


def bounds(most: int, memory: int) -> Iterator[str]:
    """Take more than there is."""
    if children(most + 20, int) >= most + 20:
        yield "unbounded-processes"
    part = memory // 4
    if memory and children(CHILDREN, lambda: b"x" * part) >= CHILDREN:
        yield "unbounded-memory"


def unseen(hidden: Iterable[str]) -> Iterator[str]:
    """Try to read what the bot keeps."""
    if any(may(path, os.O_RDONLY) for path in hidden):
        yield "reads-data"


def main(secret: str, token: str, most: int, memory: int, hidden: Sequence[str]) -> None:
    """Say what is missing."""
    wanted = token[::-1].encode()
    tries = (files(secret, wanted), unseen(hidden), processes(wanted), network(), bounds(most, memory))
    for wall in tries:
        for missing in wall:
            sys.stdout.write(f"{missing}\n")
            sys.stdout.flush()
    sys.stdout.write("alive\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
