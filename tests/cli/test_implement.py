"""`gitwright implement` in a local clone: branches for pull requests, and nothing lost whatever is killed."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from dirty_equals import IsInt, IsPartialDict, IsStr

from bot import living
from bot.engine.lock import FileLock
from tests.cli.clones import CHECK, FILES, TITLES, Clone, backlog, interrupted, make, more_notes, new_file

FILE = "tasks/BACKLOG.yaml"
WORK = ("implement", "--backlog-file", FILE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, Any, str]:
    """An undisturbed run, which several tests look at; its working tree was not clean."""
    clone = make(tmp_path_factory.mktemp("finished"))
    clone.write(FILE, backlog())
    clone.write("README.md", "# Greet, being edited\n")
    clone.git("add", "README.md")
    before = clone.git("status", "--porcelain", "--branch")
    ran = clone.run(*WORK, "--script", str(clone.script), "--json")
    assert ran.code == 0, ran.err + ran.out
    return clone, ran.json, before


@pytest.fixture
def copied(finished: tuple[Clone, Any, str], tmp_path: Path) -> Clone:
    """What that run left, to go on from; nothing of it is merged, and the working tree is clean but for the backlog."""
    shutil.copytree(finished[0].folder, tmp_path / "clone", symlinks=True)
    clone = Clone(tmp_path / "clone", finished[0].home)
    clone.git("reset", "-q", "--hard")
    return clone


def test_each_task_ends_as_a_branch_that_holds_what_it_needs_and_nothing_else(
    finished: tuple[Clone, Any, str],
) -> None:
    clone, _, _ = finished

    def holds(branch: str) -> set[str]:
        return set(clone.git("ls-tree", "--name-only", f"{branch}:src").split())

    assert holds("agent/words/T-1-a1") == {"hello.txt", "one.txt"}
    assert holds("agent/words/T-2-a1") == {"hello.txt", "two.txt"}
    assert holds("agent/words/T-3-a1") == {"hello.txt", "one.txt", "two.txt", "both.txt"}
    assert clone.git("show", f"agent/words/T-3-a1:{FILE}").count("status: done") == 3
    assert clone.git("show", f"agent/words/T-2-a1:{FILE}").count("status: done") == 1


def test_the_working_tree_the_index_and_head_are_left_as_they_were(finished: tuple[Clone, Any, str]) -> None:
    clone, _, before = finished

    assert clone.git("status", "--porcelain", "--branch") == before
    assert clone.git("log", "--format=%s") == "Begin"
    assert (clone.folder / "README.md").read_text() == "# Greet, being edited\n"


def test_the_outcome_names_branches_their_order_and_what_was_spent(finished: tuple[Clone, Any, str]) -> None:
    _, found, _ = finished

    assert found == IsPartialDict(
        command="implement",
        status="done",
        track="words",
        merge_order=["agent/words/T-1-a1", "agent/words/T-2-a1", "agent/words/T-3-a1"],
        conflicts=[],
        problem="",
        runs=3,
        usage=IsPartialDict(usd=0.0),
    )
    assert found["tasks"][2] == {
        "id": "T-3",
        "title": TITLES["both"],
        "status": "done",
        "branch": "agent/words/T-3-a1",
        "sha": IsStr(regex="[0-9a-f]{40}"),
        "merged": False,
        "attempts": 1,
        "runs": IsInt,
        "decisions": [],
        "why": "",
    }


def test_typed_as_they_are_printed_the_last_lines_merge_everything(copied: Clone) -> None:
    clone = copied
    ran = clone.scripted(*WORK)
    typed = [line.strip() for line in ran.out.splitlines() if line.startswith("  git ")]
    for line in typed:
        subprocess.run(
            shlex.split(line), cwd=clone.folder / "src", env=clone.environment(), check=True, timeout=60
        )

    assert (ran.code, typed[0], len(typed)) == (
        0,
        f"git stash push --include-untracked -- :/{FILE}",
        4,
    ), ran.err + ran.out
    assert (clone.folder / "src" / "both.txt").exists()
    assert (clone.folder / FILE).read_text().count("status: done") == 3
    assert "is merged or dropped" not in ran.out  # nothing was, before these lines


def test_a_branch_that_conflicts_with_what_was_committed_meanwhile_is_named(copied: Clone) -> None:
    clone = copied
    clone.write("src/two.txt", "mine\n")
    clone.git("add", "src")
    clone.git("commit", "-q", "-m", "Mine")

    ran = clone.scripted(*WORK, "--json")

    assert ran.json["conflicts"] == [
        {"branches": ["main", f"agent/words/T-{number}-a1"], "files": ["src/two.txt"]} for number in (2, 3)
    ], ran.err


@pytest.mark.long
def test_another_base_than_work_began_from_is_told_and_not_used(tmp_path: Path) -> None:
    clone = make(tmp_path, runs={"one": [{"behave": "no_change"}]})
    clone.write(".github/gitwright.yml", f"test: {CHECK}\nlimits: {{attempts: 1}}\n")
    clone.git("commit", "-q", "-a", "-m", "Try once")
    clone.write(FILE, backlog(T_2={"status": "dropped"}, T_3={"status": "dropped"}))
    first = clone.scripted(*WORK)
    before = clone.git("rev-parse", "agent/words/backlog")
    again = clone.scripted(*WORK, "--base", "HEAD~1")

    told = "work has begun, so it goes on from agent/words/backlog"
    assert (first.code, told in first.out, again.code, told in again.out) == (1, False, 1, True), again.err
    assert clone.git("rev-parse", "agent/words/backlog") == before


def test_given_again_it_finds_everything_done_and_makes_nothing_twice(
    finished: tuple[Clone, Any, str],
) -> None:
    clone, found, _ = finished
    before = clone.git("for-each-ref")

    again = clone.scripted(*WORK, "--json")

    assert (again.code, clone.git("for-each-ref")) == (0, before)
    assert again.json["tasks"] == found["tasks"]


def test_git_alone_is_enough_to_find_everything_done(finished: tuple[Clone, Any, str], copied: Clone) -> None:
    clone = copied
    shutil.rmtree(clone.folder / ".git" / "gitwright")
    before = clone.git("for-each-ref")

    again = clone.scripted(*WORK, "--json")

    assert (again.code, again.json["runs"], clone.git("for-each-ref")) == (0, 0, before), again.err
    assert again.json["merge_order"] == finished[1]["merge_order"]


@pytest.mark.parametrize(
    "branch",
    [
        "agent/words/T-1-a1",
        pytest.param("agent/words/backlog", marks=pytest.mark.long),
        pytest.param("agent/words/T-3-a1", marks=pytest.mark.long),
    ],
)
def test_killed_in_the_middle_the_same_command_makes_the_same_branches(
    tmp_path: Path, finished: tuple[Clone, Any, str], branch: str
) -> None:
    clone = make(tmp_path)
    clone.write(FILE, backlog())

    def there() -> bool:
        return (clone.folder / ".git" / "refs" / "heads" / branch).exists()

    with interrupted(clone.start(*WORK, "--script", str(clone.script)), there, signal.SIGKILL):
        pass
    deadline = time.monotonic() + 60  # until its warden has ended what it had started
    while living.working_in(clone.folder):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    ran = clone.scripted(*WORK, "--json")

    assert ran.code == 0, ran.err + ran.out
    assert clone.branches() == finished[0].branches()
    assert all(task["attempts"] == 1 for task in ran.json["tasks"])
    assert list((clone.folder / ".git" / "gitwright" / "tasks").iterdir()) == []


@pytest.mark.long
def test_a_signal_ends_it_in_order_and_says_how_to_go_on(tmp_path: Path) -> None:
    clone = make(tmp_path, runs={"one": [{"behave": "stall"}]})
    clone.write(FILE, backlog(T_2={"status": "dropped"}, T_3={"status": "dropped"}))
    state = clone.folder / ".git" / "gitwright"

    def working() -> bool:
        return (state / "tasks").exists() and any("T-1" in each.name for each in (state / "tasks").iterdir())

    child = clone.start(*WORK, "--script", str(clone.script))
    with interrupted(child, working, signal.SIGTERM):
        out, err = child.communicate(timeout=60)

    assert (child.returncode, list((state / "tasks").iterdir())) == (1, [])
    assert err == "gitwright: Stopped by SIGTERM; nothing is lost. The same command goes on.\n"
    assert "Traceback" not in out


def test_merged_into_the_branch_that_is_checked_out_as_it_becomes_green(tmp_path: Path) -> None:
    clone = make(tmp_path)
    clone.write(FILE, backlog())
    clone.write("README.md", "# Greet, being edited\n")

    ran = clone.scripted(*WORK, "--merge", "--json")

    assert ran.code == 0, ran.err + ran.out
    assert (ran.json["merge_order"], [task["merged"] for task in ran.json["tasks"]]) == ([], [True] * 3)
    assert (clone.folder / "src" / "both.txt").read_text() == "both\n"
    assert (clone.folder / FILE).read_text().count("status: done") == 3
    assert clone.git("status", "--porcelain") == "M README.md"
    subjects = clone.git("log", "--first-parent", "--format=%s").splitlines()
    assert subjects[0] == "Merge branch 'agent/words/T-3-a1'"
    assert subjects[-2:] == ["Plan words", "Begin"]


@pytest.mark.long
def test_what_failed_is_told_with_its_cause_and_tried_again_by_the_same_command(tmp_path: Path) -> None:
    (tmp_path / "broken.patch").write_text(new_file("src/one.txt", "BROKEN\n"))
    settings = f"test: {CHECK}\nlimits: {{attempts: 1, fix_forward: 0, regenerations: 0}}\n"
    runs = {"one": [{"patch": "broken.patch"}, {"patch": "one.patch"}]}
    clone = make(tmp_path, {**FILES, ".github/gitwright.yml": settings}, runs)
    clone.write(FILE, backlog())

    failed = clone.scripted(*WORK)
    again = clone.scripted(*WORK, "--json")

    assert failed.code == 1
    assert (
        "T-1 blocked: Write the first word; decisions: ask person\n  why: `sh check.sh` is red" in failed.out
    )
    assert "T-2 done: Write the second word; branch agent/words/T-2-a1" in failed.out
    assert "T-3 not begun: Join both words" in failed.out
    assert "gitwright implement --backlog-file tasks/BACKLOG.yaml" in failed.out
    assert again.code == 0, again.err
    assert [task["branch"] for task in again.json["tasks"]] == [
        f"agent/words/{id_}" for id_ in ("T-1-a2", "T-2-a1", "T-3-a1")
    ]


@pytest.mark.long
def test_branches_that_conflict_are_named_with_their_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}-readme.patch").write_text(
            new_file(f"src/{name}.txt", "x\n") + new_file("NOTES", f"{name}\n")
        )
    clone = make(tmp_path, runs={name: [{"patch": f"{name}-readme.patch"}] for name in ("one", "two")})
    clone.write(FILE, backlog(T_3={"status": "dropped"}))

    ran = clone.scripted(*WORK, "--json")

    assert ran.json["conflicts"] == [
        {"branches": ["agent/words/T-1-a1", "agent/words/T-2-a1"], "files": ["NOTES"]}
    ]


@pytest.mark.long
def test_a_branch_that_conflicts_with_what_was_merged_is_rebased_and_then_merged(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}-notes.patch").write_text(new_file(f"src/{name}.txt", "x\n") + more_notes(name))
    runs = {name: [{"patch": f"{name}-notes.patch"}, {"behave": "resolve"}] for name in ("one", "two")}
    clone = make(tmp_path, runs=runs)
    clone.write(FILE, backlog(T_3={"status": "dropped"}))

    ran = clone.scripted(*WORK, "--merge", "--json")

    assert ran.code == 0, ran.err + ran.out
    assert sorted((clone.folder / "README.md").read_text().split()) == ["#", "Greet", "one", "two"]
    assert {len(task["decisions"]) for task in ran.json["tasks"][:2]} == {0, 1}
    assert [task["decisions"] for task in ran.json["tasks"] if task["decisions"]] == [["rebase_and_fix"]]


@pytest.mark.long
def test_what_was_finished_without_merging_is_merged_by_a_later_call(tmp_path: Path) -> None:
    clone = make(tmp_path)
    clone.write(FILE, backlog(T_2={"status": "dropped"}, T_3={"status": "dropped"}))
    before = clone.scripted(*WORK, "--json")
    after = clone.scripted(*WORK, "--merge", "--json")

    assert [ran.json["tasks"][0]["merged"] for ran in (before, after)] == [False, True]
    assert (after.code, after.json["runs"]) == (0, 1)
    assert (clone.folder / "src" / "one.txt").exists()


def test_what_is_in_the_way_of_one_merge_keeps_no_other_from_being_merged(copied: Clone) -> None:
    clone = copied
    clone.write("src/one.txt", "mine\n")

    ran = clone.scripted(*WORK, "--merge", "--json")

    assert [task["merged"] for task in ran.json["tasks"]] == [False, True, False], ran.err
    assert "src/one.txt" in ran.json["tasks"][0]["why"]
    assert (ran.code, (clone.folder / "src" / "one.txt").read_text()) == (1, "mine\n")


def test_two_at_once_in_one_clone_are_refused(tmp_path: Path) -> None:
    clone = make(tmp_path)
    clone.write(FILE, backlog())
    lock = FileLock(clone.folder / ".git" / "gitwright" / "local.lock")
    lock.take()
    try:
        ran = clone.typed(*WORK)
    finally:
        lock.release()

    assert ran.code == 1
    assert f"Another command (process {os.getpid()}) works in `{clone.folder}`. Wait for its end" in ran.err
    assert clone.branches() == {}


def test_every_problem_of_the_file_is_named_with_its_place_and_nothing_begins(tmp_path: Path) -> None:
    clone = make(tmp_path)
    clone.write(FILE, backlog(T_1={"kind": "easy"}, T_3={"depends_on": ["T-9"]}))

    ran = clone.typed(*WORK)
    shown = clone.typed(*WORK, "--json")

    assert (ran.code, shown.code, shown.json["status"]) == (1, 1, "invalid")
    assert "tasks/BACKLOG.yaml:7:9: error: SCHEMA: `kind`: this must be" in ran.out
    assert "error: UNKNOWN_DEP: " in ran.out
    assert {(p["code"], p["severity"]) for p in shown.json["problems"]} == {
        ("SCHEMA", "error"),
        ("UNKNOWN_DEP", "error"),
    }
    assert not (clone.folder / ".git" / "gitwright").exists()


def test_merging_needs_a_branch_and_a_clean_index(tmp_path: Path) -> None:
    clone = make(tmp_path)
    clone.write(FILE, backlog())
    clone.write("README.md", "# Staged\n")
    clone.git("add", "README.md")
    staged = clone.scripted(*WORK, "--merge")
    clone.git("reset", "-q", "--hard")
    clone.git("checkout", "-q", "--detach")
    detached = clone.scripted(*WORK, "--merge")

    assert (staged.code, "--merge needs a clean index, and README.md is staged" in staged.err) == (1, True)
    assert (detached.code, "HEAD is detached" in detached.err) == (1, True)
    assert clone.git("log", "--all", "--format=%s") == "Begin"


@pytest.mark.long
def test_red_tests_on_the_base_stop_it_with_a_remedy_and_their_repair_lets_it_go_on(tmp_path: Path) -> None:
    clone = make(tmp_path)
    clone.write(FILE, backlog(T_2={"status": "dropped"}, T_3={"status": "dropped"}))
    clone.write("src/hello.txt", "BROKEN\n")
    clone.git("commit", "-q", "-a", "-m", "Break it")
    red = clone.scripted(*WORK)
    clone.git("revert", "--no-edit", "HEAD")
    green = clone.scripted(*WORK, "--json")

    assert red.code == 1
    assert "blocking: BASELINE: " in red.out
    assert "T-1 not begun" in red.out
    assert (green.code, green.json["tasks"][0]["branch"]) == (0, "agent/words/T-1-a1")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("implement",), "Missing option '--backlog-file'"),
        (("implement", "--backlog-file", "README.md"), "must be named BACKLOG.yaml"),
        ((*WORK, "--merge", "--base", "HEAD"), "exclude each other"),
        ((*WORK, "--repo", "/"), "is in no git clone"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_hint(
    finished: tuple[Clone, Any, str], args: tuple[str, ...], said: str
) -> None:
    ran = finished[0].typed(*args)

    assert (ran.code, said in ran.err.replace("\n", " ")) == (2, True), ran.err


def test_without_a_test_command_work_waits_and_says_how_to_name_one(tmp_path: Path) -> None:
    clone = make(tmp_path, {"README.md": "# Greet\n"})
    clone.write(FILE, backlog())
    clone.git("checkout", "-q", "--detach")

    ran = clone.scripted(*WORK)

    assert ran.code == 1
    assert "blocking: BASELINE: " in ran.out
    assert "`test`" in ran.out
    assert "T-1 not begun: Write the first word" in ran.out
