"""A script made of the fixes in somebody's repository: parts, patches, the fault and the person, all from git."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner

from bot.agents.script import load_script
from bot.demo import source
from bot.demo.fixes import Clone, find_parts, write_script
from bot.demo.real import KNOWN, Project, asked, main, record
from bot.demo.report import Report, TaskReport
from bot.demo.script import read_script
from bot.errors import UserError

WHO = {f"GIT_{role}_{part}": "a@localhost" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
BEFORE = {
    "pkg/add.py": "def add(a, b):\n    return a - b\n",
    "pkg/mul.py": "def mul(a, b):\n    return a * b\n",
    "tests/test_add.py": "from pkg.add import add\n\n\ndef test_nothing():\n    assert add(1, 0) == 1\n",
    "tests/test_mul.py": "from pkg.mul import mul\n\n\ndef test_one():\n    assert mul(1, 1) == 1\n",
    "docs/index.md": "# Numbers\n",
    "CHANGELOG.md": "# Changes\n",
}
FIX_ADD = {
    "pkg/add.py": "def add(a, b):\n    return a + b\n",
    "tests/test_add.py": BEFORE["tests/test_add.py"] + "\n\ndef test_add():\n    assert add(1, 1) == 2\n",
    "CHANGELOG.md": "# Changes\n\n- `add` adds.\n",
}
MORE_TESTS = {
    "tests/test_mul.py": BEFORE["tests/test_mul.py"] + "\n\ndef test_two():\n    assert mul(2, 2) == 4\n"
}
TOUCH_ADD = {"pkg/add.py": FIX_ADD["pkg/add.py"] + "\n\ndef more(a):\n    return add(a, 1)\n"}


@pytest.mark.parametrize(
    "answer", ["[]", "{}", '{"title": "t"}', "3", "null", "<html>sign in</html>", '{"message": "rate limit"}']
)
def test_an_issue_in_another_shape_is_told_as_one_that_cannot_be_read(tmp_path: Path, answer: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=answer))
    with pytest.raises(UserError, match="give --issue-file"):
        asked(KNOWN["cachetools"], tmp_path / "issue.md", transport)


def test_an_issue_is_read_with_its_title_first(tmp_path: Path) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"title": "It fails", "body": None}))
    found = asked(KNOWN["cachetools"], tmp_path / "issue.md", transport)
    assert found.read_text() == "# It fails\n\n\n"


class Made:
    """A repository with these commits on top of `base`, oldest first."""

    def __init__(self, folder: Path, *commits: tuple[str, dict[str, str]]) -> None:
        self.path = folder
        source.run_git(["init", "--quiet", "-b", "main", str(folder)])
        self.shas = [self._commit(subject, files) for subject, files in (("Start", BEFORE), *commits)]
        self.base, self.fixes = self.shas[0], self.shas[1:]

    def _commit(self, subject: str, files: dict[str, str]) -> str:
        for name, text in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(text.encode("latin-1"))
        source.run_git(["add", "."], cwd=self.path)
        source.run_git(["commit", "--quiet", "-m", subject], cwd=self.path, env=WHO)
        return source.run_git(["rev-parse", "HEAD"], cwd=self.path)

    def script(self) -> tuple[Path, dict[str, Any]]:
        path = write_script(self.path, self.base, self.fixes, self.path.with_name("script"))
        return path.parent, yaml.safe_load(path.read_text())

    def at(self, name: str, *patches: Path) -> Path:
        """Check the base out anew and apply patches there."""
        work = self.path.with_name(name)
        source.run_git(["clone", "--quiet", str(self.path), str(work)])
        source.run_git(["checkout", "--quiet", self.base], cwd=work)
        for patch in patches:
            source.run_git(["apply", "--3way", str(patch)], cwd=work)
        return work


@pytest.fixture
def made(tmp_path: Path) -> Made:
    fixes = ("Fix `add` (#7)", FIX_ADD), ("Test mul more", MORE_TESTS)
    return Made(tmp_path / "clone", *fixes)


def test_documentation_is_a_task_of_its_own_and_tests_stay_with_their_code(made: Made) -> None:
    parts = find_parts(Clone(made.path), made.base, made.fixes)
    assert [(part.title, part.kind, part.files, part.needs) for part in parts] == [
        ("Fix add", "simple", ("pkg/add.py", "tests/test_add.py"), ()),
        ("Document: Fix add", "documentation", ("CHANGELOG.md",), ()),
        ("Test mul more", "simple", ("tests/test_mul.py",), ()),
    ]


def test_a_commit_that_touches_the_same_file_comes_after(tmp_path: Path) -> None:
    made = Made(tmp_path / "clone", ("Fix add", FIX_ADD), ("Test mul", MORE_TESTS), ("Add more", TOUCH_ADD))
    parts = find_parts(Clone(made.path), made.base, made.fixes)
    assert [part.needs for part in parts] == [(), (), (), (0,)]


def test_two_commits_of_one_name_become_two_titles(tmp_path: Path) -> None:
    long = "Mend " + "x" * 100
    made = Made(tmp_path / "clone", (long, FIX_ADD), (long, MORE_TESTS))
    titles = [part.title for part in find_parts(Clone(made.path), made.base, made.fixes)]
    assert len(set(titles)) == len(titles) == 3
    assert max(map(len, titles)) <= 72


def test_the_script_is_one_that_demo_and_bot_read(made: Made) -> None:
    folder, data = made.script()
    script, demo = load_script(folder / "script.yaml"), read_script(folder / "script.yaml")
    assert len(script.planners) == 3
    assert demo.tasks == 3
    assert [script.run("Fix add", number).patch for number in (1, 2)] == [
        (folder / "fault.patch").resolve(),
        (folder / "task-1.patch").resolve(),
    ]
    assert script.run("Test mul more", 2).behave == "resolve"
    assert demo.people[0].task.search("T-3: Test mul more")
    assert not demo.people[0].task.search("T-2: Document: Fix add")
    assert data["people"][0]["when"]["event"] == "pr_opened"


def test_where_nothing_disturbs_it_each_task_is_done_at_once_and_nobody_else_commits(made: Made) -> None:
    path = write_script(made.path, made.base, made.fixes, made.path.with_name("calm"), disturbed=False)
    data = yaml.safe_load(path.read_text())
    assert "people" not in data
    assert [[run["patch"] for run in task["runs"]] for task in data["tasks"]] == [
        ["task-1.patch"],
        ["task-2.patch"],
        ["task-3.patch"],
    ]


def test_all_patches_together_give_the_fixed_files(made: Made) -> None:
    folder, _ = made.script()
    work = made.at("work", *sorted(folder.glob("task-*.patch")))
    for name, text in (BEFORE | FIX_ADD | MORE_TESTS).items():
        assert (work / name).read_text() == text, name


def test_the_fault_leaves_the_code_away_and_its_repair_applies_on_top(made: Made) -> None:
    folder, _ = made.script()
    work = made.at("work", folder / "fault.patch")
    assert (work / "pkg/add.py").read_text() == BEFORE["pkg/add.py"]
    assert (work / "tests/test_add.py").read_text() == FIX_ADD["tests/test_add.py"]
    source.run_git(["apply", "--3way", str(folder / "task-1.patch")], cwd=work)
    assert (work / "pkg/add.py").read_text() == FIX_ADD["pkg/add.py"]
    assert (work / "tests/test_add.py").read_text() == FIX_ADD["tests/test_add.py"]


def test_the_persons_commit_conflicts_with_its_task_and_with_no_other(made: Made) -> None:
    folder, _ = made.script()
    work = made.at("work", folder / "person.patch")
    changed = source.run_git(["diff", "HEAD", "--name-only"], cwd=work)
    assert changed == "tests/test_mul.py"
    source.run_git(["commit", "--quiet", "-am", "Hello"], cwd=work, env=WHO)
    source.run_git(["apply", "--3way", str(folder / "task-1.patch")], cwd=work)
    with pytest.raises(source.GitError, match="conflict"):
        source.run_git(["apply", "--3way", str(folder / "task-3.patch")], cwd=work)


def test_files_keep_every_byte_whatever_their_encoding_line_ends_and_blank_lines(tmp_path: Path) -> None:
    old = "\n\f\n# caf\xe9\r\nx = 1\ny = 1\n\n\n\n"
    new = old.replace("y = 1\n", "y = 1\nz = 1\n")
    made = Made(tmp_path / "clone", ("Odd", {"pkg/odd.py": old}), ("Mend odd", {"pkg/odd.py": new}))
    made.base, made.fixes = made.shas[1], made.shas[2:]
    folder, _ = made.script()

    mended, person = made.at("mended", folder / "task-1.patch"), made.at("person", folder / "person.patch")

    assert (mended / "pkg/odd.py").read_bytes() == new.encode("latin-1")
    said = "y = 1\n# A colleague works here as well.\n"
    assert (person / "pkg/odd.py").read_bytes() == old.replace("y = 1\n", said).encode("latin-1")


def test_the_clone_is_only_read(made: Made) -> None:
    def seen() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in made.path.rglob("*") if path.is_file()}

    before = seen()
    made.script()
    assert seen() == before


def test_a_revision_that_is_not_there_is_named(made: Made) -> None:
    with pytest.raises(UserError, match="has no commit 0123456"):
        write_script(made.path, made.base, ["0123456"], made.path.with_name("script"))


def test_a_fix_that_does_not_apply_is_named(tmp_path: Path) -> None:
    rewritten = {"pkg/add.py": "# Something else\n" * 5}
    made = Made(tmp_path / "clone", ("Rewrite", rewritten), ("Fix", FIX_ADD))
    with pytest.raises(UserError, match="does not apply"):
        write_script(made.path, made.base, made.fixes[1:], made.path.with_name("script"))


def test_an_unknown_project_must_say_everything() -> None:
    done = CliRunner().invoke(main, ["nobody/nothing"])
    assert done.exit_code == 2
    assert "--fix" in done.output


def test_every_known_project_says_what_can_be_repeated() -> None:
    for project in KNOWN.values():
        assert project.url == f"https://github.com/{project.slug}"
        assert project.issue
        assert project.fixes
        assert "pytest" in project.test


def test_the_record_tells_what_was_decided_and_names_no_place() -> None:
    task = TaskReport("T-1", 3, 1, 2, ("started attempt 1 of T-1", "a | b"), True)
    report = Report("issue-1", "done", 1, 2, (task,), 0, 5, 0, 62, 16.82, "scripted")
    project = Project("a/b", "0123456", ("7654321",), 7, "pytest")
    assert record(project, "Add", report) == (
        "### a/b, [#7](https://github.com/a/b/issues/7): Add\n\n"
        "Base `0123456`; fixed by `7654321`; `pytest`.\n"
        "Done in 16.8 s: 62 API calls, 5 sessions deleted, 0 duplicates, 0 leaks.\n\n"
        "| task | attempts | runs | merged | what was decided |\n|---|---|---|---|---|\n"
        "| T-1 | 1 | 2 | yes | started attempt 1 of T-1; a \\| b |\n"
    )
