"""A bot that is killed: whatever the moment, no box and no other child of it lives on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.ports import SandboxPolicy
from bot.sandbox import BwrapSandbox

_REPO = Path(__file__).parents[2]
_SECONDS = 60  # for the last process to be gone after the kill
_LOOKS = 10  # in a row that find nobody
_BOXES = """\
import asyncio, pathlib, sys
from bot.ports import SandboxPolicy
from bot.sandbox import BwrapSandbox
async def one(folder):
    for name in ("work", "home"):
        (folder / name).mkdir(parents=True)
    async with BwrapSandbox(program=sys.argv[2]).open(SandboxPolicy(work=folder / "work", home=folder / "home")) as box:
        await box.run(["sleep", "300"], timeout=300)
async def main():
    print("ready", flush=True)
    await asyncio.gather(*(one(pathlib.Path(sys.argv[1]) / str(n)) for n in range(6)))
asyncio.run(main())
"""
# One ignores signals and leads the others, one left group and session, one has lost its environment.
_CHILDREN = """\
import asyncio, os, sys
from bot import process
script = '''trap "" TERM HUP INT
(setsid "$0" 300 &)
env -i "$0" 300 &
echo ready
"$0" 300'''
async def main():
    async def tell(line):
        print(line, flush=True)
        if "at once" in sys.argv:
            os._exit(3)
        if "in order" in sys.argv:
            raise SystemExit(3)
    program = f"{sys.argv[1]}/sleep"
    await process.run(["sh", "-c", script, program], env={"PATH": os.environ["PATH"]}, timeout=300, on_line=tell)
asyncio.run(main())
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the user of the boxes can walk into; its name is in the command line of all that is started."""
    with tempfile.TemporaryDirectory(prefix="gitwright-death-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def _host(code: str, place: Path, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a bot-like process until the block ends, then kill it as a crash would: it alone, and at once."""
    environment = {**os.environ, "PYTHONPATH": str(_REPO)}
    command = [sys.executable, "-c", code, str(place), *args]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as host:
        try:
            assert host.stdout is not None
            assert host.stdout.readline() == b"ready\n"
            yield host
        finally:
            host.send_signal(signal.SIGKILL)
            host.wait(60)


def _alive(place: Path) -> dict[int, str]:
    """Find living processes that name the folder; one between fork and exec still bears its parent's command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(place) in line:
                found[int(entry.name)] = line[:100]
    return found


def _none_lives_on(place: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    left: dict[int, str] = {}
    empty = 0
    # One empty look proves nothing: a process that just becomes another program has no command line for a moment.
    while empty < _LOOKS and time.monotonic() < deadline:
        left = _alive(place)
        empty = 0 if left else empty + 1
        time.sleep(0.02)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == {}


def _slow(place: Path, seconds: float) -> str:
    """A bubblewrap that takes its time before it can ask for its end with its parent."""
    program = place / "slow-bwrap"
    program.write_text(f'#!/bin/sh\nsleep {seconds}\nexec bwrap "$@"\n')
    program.chmod(0o755)
    return str(program)


@pytest.mark.usefixtures("sandbox")
def test_no_box_outlives_a_host_killed_before_the_box_knows_its_parent(place: Path) -> None:
    with _host(_BOXES, place, _slow(place, 0.8)):
        deadline = time.monotonic() + 60
        while not any(line.startswith(f"/bin/sh {place}/slow-bwrap") for line in _alive(place).values()):
            assert time.monotonic() < deadline
    _none_lives_on(place)


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.long)])
def test_no_box_outlives_a_host_killed_at_any_moment(place: Path, kills: int) -> None:
    moment = random.Random(11)
    for number in range(kills):
        folder = place / str(number)
        folder.mkdir()
        with _host(_BOXES, folder, "bwrap"):
            time.sleep(moment.uniform(0, 0.15))
        _none_lives_on(folder)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="does not apply: needs /proc")
@pytest.mark.parametrize("end", ["killed", "at once", "in order"])
def test_no_other_child_outlives_its_host_however_that_ends(place: Path, end: str) -> None:
    (place / "sleep").symlink_to("/bin/sleep")
    with _host(_CHILDREN, place, end) as host:
        assert end == "killed" or host.wait(60) == 3
    _none_lives_on(place)


async def test_a_box_does_not_end_with_a_thread(sandbox: BwrapSandbox, policy: SandboxPolicy) -> None:
    loop = asyncio.get_running_loop()
    async with sandbox.open(policy) as box:
        with ThreadPoolExecutor(2) as threads:
            await loop.run_in_executor(threads, time.sleep, 0.01)
            running = asyncio.create_task(
                box.run(["sh", "-c", "echo >ready; sleep 1; echo done"], timeout=60)
            )
            while not (policy.work / "ready").exists():
                await loop.run_in_executor(threads, time.sleep, 0.01)
        assert (await running).output == "done\n"
