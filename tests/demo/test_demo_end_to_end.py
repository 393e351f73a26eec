"""The demo as people start it: a process that starts two more, on the example and on a clone of somebody's own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.demo import source
from bot.demo.dump import dump
from bot.demo.lives import read_lives
from bot.demo.options import EXAMPLE_REPO, EXAMPLES
from bot.demo.processes import RUN_VARIABLE

LIMIT = 330  # seconds; the demo's own limit is 300
KILLS = 5

pytestmark = [pytest.mark.timeout(LIMIT + 60), pytest.mark.xdist_group("demo")]


def demo(out: Path, *options: str) -> dict[str, Any]:
    """Run it to its end; gives the report of a good run, and fails with the story otherwise."""
    done = subprocess.run(command(out, *options), capture_output=True, text=True, check=False, timeout=LIMIT)
    log = out / "bot.log"
    seen = f"{done.stderr}\n{done.stdout}\n{log.read_text()[-3000:] if log.exists() else ''}"
    assert done.returncode == 0, seen
    report: dict[str, Any] = json.loads(done.stdout)
    assert report == json.loads((out / "report.json").read_text())
    return report


def command(out: Path, *options: str) -> Sequence[str]:
    return [sys.executable, "-m", "bot", "demo", "--json", "--out", str(out), *options]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the example without any disturbance."""
    out = tmp_path_factory.mktemp("plain") / "out"
    demo(out)
    return out


def good(report: dict[str, Any]) -> bool:
    assert (report["status"], report["duplicate_effects"], report["leaks"]) == ("done", 0, 0)
    assert report["plan_comments"] == 1
    assert all(task["merged"] for task in report["tasks"])
    return True


def test_the_example_goes_from_a_label_to_a_receipt(plain: Path) -> None:
    report = json.loads((plain / "report.json").read_text())
    assert good(report)
    assert (report["track"], report["model"], len(report["tasks"])) == ("issue-1", "scripted", 3)
    assert report["deleted_sessions"] >= 3 + len(report["tasks"])
    assert [task["attempts"] for task in report["tasks"]] == [1, 1, 1]
    for name in (
        "bot.pid",
        "bot.log",
        "settings.env",
        "transcript.md",
        "forge/forge.sqlite",
        "forge/requests.jsonl",
    ):
        assert (plain / name).exists()


def test_the_merged_branch_holds_all_changes_and_passes_its_tests(plain: Path, tmp_path: Path) -> None:
    source.run_git(
        ["clone", "--quiet", str(plain / "forge/repos/maintainer/durations.git"), str(tmp_path / "work")]
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "work",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "38 passed" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_a_run_that_is_killed_five_times_ends_in_the_same_state(
    plain: Path, tmp_path: Path, seed: int
) -> None:
    out = tmp_path / "out"
    assert good(demo(out, "--kills", str(KILLS), "--seed", str(seed)))
    ends = [life.end for life in read_lives(out / "bot-lives.jsonl")]
    # A run that is quicker than its plan of kills may end before the last one.
    assert ends[-1] == "in_order"
    assert set(ends[:-1]) == {"killed"}
    assert KILLS - 1 <= len(ends) - 1 <= KILLS
    assert dump(out) == dump(plain)


@pytest.mark.long
def test_a_person_may_commit_to_the_default_branch_meanwhile(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert good(demo(out, "--script", str(EXAMPLES / "script-with-person.yaml")))
    git_dir = out / "forge/repos/maintainer/durations.git"
    parsing = source.run_git([f"--git-dir={git_dir}", "show", "main:durations/parsing.py"])
    assert "write one like '1h 30m'" in parsing
    assert '"w": 7' in parsing


@pytest.mark.long
def test_a_clone_of_ones_own_is_run_from_a_revision_and_never_written(tmp_path: Path) -> None:
    clone = tmp_path / "my clone"
    shutil.copytree(EXAMPLE_REPO, clone, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    who = {
        f"GIT_{role}_{part}": "me@localhost" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")
    }
    source.run_git(["init", "--quiet", "-b", "trunk", str(clone)])
    for message in ("one", "two"):
        source.run_git(["add", "--all"], cwd=clone)
        source.run_git(["commit", "--quiet", "--allow-empty", "-m", message], cwd=clone, env=who)
    before = state_of(clone)
    report = demo(
        tmp_path / "out",
        *("--repo", str(clone), "--base", "HEAD~1"),
        *("--issue-file", str(EXAMPLES / "issue.md"), "--script", str(EXAMPLES / "script.yaml")),
        *("--test-command", f"{sys.executable} -m pytest -q -p no:cacheprovider"),
    )
    assert good(report)
    assert state_of(clone) == before
    history = source.run_git(
        [f"--git-dir={tmp_path / 'out/forge/repos/maintainer/my-clone.git'}", "log", "--format=%s", "main"]
    )
    assert "one" in history.splitlines()
    assert "two" not in history.splitlines()


@pytest.mark.parametrize("moment", ["starts the embedded forge", "labels issue #1 agent:plan"])
def test_a_signal_ends_the_demo_and_everything_it_started(tmp_path: Path, moment: str) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(
        command(out), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        assert any(moment in line for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        story, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ended by SIGTERM" in story
    assert left_of(out) == []


def test_wrong_usage_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path / "out", "--repo", str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "--issue-file" in done.stderr
    assert not (tmp_path / "out").exists()


def state_of(clone: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_nlink)
        for path in sorted([clone, *clone.rglob("*")])
    }


def left_of(out: Path) -> list[str]:
    """List processes that were started by a demo and name its folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            marked = RUN_VARIABLE.encode() in (entry / "environ").read_bytes()
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if int(entry.name) != os.getpid() and (
            str(out).encode() in line or (marked and str(out).encode() in _cwd(entry))
        ):
            found.append(line.decode())
    return found


def _cwd(entry: Path) -> bytes:
    try:
        return os.fsencode((entry / "cwd").readlink())
    except OSError:
        return b""
