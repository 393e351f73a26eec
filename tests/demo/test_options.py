from pathlib import Path

import pytest
import yaml

from bot.core.planning import PlanProposal, structured_merge
from bot.demo.options import EXAMPLE_REPO, EXAMPLES, Wish, choose, empty_out, read_issue
from bot.demo.script import read_script
from bot.demo.source import plant, run_git
from bot.errors import UserError

SCRIPTS = sorted(EXAMPLES.glob("*.yaml"))


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
    (tmp_path / "settings.env").touch()
    (tmp_path / "forge").mkdir()
    empty_out(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_issue_file_is_title_and_body(tmp_path: Path) -> None:
    path = tmp_path / "issue.md"
    path.write_text("# The title\n\nThe\nbody.\n")
    assert read_issue(path) == ("The title", "The\nbody.")
    path.write_text("\n\n")
    with pytest.raises(UserError, match="title"):
        read_issue(path)


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ("[{when: {task: x, event: closed}, patch: p}]", "pr_opened or merged"),
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


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_the_example_has_agreement_a_majority_a_minority_and_a_dependency(path: Path) -> None:
    script = yaml.safe_load(path.read_text())
    plan = structured_merge([PlanProposal(**planner) for planner in script["planners"]], planners=3)
    assert [task.votes for task in plan.tasks] == [3, 2, 2]
    assert [task.votes for task in plan.minority] == [1]
    assert [len(task.depends_on) for task in plan.tasks] == [0, 0, 1]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_the_examples_patches_apply_one_after_another(path: Path, tmp_path: Path) -> None:
    script = yaml.safe_load(path.read_text())
    patches = [run["patch"] for task in script["tasks"] for run in task["runs"]]
    patches += [person["patch"] for person in script["people"]]
    plant(EXAMPLE_REPO, tmp_path / "room.git")
    run_git(["clone", "--quiet", str(tmp_path / "room.git"), str(tmp_path / "work")])
    for patch in patches:
        run_git(["apply", "--3way", "--index", str(EXAMPLES / patch)], cwd=tmp_path / "work")
