"""Owns where benchmarks run: the embedded forge and the bot as real processes, and what the machine says about them."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import httpx

from bot.demo.options import Options, Wish, choose
from bot.demo.processes import Child
from bot.demo.script import read_script
from bot.demo.stage import Stage, environment, set_up, start_forge

GRACE = 15.0  # seconds in which a process is to end
READY = 60.0  # seconds in which a server is to answer
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Place:
    """A forge with a repository, and a bot that serves it."""

    stage: Stage
    bot: Child
    options: Options

    @property
    def webhook(self) -> str:
        return f"http://127.0.0.1:{self.stage.port}/webhook"

    @property
    def requests(self) -> Path:
        """The forge's record of every call that it saw."""
        return self.options.out / "forge" / "requests.jsonl"


@contextmanager
def scratch() -> Iterator[Path]:
    """Lend a folder; it is removed at the end, and where the benchmark is told to end before."""
    # Said for both: a benchmark in the background of a script would inherit that SIGINT is ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    with tempfile.TemporaryDirectory(prefix="gitwright-bench-") as folder:
        yield Path(folder)


def _leave(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # tidying up takes a while on a busy machine
    raise SystemExit(128 + number)


@contextmanager
def place(**settings: str) -> Iterator[Place]:
    """Start forge and bot in a temporary folder; `settings` are the bot's, beside those that it needs."""
    with scratch() as folder:
        options = replace(choose(Wish(out=folder)), time_limit=0)
        run = uuid.uuid4().hex
        forge, url, token = start_forge(run, options)
        try:
            stage = set_up(options, read_script(options.script), url, token)
            try:
                env = environment(run, options, {**stage.settings, **settings})
                serve = [sys.executable, "-m", "bot", "serve"]
                with started(serve, env, options.out, f"http://127.0.0.1:{stage.port}/healthz") as bot:
                    yield Place(stage, bot, options)
            finally:
                stage.close()
        finally:
            forge.stop(GRACE)


@contextmanager
def started(argv: Sequence[str], env: Mapping[str, str], folder: Path, health: str) -> Iterator[Child]:
    """Run a server while the block lasts; it has answered at `health` before."""
    child = Child(argv, env=env, cwd=folder, log=folder / "server.log")
    try:
        _wait(child, health, folder / "server.log")
        yield child
    finally:
        child.stop(GRACE)


def _wait(child: Child, health: str, log: Path) -> None:
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline and child.code is None:
        try:
            if httpx.get(health, timeout=2, trust_env=False).status_code < 500:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise SystemExit(f"a server did not start:\n{log.read_text()[-2000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value that this share of all does not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


def machine() -> str:
    """Name what it was measured on."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True, timeout=10)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{os.cpu_count()} cores ({model}), Python {python}, {git.stdout.strip()}, load {load}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows, the first being the heading, as a Markdown table."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])
