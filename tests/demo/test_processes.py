import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from bot.demo.processes import RUN_VARIABLE, Child, end_all, living

GRANDCHILD = (
    "import subprocess, sys, time; "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True); "
    "print('ready', flush=True); time.sleep(60)"
)


class Started(Protocol):
    def __call__(self, code: str) -> Child: ...


@pytest.fixture
def run() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def start(run: str, tmp_path: Path) -> Iterator[Started]:
    """Start Python code as a process of the run, ready when it says so; whatever of it is left is ended."""
    children: list[Child] = []

    def begin(code: str) -> Child:
        argv = [sys.executable, "-c", code]
        env = {**os.environ, RUN_VARIABLE: run}
        child = Child(argv, env=env, cwd=tmp_path, log=tmp_path / "log", pipe=True)
        children.append(child)
        assert child.process.stdout is not None
        assert child.process.stdout.readline() == b"ready\n"
        child.process.stdout.close()
        return child

    yield begin
    for child in children:
        child.stop(0)
    end_all(living(run))
    end = time.monotonic() + 60
    while living(run):
        assert time.monotonic() < end, "a process cannot be killed"
        time.sleep(0.02)


def test_a_grandchild_that_outlives_its_killed_parent_is_found(run: str, start: Started) -> None:
    child = start(GRANDCHILD)
    assert len(living(run)) == 2
    child.kill_alone()
    assert child.code == -signal.SIGKILL
    assert len(living(run)) == 1


def test_processes_of_another_run_are_not_ours(run: str, start: Started) -> None:
    start(GRANDCHILD)
    assert living(uuid.uuid4().hex) == []


def test_a_process_that_ignores_sigterm_is_killed_with_its_group(run: str, start: Started) -> None:
    stubborn = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    child = start(stubborn)
    assert child.stop(0.2) == -signal.SIGKILL
    assert living(run) == []


def test_a_process_that_ends_in_order_says_so(start: Started) -> None:
    polite = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(0)); print('ready', flush=True); time.sleep(60)"
    assert start(polite).stop(60) == 0
