"""Whatever a command does to live on, it is dead when it was ended; without the sandbox each of them does live on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bot import living
from bot.errors import SandboxError
from bot.ports import SandboxPolicy
from bot.sandbox import BwrapSandbox

_PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
_READY = "open('ready', 'w').close(); time.sleep(60)"
_HARD = {
    "daemons": f"""
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: {_READY}
        os._exit(0)
time.sleep(60)
""",
    "who ignores signals": f"""
for number in (1, 2, 3, 15): signal.signal(number, signal.SIG_IGN)
{_READY}
""",
    "who is stopped": """
if (child := os.fork()) == 0: os.kill(os.getpid(), signal.SIGSTOP); os._exit(0)
os.waitpid(child, os.WUNTRACED)
open('ready', 'w').close(); os.kill(os.getpid(), signal.SIGSTOP)
""",
    "who holds its output open": f"""
if os.fork() == 0: os.setsid(); {_READY}
""",
    # Each generation leaves session and parent; outside it takes breath, or nobody there could end it either.
    "who is always another": """
open('ready', 'w').close()
while not os.path.exists('stop'):
    if os.fork(): os._exit(0)
    os.setsid()
    time.sleep(BREATH)
""",
    "many": """
for n in range(40):
    if os.fork() == 0:
        os.setsid()
        while True: time.sleep(60)
open('ready', 'w').close(); time.sleep(60)
""",
}
_LEAVES = {"who holds its output open", "who is always another"}  # the command itself ends, they do not
_BOMB = """
open('ready', 'w').close()
while True:
    try: os.fork()
    except OSError: pass
"""


def _python(code: str, breath: float = 0.0) -> list[str]:
    return ["python", "-c", f"import os, signal, time\n{code.replace('BREATH', str(breath))}"]


async def _until_ready(policy: SandboxPolicy) -> None:
    deadline = time.monotonic() + 50
    while not (policy.work / "ready").exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@contextmanager
def _naively(code: str, folder: Path) -> Iterator[None]:
    """Run it as a child in a session of its own, and end that as one does; whoever is left is ended after the block."""
    with subprocess.Popen(
        _python(code, breath=0.05),
        cwd=folder,
        start_new_session=True,
        env={"PATH": _PATH},
        stdout=subprocess.DEVNULL,
    ) as child:
        try:
            deadline = time.monotonic() + 50
            while not (folder / "ready").exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            time.sleep(0.1)
            _end_group(child.pid)
            time.sleep(0.2)
            yield
        finally:
            (folder / "stop").touch()
            deadline = time.monotonic() + 50
            while left := living.working_in(folder):
                assert time.monotonic() < deadline
                living.kill(left)
                time.sleep(0.01)


def _end_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGTERM)
    except ProcessLookupError:
        return  # it has left, and took nobody with it


def _somebody(folder: Path) -> bool:
    """Look until somebody is seen: who is always another may be missed at one look."""
    deadline = time.monotonic() + 30
    while not (found := living.working_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found != []


@pytest.mark.parametrize("how", _HARD)
async def test_who_wants_to_live_on_is_dead_when_it_was_ended(
    sandbox: BwrapSandbox, policy: SandboxPolicy, tmp_path: Path, how: str
) -> None:
    (tmp_path / "naive").mkdir()
    with _naively(_HARD[how], tmp_path / "naive"):
        assert _somebody(tmp_path / "naive")
    async with sandbox.open(replace(policy, path=_PATH)) as box, box.start(["cat"]) as other:
        started = time.monotonic()
        task = asyncio.create_task(box.run(_python(_HARD[how]), timeout=60))
        await _until_ready(policy)
        if how in _LEAVES:
            assert (await task).code == 0
        else:
            assert len(living.working_in(policy.work)) >= 2
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        # The other command of the box is the one that is left, and works on.
        assert len(living.working_in(policy.work)) == 1
        assert time.monotonic() - started < 55  # and none of them ends by itself before 60
        await other.say(b"still there\n")
        assert await asyncio.wait_for(other.read(100), 60) == b"still there\n"
        assert (await box.run(["echo", "and new ones"], timeout=60)).output == "and new ones\n"


@pytest.mark.parametrize("how", ["its own end", "the time-out", "the box"])
async def test_a_fork_bomb_is_dead(sandbox: BwrapSandbox, policy: SandboxPolicy, how: str) -> None:
    code = f"if os.fork() == 0:\n os.setsid()\n{_BOMB.replace(chr(10), chr(10) + ' ')}\ntime.sleep(1)"
    async with sandbox.open(replace(policy, path=_PATH, processes=60)) as box:
        if how == "the box":
            async with asyncio.TaskGroup() as group:
                running = group.create_task(_lost(box.run(_python(code + "\ntime.sleep(60)"), timeout=60)))
                await _until_ready(policy)
                assert await box.close() == []
                await running
        else:
            timeout = 60.0 if how == "its own end" else 2.0
            more = "" if how == "its own end" else "\ntime.sleep(60)"
            done = await box.run(_python(code + more), timeout=timeout)
            assert done.code == (0 if how == "its own end" else None)
            assert living.working_in(policy.work) == []
            assert (await box.run(["echo", "alive"], timeout=60)).output == "alive\n"
    assert living.working_in(policy.work) == []


async def _lost(running: object) -> None:
    with pytest.raises(SandboxError, match="closed"):
        await running  # type: ignore[misc]


async def test_who_kills_its_minder_is_dead_all_the_same(
    sandbox: BwrapSandbox, policy: SandboxPolicy
) -> None:
    code = """
minder = os.getppid()
if os.fork() == 0: os.setsid(); time.sleep(60)
os.kill(minder, SIGNAL); time.sleep(60)
"""
    async with sandbox.open(replace(policy, path=_PATH)) as box, box.start(["cat"]) as other:
        done = await box.run(_python(code.replace("SIGNAL", "9")), timeout=60)
        assert done.code == -9
        done = await box.run(_python(code.replace("SIGNAL", "signal.SIGSTOP")), timeout=1)
        assert done.code is None
        assert len(living.working_in(policy.work)) == 1
        await other.say(b"x")
        assert await asyncio.wait_for(other.read(100), 60) == b"x"


async def test_nobody_inside_ends_or_stops_process_one(sandbox: BwrapSandbox, policy: SandboxPolicy) -> None:
    async with sandbox.open(policy) as box:
        for number in ("KILL", "STOP", "INT", "TERM", "HUP", "SEGV", "CHLD"):
            await box.run(["sh", "-c", f"kill -{number} 1"], timeout=60)
        await box.run(["sh", "-c", "kill -KILL -1"], timeout=60)
        assert (await box.run(["echo", "alive"], timeout=60)).output == "alive\n"


async def test_a_box_whose_process_one_stands_still_is_ended_however_much_it_is_told(
    sandbox: BwrapSandbox, policy: SandboxPolicy
) -> None:
    async with asyncio.timeout(200), sandbox.open(policy) as box:
        namespace = box._namespace
        assert namespace is not None
        signal.pidfd_send_signal(namespace._handle, signal.SIGSTOP)
        with pytest.raises(SandboxError, match="took no orders"):
            await box.run(["cat"], timeout=1, stdin=b"x" * (1 << 20))
    assert living.working_in(policy.work) == []
