"""Owns looking at the processes of a box from its process 1, and killing those that do not want to be."""

from __future__ import annotations

import os
import time

from bot.sandbox.inside import kernel

LOOK_SECONDS = 0.003
_FREEZE_SECONDS = 3.0


def table() -> dict[int, tuple[int, bytes]]:
    """List the processes of the box: parent and state."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib takes longer to load than all the rest
        if name.isdigit():
            try:
                number = os.open(f"/proc/{name}/stat", os.O_RDONLY)
                try:
                    fields = os.read(number, 1024).rpartition(b")")[2].split()
                finally:
                    os.close(number)
            except OSError:
                continue  # it has ended
            found[int(name)] = (int(fields[1]), fields[0])
    return found


def below(above: set[int], table: dict[int, tuple[int, bytes]]) -> set[int]:
    """Find the descendants that are no zombies."""
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in table.items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    front = list(above)
    while front:
        more = [pid for pid in children.get(front.pop(), ()) if pid not in found]
        found.update(more)
        front += more
    return {pid for pid in found if table[pid][1] not in (b"Z", b"X")}


def send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def freeze_and_kill(minders: set[int], minder: int = 0) -> None:
    """Stop everybody at once, kill who has no other living minder than this one, let the rest go on.

    One signal to all reaches forks in progress too, so nobody can outrun it by forking.
    """
    deadline = time.monotonic() + _FREEZE_SECONDS
    while time.monotonic() < deadline:
        send(-1, kernel.SIGSTOP)
        seen = table()
        spared = below(minders, seen) | minders | {1, minder}
        still = {pid for pid, (_, state) in seen.items() if pid not in spared and state not in (b"Z", b"X")}
        for pid in still:
            send(pid, kernel.SIGKILL)
        awake = [pid for pid, (_, state) in seen.items() if pid != 1 and state in (b"R", b"S")]
        if not still and not awake:
            break
        time.sleep(LOOK_SECONDS)
    send(-1, kernel.SIGCONT)
