"""Benchmarks run to their end on small numbers, and leave nothing behind when they are told to end before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_REPO = Path(__file__).parents[1]
_SECONDS = 60.0  # until something that must happen counts as not happening


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.many_branches", "--files", "40", "--branches", "6"]
    process = subprocess.Popen(
        command,
        cwd=_REPO,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=_SECONDS)


def test_a_benchmark_measures_and_removes_its_folder(bench: subprocess.Popen[str], tmp_path: Path) -> None:
    said, told = bench.communicate(timeout=_SECONDS)
    assert bench.returncode == 0, told
    assert "forecast for 6 branches (1 conflicts)" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_benchmark_that_is_interrupted_removes_its_folder(
    bench: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    assert bench.stderr is not None
    assert "making a repository" in bench.stderr.readline()
    assert "a clone and a worktree" in bench.stderr.readline()
    assert list(tmp_path.glob("gitwright-bench-*"))
    bench.send_signal(number)
    bench.communicate(timeout=_SECONDS)
    assert bench.returncode != 0
    assert list(tmp_path.iterdir()) == []
