from pathlib import Path

import pytest
import yaml

from bot.core.planning import PlanProposal, structured_merge
from bot.demo.options import EXAMPLE_REPO, EXAMPLES, MARK, Wish, choose, empty_out, read_issue
from bot.demo.script import read_script
from bot.demo.source import is_plain, plant, run_git
from bot.errors import UserError

SCRIPTS = sorted(EXAMPLES.rglob("script.yaml"))


def test_a_repository_of_ones_own_needs_issue_and_script(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--issue-file and --script"):
        choose(Wish(out=tmp_path, repo=tmp_path))


def test_a_base_needs_a_repository(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--base"):
        choose(Wish(out=tmp_path, base="HEAD~1"))


def test_only_a_folder_of_an_earlier_demo_is_emptied(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("three years")
    with pytest.raises(UserError, match="not from an earlier demo"):
        empty_out(tmp_path)
    assert precious.exists()
    out = tmp_path / "out"
    empty_out(out)
    (out / "forge").mkdir()  # however early the run before this one ended
    empty_out(out)
    assert not (out / "forge").exists()
    with pytest.raises(UserError, match="cannot be made"):
        empty_out(precious / "out")


def test_a_folder_of_an_earlier_version_is_emptied_too(tmp_path: Path) -> None:
    (tmp_path / "forge").mkdir()
    with pytest.raises(UserError, match="not from an earlier demo"):
        empty_out(tmp_path)  # anybody may have such a folder
    (tmp_path / "settings.env").touch()
    empty_out(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [MARK]


def test_the_mark_is_there_until_all_else_is_gone_and_after_that(tmp_path: Path) -> None:
    empty_out(tmp_path)
    (tmp_path / MARK).write_text("the same")
    (tmp_path / "bot" / "locked").mkdir(parents=True)
    (tmp_path / "link").symlink_to(EXAMPLES)
    empty_out(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [MARK]
    assert (tmp_path / MARK).read_text() == "the same"
    assert EXAMPLES.is_dir()


def test_an_issue_file_is_title_and_body(tmp_path: Path) -> None:
    path = tmp_path / "issue.md"
    path.write_text("# The title\n\nThe\nbody.\n")
    assert read_issue(path) == ("The title", "The\nbody.")
    path.write_text("\n\n")
    with pytest.raises(UserError, match="title"):
        read_issue(path)
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(UserError, match="UTF-8"):
        read_issue(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_script(path)


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ("[{when: {task: x, event: closed}, patch: p}]", "one of pr_opened, merged, waits"),
        ("[{when: {task: x, event: waits}, branch: task, patch: p}]", "branch must be default"),
        ("[{when: {task: x, event: merged}, branch: mine, patch: p}]", "branch must be default"),
        ("[{when: {task: x, event: merged}, patch: nothing}]", "no file"),
        ("[{when: {task: '(', event: merged}, patch: p}]", "regular expression"),
        ("[{patch: p}]", "must look like"),
        ("{}: 1", "cannot be read"),
        ("{a: 1}", "must be a list"),
    ],
)
def test_a_wrong_person_in_a_script_is_named(tmp_path: Path, people: str, message: str) -> None:
    (tmp_path / "p").touch()
    script = tmp_path / "script.yaml"
    script.write_text(f"people: {people}\n")
    with pytest.raises(UserError, match=message):
        read_script(script)


def test_the_example_has_agreement_a_majority_a_minority_and_dependencies() -> None:
    script = yaml.safe_load((EXAMPLES / "script.yaml").read_text())
    plan = structured_merge([PlanProposal(**planner) for planner in script["planners"]], planners=3)
    assert [task.votes for task in plan.tasks] == [3, 2, 2, 2]
    assert [task.votes for task in plan.minority] == [1]
    assert [len(task.depends_on) for task in plan.tasks] == [0, 0, 0, 3]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.parent.name)
def test_each_way_through_an_examples_patches_applies(script: Path, tmp_path: Path) -> None:
    """What replaces another attempt starts from the same files as that one did."""
    repository = EXAMPLE_REPO if script.parent == EXAMPLES else script.parent / "slugs"
    plant(repository, tmp_path / "room.git")
    work = tmp_path / "work"
    run_git(["clone", "--quiet", str(tmp_path / "room.git"), str(work)])

    def applies(patch: str, *more: str) -> None:
        run_git(["apply", "--3way", *more, str(script.parent / patch)], cwd=work)

    told = yaml.safe_load(script.read_text())
    for task in told["tasks"]:
        patches = [run["patch"] for run in task["runs"] if "patch" in run]
        if "messy" in patches[0]:
            applies(patches.pop(0), "--check")
        for patch in patches:
            applies(patch, "--index")
    run_git(["reset", "--quiet", "--hard"], cwd=work)
    for person in told["people"]:
        if (
            person.get("branch") != "task" and "note" not in person["patch"]
        ):  # which the bot's own file is for
            applies(person["patch"], "--index")


def test_a_clone_and_a_folder_of_plain_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    (tmp_path / "bare.git").mkdir()
    (tmp_path / "bare.git" / "HEAD").touch()
    assert [is_plain(tmp_path / name) for name in ("clone", "bare.git")] == [False, False]
    # Also where it lies in somebody else's repository, as the examples do.
    assert is_plain(EXAMPLE_REPO)
    assert not is_plain(tmp_path / "nothing")
    issue, script = EXAMPLES / "issue.md", EXAMPLES / "script.yaml"
    with pytest.raises(UserError, match="plain files"):
        choose(Wish(out=tmp_path, repo=EXAMPLE_REPO, base="HEAD", issue_file=issue, script=script))
