"""What passes only the second time is named, and a run in which that is the rule fails: real runs of pytest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.again import MOST

ROOT = Path(__file__).parents[1]
# Fails the first time, and passes the second.
FLAKY = """
import pathlib
import pytest

@pytest.mark.parametrize("n", range({tests}))
def test_of_a_machine(n):
    seen = pathlib.Path(__file__).with_name(f"seen-{{n}}")
    if not seen.exists():
        seen.touch()
        raise AssertionError("the machine stood still")
"""


def _run(folder: Path, source: str, *more: str) -> tuple[int, str]:
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.again", "-p", "no:cacheprovider"]
    command += ["-c", "/dev/null", "--rootdir", str(folder), *more, str(folder)]
    env = {**os.environ, "PYTEST_ADDOPTS": ""}
    ended = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "in workers"])
def test_what_passed_the_second_time_is_named(tmp_path: Path, workers: tuple[str, ...]) -> None:
    code, printed = _run(tmp_path, FLAKY.format(tests=1), "--reruns", "1", *workers)
    assert code == 0, printed
    assert "failed, and were run once more" in printed
    assert "test_it.py::test_of_a_machine[0]" in printed
    assert "AssertionError: the machine stood still" in printed
    assert "1 passed, 1 rerun" in printed


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "in workers"])
def test_more_than_a_few_fail_the_run(tmp_path: Path, workers: tuple[str, ...]) -> None:
    code, printed = _run(tmp_path, FLAKY.format(tests=MOST + 1), "--reruns", "1", *workers)
    assert code == 1, printed
    assert f"more than {MOST}: the run counts as failed" in printed


def test_what_fails_twice_has_failed(tmp_path: Path) -> None:
    code, printed = _run(tmp_path, "def test_it():\n    assert False\n", "--reruns", "1")
    assert code == 1
    assert "1 failed, 1 rerun" in printed


def test_nothing_is_run_once_more_where_nobody_asks_for_it(tmp_path: Path) -> None:
    code, printed = _run(tmp_path, FLAKY.format(tests=1))
    assert code == 1
    assert "1 failed" in printed
    assert "rerun" not in printed
