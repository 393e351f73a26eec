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
import yaml

from bot.demo import source
from bot.demo.dump import dump
from bot.demo.lives import read_lives
from bot.demo.options import EXAMPLE_REPO, EXAMPLES
from bot.demo.processes import RUN_VARIABLE

LIMIT = 330  # seconds; the demo's own limit is 300
KILLS = 5
DECISIONS = {"T-1": ["rebase"], "T-2": ["regenerate"], "T-3": ["rebase_and_fix"], "T-4": ["fix_forward"]}

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


@pytest.mark.long
def test_the_example_goes_from_a_label_to_a_receipt(plain: Path) -> None:
    report = json.loads((plain / "report.json").read_text())
    assert good(report)
    assert (report["track"], report["model"], len(report["tasks"])) == ("issue-1", "scripted", 4)
    assert report["deleted_sessions"] >= 3 + sum(task["runs"] for task in report["tasks"])
    assert [(task["attempts"], task["runs"]) for task in report["tasks"]] == [(1, 1), (2, 2), (1, 2), (1, 2)]
    assert decisions(report) == DECISIONS
    for name in (
        "bot.pid",
        "bot.log",
        "settings.env",
        "transcript.md",
        "forge/forge.sqlite",
        "forge/requests.jsonl",
    ):
        assert (plain / name).exists()


@pytest.mark.long
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
    assert "47 passed" in done.stdout


@pytest.mark.long
def test_git_shows_what_each_decision_did(plain: Path) -> None:
    report = json.loads((plain / "report.json").read_text())
    pulls = {task["id"]: task["pr"] for task in report["tasks"]}
    git = [f"--git-dir={plain / 'forge/repos/maintainer/durations.git'}"]

    def own(task: str) -> list[str]:
        """Messages of the commits that a pull request adds, oldest first."""
        log = ["log", "--reverse", "--format=%B%x00", f"refs/pull/{pulls[task]}/head"]
        return source.run_git([*git, *log, f"^{base(task)}"]).split("\0")[:-1]

    def base(task: str) -> str:
        (merge,) = source.run_git(
            [
                *git,
                "log",
                "--merges",
                "--format=%H",
                f"--grep=^Merge pull request #{pulls[task]} from",
                "main",
            ]
        ).splitlines()
        return f"{merge}^1"

    # Rebased onto the colleague's commit, whose line in the backlog stands above the one of the task.
    assert [decided(message) for message in own("T-1")] == ["rebase"]
    assert "    # agreed in the meeting: no months, no years\n    status: done" in source.run_git(
        [*git, "show", f"refs/pull/{pulls['T-1']}/head:tasks/issue-1/BACKLOG.yaml"]
    )
    # Begun anew, from a spec whose second version lies in the commit; of the first attempt nothing was pushed.
    assert [decided(message) for message in own("T-2")] == ["regenerate"]
    spec = source.run_git([*git, "show", f"refs/pull/{pulls['T-2']}/head:tasks/issue-1/specs/T-2.md"])
    assert "**Version 2** (reason `messy_run`" in spec
    branches = source.run_git([*git, "branch", "--list", "agent/issue-1/T-2-*"]).split()
    assert branches == ["agent/issue-1/T-2-a2"]
    # Rebased, and both sides of the conflict kept.
    assert [decided(message) for message in own("T-3")] == ["rebase_and_fix"]
    both = source.run_git([*git, "show", f"refs/pull/{pulls['T-3']}/head:durations/__init__.py"])
    assert both.count("round_duration") == both.count("total_duration") == 2
    # A commit appended on the same pull request.
    assert [decided(message) for message in own("T-4")] == ["", "fix_forward"]


@pytest.mark.long
def test_pull_requests_and_receipt_name_what_was_decided(plain: Path) -> None:
    text = (plain / "transcript.md").read_text()
    assert "**Spec:** version 2, improved from what earlier attempts showed." in text
    assert "**Decided on the way:** `regenerate`; `/agent why T-2` tells from what." in text
    assert "| task | pull request | attempts | runs | decided on the way |" in text


def decided(message: str) -> str:
    return message.partition("Decided on the way: ")[2].partition("\n\n")[0].strip()  # trailers follow


def decisions(report: dict[str, Any]) -> dict[str, list[str]]:
    return {task["id"]: task["decisions"] for task in report["tasks"]}


def without(fault: str, script: dict[str, Any]) -> None:
    """Take one fault out of the example's script."""
    if fault == "T-4":
        script["ci"] = None  # CI asks for no more than the agents' tests do
    elif fault == "T-2":
        (entry,) = [task for task in script["tasks"] if "format_duration" in task["match"]]
        entry["runs"] = entry["runs"][1:]
    else:
        patch = {"T-1": "patches/note.patch", "T-3": "patches/total.patch"}[fault]
        script["people"] = [person for person in script["people"] if person["patch"] != patch]


@pytest.mark.long
@pytest.mark.parametrize("faults", [tuple(DECISIONS), *((task,) for task in DECISIONS)], ids="-".join)
def test_without_the_fault_the_decision_is_gone(tmp_path: Path, faults: tuple[str, ...]) -> None:
    example = Path(shutil.copytree(EXAMPLES, tmp_path / "examples"))
    script = yaml.safe_load((example / "script.yaml").read_text())
    for fault in faults:
        without(fault, script)
    (example / "script.yaml").write_text(yaml.safe_dump(script))
    report = demo(tmp_path / "out", "--script", str(example / "script.yaml"))
    assert good(report)
    assert decisions(report) == {task: [] if task in faults else kinds for task, kinds in DECISIONS.items()}


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
def test_the_second_example_has_other_faults_and_another_test_runner(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    example, out = EXAMPLES / "slugs", tmp_path / "out"
    report = demo(
        out,
        *("--repo", str(example / "slugs"), "--issue-file", str(example / "issue.md")),
        *("--script", str(example / "script.yaml"), "--test-command", "node --test"),
    )
    assert good(report)
    assert decisions(report) == {"T-1": [], "T-2": ["rerun"], "T-3": ["wait_for_base", "rebase"]}
    # The crash of T-1 and the wait of T-3 cost an attempt each; the flaky test of T-2 costs none.
    assert [task["attempts"] for task in report["tasks"]] == [2, 1, 2]
    text = (out / "transcript.md").read_text()
    assert "| Write letters with accents without them |" in text
    assert "`node --test` (red, then passed on the same commit)" in text
    assert "failed once and passed on the same commit" in text
    git = [f"--git-dir={out / 'forge/repos/maintainer/slugs.git'}"]
    head = f"refs/pull/{report['tasks'][2]['pr']}/head"
    # The colleague's commit on the branch stays: the default branch was merged into it.
    assert len(source.run_git([*git, "rev-list", "--parents", "-1", head]).split()) == 3
    assert source.run_git([*git, "log", "--format=%an", "-1", f"{head}^1"]) == "colleague"


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
        story, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "ended by SIGTERM" in story
    assert left_of(out) == []


def test_wrong_usage_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path / "out", "--repo", str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
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
