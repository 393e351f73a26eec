"""A box that takes all that it can get is bounded, and the bot lives; without it there is no such bound."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import OutOfRoomError
from bot.ports import SandboxPolicy
from bot.sandbox import BwrapSandbox
from tests.support.ordinary import only_root, run_as_ordinary_user
from tests.support.walls import walls

PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
MEGABYTE = 1 << 20
# Each says `all of it` where nothing stopped it; what it takes is small, or only promised.
HUNGRY = {
    "a large file": "open('large', 'wb').truncate(2 << 30)",
    "open files": """
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(6000, hard) if hard > 0 else 6000, hard))
kept = [os.open('/dev/null', os.O_RDONLY) for _ in range(5000)]
""",
    "a core dump": """
import resource
assert resource.getrlimit(resource.RLIMIT_CORE)[1] != 0
""",
    "memory of one process": "kept = bytearray(600 << 20); kept[::4096] = b'x' * len(kept[::4096])",
    "processes": """
import signal
kept = []
try:
    for _ in range(200):
        if (pid := os.fork()) == 0: signal.pause()
        kept.append(pid)
finally:
    for pid in kept: os.kill(pid, 9)
""",
    "/dev/shm": """
try:
    with open(f'/dev/shm/gitwright-hunger-{os.getpid()}', 'wb') as file:
        for _ in range(100): file.write(bytes(1 << 20))
finally: os.unlink(file.name)
""",
}


@pytest.fixture
async def sandbox() -> BwrapSandbox:
    return await walls()


@pytest.fixture
def policy(tmp_path: Path) -> SandboxPolicy:
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    return SandboxPolicy(
        work=tmp_path / "work", home=tmp_path / "home", path=PATH, memory_bytes=300 << 20, processes=100
    )


def _naively(code: str, folder: Path) -> str:
    """Run it as a plain child."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("what", HUNGRY)
async def test_what_a_box_takes_is_bounded(
    sandbox: BwrapSandbox, policy: SandboxPolicy, tmp_path: Path, what: str
) -> None:
    code = f"import os\n{HUNGRY[what]}\nprint('all of it')"
    (tmp_path / "naive").mkdir()
    assert "all of it" in _naively(code, tmp_path / "naive")
    async with sandbox.open(policy) as box:
        assert "all of it" not in (await box.run(["python", "-c", code], timeout=60)).output
        assert (await box.run(["echo", "the box lives"], timeout=60)).output == "the box lives\n"


def _memory(word: str) -> int:
    found = re.search(rf"{word}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) << 10


async def test_who_says_much_costs_the_bot_no_memory(sandbox: BwrapSandbox, policy: SandboxPolicy) -> None:
    flood = "head -c 300000000 /dev/zero"
    assert (
        len(subprocess.run(["sh", "-c", flood], capture_output=True, check=True, timeout=60).stdout)
        == 300_000_000
    )
    async with sandbox.open(policy) as box:
        Path("/proc/self/clear_refs").write_text("5")  # the highest so far is counted from here
        before = _memory("VmHWM")
        done = await box.run(["sh", "-c", f"{flood}; echo; echo end"], timeout=60, cap=1000)
        # On one line, too, and as one that is read line by line.
        seen: list[int] = []

        async def hear(line: str) -> None:
            seen.append(len(line))

        await box.run(["sh", "-c", flood], timeout=60, cap=1000, on_line=hear)
    assert done.output.endswith("end\n")
    assert len(done.output) == 1000
    assert _memory("VmHWM") - before < 100 * MEGABYTE


async def test_who_does_not_end_is_ended_in_time(sandbox: BwrapSandbox, policy: SandboxPolicy) -> None:
    async with sandbox.open(policy) as box:
        for script in ("sleep 100", "trap '' TERM INT HUP; while :; do :; done", "yes"):
            began = time.monotonic()
            assert (await box.run(["sh", "-c", script], timeout=0.5)).code is None
            assert time.monotonic() - began < 60


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m,nr_inodes=3000", "tmpfs", place], check=True, timeout=60
    )
    yield place
    subprocess.run(["umount", "-l", place], check=True, timeout=60)


# Each stops where enough is left for what the test asks and too little for a box, until it is ended there or may go on.
FILLING = {
    "bytes": "for n in range(300):\n with open('much', 'ab') as file: file.write(bytes(1 << 20))\n if n == 230: REST",
    "files": "for n in range(5000):\n open(f'{n}', 'w').close()\n if n == 2700: REST",
}


@only_root
@pytest.mark.long
@pytest.mark.parametrize("what", FILLING)
async def test_a_box_ends_before_it_has_filled_the_disk(
    sandbox: BwrapSandbox, policy: SandboxPolicy, small_disk: Path, what: str
) -> None:
    for name in ("work", "naive"):
        (small_disk / name).mkdir()
    code = f"import time\n{FILLING[what]}"
    assert "No space left" in _naively(code.replace("REST", "pass"), small_disk / "naive")
    subprocess.run(["rm", "-rf", small_disk / "naive"], check=True, timeout=60)
    with pytest.raises(OutOfRoomError, match="disk is nearly full"):
        async with sandbox.open(replace(policy, work=small_disk / "work")) as box:
            await box.run(["python", "-c", code.replace("REST", "time.sleep(100)")], timeout=90)


@only_root
@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_same_bounds_hold_for_an_ordinary_user(sandbox: BwrapSandbox) -> None:
    run_as_ordinary_user([__file__], timeout=580)
