"""The run as a whole fails when a judge found something, judged nothing, or was switched off."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_CONFTEST = 'pytest_plugins = ["tests.judges.plugin"]\n'
_SETTINGS = """
[pytest]
judge_complete_for =
    GET /repos/{owner}/{repo}/labels/{name}
"""
_TEST = """
import json
import pytest
from tests.judges.sample import LABEL

@pytest.mark.parametrize("name", ["bug", "other"])
def test_a_label_is_read(judge, name):
    answer = json.dumps({**LABEL, **CHANGE}).encode()
    judge.check_response("GET", "/repos/o/r/labels/" + name, 200, {"content-type": "application/json"}, answer)
"""


def run_suite(
    folder: Path, *options: str, change: str = "{}", judge: str = "on", event: str = ""
) -> subprocess.CompletedProcess[str]:
    """A pytest run of its own, over two tests that each have the judge read one label."""
    (folder / "conftest.py").write_text(_CONFTEST)
    (folder / "pytest.ini").write_text(f"{_SETTINGS}    {event}\n")
    (folder / "test_suite.py").write_text(f"CHANGE = {change}\n{_TEST}")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "xdist", *options, str(folder)]
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JUDGE": judge,
        "PYTEST_ADDOPTS": "",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False
    )


def test_a_complete_and_clean_run_passes_alone_and_with_workers(tmp_path: Path) -> None:
    for workers in ((), ("-n", "2")):
        done = run_suite(tmp_path, "--judge-complete", *workers)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "2 answers of 1 operations" in done.stdout


def test_a_judge_that_is_switched_off_fails_the_complete_run(tmp_path: Path) -> None:
    done = run_suite(tmp_path, "--judge-complete", judge="off")
    assert done.returncode == 1
    assert "2 passed" in done.stdout
    assert "never judged with success: GET /repos/{owner}/{repo}/labels/{name}" in done.stdout


def test_an_event_that_nobody_judged_fails_the_complete_run(tmp_path: Path) -> None:
    done = run_suite(tmp_path, "--judge-complete", event="issues.labeled")
    assert done.returncode == 1
    assert "never judged with success: issues.labeled" in done.stdout


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "with workers"])
def test_a_violation_fails_its_test_and_the_run_also_in_a_part_of_the_suite(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    done = run_suite(tmp_path, *workers, "-k", "bug", change='{"color": 7}')
    assert done.returncode == 1
    assert '/color: 7 is not of type "string"' in done.stdout
    assert "1 passed" in done.stdout
    assert "1 error" in done.stdout  # what looks for violations comes after the test
    assert "1 violations" in done.stdout


def test_a_part_of_the_suite_need_not_be_complete(tmp_path: Path) -> None:
    done = run_suite(tmp_path, "-k", "nothing_of_this_name", judge="off")
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "never judged" not in done.stdout
