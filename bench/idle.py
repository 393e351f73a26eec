"""What the bot costs while nothing happens, against a server with an empty FastAPI application.

Run: python -m bench.idle [--seconds 20]   (Linux: it reads /proc)
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.place import free_port, machine, place, scratch, started, table

SETTLE = 8.0  # seconds after the start: the first two sweeps are over, the next comes after 30 s
_TICKS = os.sysconf("SC_CLK_TCK")
_EMPTY = (
    "import sys, uvicorn, fastapi; uvicorn.run(fastapi.FastAPI(), port=int(sys.argv[1]), log_config=None)"
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process and its children took: share of a core, and resident bytes at the end."""

    cpu: float
    bytes: int

    def row(self, name: str, base: Cost) -> list[str]:
        return [
            name,
            f"{self.cpu:.2%}",
            f"{self.bytes / 1e6:.0f} MB",
            f"{self.cpu / base.cpu:.1f}" if base.cpu else "-",
            f"{self.bytes / base.bytes:.1f}",
        ]


def family(pid: int) -> list[int]:
    """List a process and all that descend from it."""
    found = [pid]
    for parent in found:
        for listed in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in listed.read_text().split()]
    return found


def ticks(pid: int) -> int:
    """Give the processor time that a process has used, with that of children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(each) for each in fields[11:15])


def resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def watch(pid: int, seconds: float) -> Cost:
    """Let it idle and look what that took."""
    time.sleep(SETTLE)
    before, began = {each: ticks(each) for each in family(pid)}, time.monotonic()
    time.sleep(seconds)
    used = sum(ticks(each) - before.get(each, 0) for each in family(pid))
    return Cost(used / _TICKS / (time.monotonic() - began), sum(map(resident, family(pid))))


def empty(seconds: float) -> Cost:
    port = free_port()
    with scratch() as folder:
        argv = [sys.executable, "-c", _EMPTY, str(port)]
        with started(argv, os.environ, folder, f"http://127.0.0.1:{port}/") as server:
            return watch(server.pid, seconds)


def bot(seconds: float) -> Cost:
    with place() as there:
        return watch(there.bot.pid, seconds)


def main() -> None:
    """Watch both, one after the other, and print them."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--seconds", type=float, default=20.0, help="how long each is watched")
    args = given.parse_args()
    base = empty(args.seconds)
    idle = bot(args.seconds)
    print(f"Idle for {args.seconds:g} s, on SQLite; {machine()}\n")
    heading = ["server", "of a core", "resident", "CPU ratio", "memory ratio"]
    print(table([heading, base.row("empty FastAPI application", base), idle.row("the bot", base)]))


if __name__ == "__main__":
    main()
