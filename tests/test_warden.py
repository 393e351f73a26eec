"""The warden beside the bot: it is there before the first child, ends with the bot, and is replaced where it died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot import living
from bot.warden import LIMIT_SECONDS, Warden


@pytest.fixture
def warden() -> Warden:
    return Warden()


def _child(warden: Warden, mark: str = "") -> subprocess.Popen[bytes]:
    environment = {"PATH": os.environ["PATH"], living.MARK: mark or f"{warden.run}.x"}
    return subprocess.Popen(["sleep", "61"], env=environment, start_new_session=True)


def test_a_warden_that_is_dismissed_ends_at_once_and_takes_the_children_along(warden: Warden) -> None:
    warden.watch()
    pid = warden.pid
    assert pid is not None
    child, stranger = _child(warden), _child(warden, "other.x")
    try:
        warden.dismiss()
        assert child.wait(60) == -signal.SIGKILL
        _until_ended(pid)
        assert stranger.poll() is None
    finally:
        for process in (child, stranger):
            process.kill()
            process.wait(60)


def test_a_warden_that_died_is_replaced_with_the_next_child(warden: Warden) -> None:
    warden.watch()
    first = warden.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while warden.pid == first:
        assert time.monotonic() < deadline
        warden.watch()
    child = _child(warden)
    warden.dismiss()
    assert child.wait(60) == -signal.SIGKILL


def test_the_warden_of_a_killed_process_ends_soon() -> None:
    code = (
        "from bot.warden import Warden; import os; w = Warden(); w.watch(); "
        "print(w.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    repo = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repo, capture_output=True, text=True, timeout=60, check=False
    )
    _until_ended(int(done.stdout))


def _until_ended(pid: int) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS / 2  # one that looks in vain would give up at the limit
    while _state(pid) != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
