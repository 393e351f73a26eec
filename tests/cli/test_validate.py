"""`gitwright validate`: what people read about their files, and what programs do."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from inline_snapshot import snapshot

from bot.cli import gitwright

GOOD = "draft: true\n"
BAD = "limts: {}\npush: drect\ncommands:\n  plna: admin\nbots: [me]\nlimits:\n  workers: 0\n"
BACKLOG = """\
version: 1
track: issue-12
tasks:
  - id: T-1
    title: Say goodbye
    scope: {paths: [src/]}
    acceptance: [It says goodbye.]
"""
BROKEN = BACKLOG.replace("T-1", "T1").replace("acceptance:", "acceptence:")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "clone"
    (root / ".github").mkdir(parents=True)
    (root / "src").mkdir()
    (root / "src/a.py").write_text("pass\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True, timeout=60)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(root)
    return root


def run(*arguments: str) -> Result:
    return CliRunner().invoke(gitwright, ["validate", *arguments])


def test_every_mistake_is_named_with_its_place_and_the_way_out(clone: Path) -> None:
    (clone / ".github/gitwright.yml").write_text(BAD)
    done = run()
    assert done.exit_code == 1
    assert done.output == snapshot("""\
.github/gitwright.yml:1:1: error: UNKNOWN_KEY: The key `limts` is not known. Did you mean `limits`?
.github/gitwright.yml:2:7: error: SCHEMA: `push`: this must be 'auto', 'direct' or 'ask'. Did you mean `direct`?
.github/gitwright.yml:4:3: warning: UNKNOWN_COMMAND: There is no command `plna`. Did you mean `plan`?
.github/gitwright.yml:5:8: error: SCHEMA: `bots.0`: this must be a whole number. See docs/configuration.md.
.github/gitwright.yml:7:12: error: SCHEMA: `limits.workers`: this must be at least 1. See docs/configuration.md.
.github/gitwright.yml: 4 errors, 1 warning
""")


def test_the_files_of_the_clone_are_found_and_others_may_be_named(clone: Path) -> None:
    for path in ("tasks/issue-12/BACKLOG.yaml", "tasks/issue-13/BACKLOG.yaml", "ignored/BACKLOG.yaml"):
        (clone / path).parent.mkdir(parents=True)
        (clone / path).write_text(BROKEN if "13" in path or "ignored" in path else BACKLOG)
    (clone / ".gitignore").write_text("ignored/\n")
    (clone / ".github/gitwright.yml").write_text(GOOD)
    done = run()
    assert done.exit_code == 1
    assert done.output == snapshot("""\
tasks/issue-13/BACKLOG.yaml:4:5: error: SCHEMA: The key `acceptance` is missing. Add `acceptance:`.
tasks/issue-13/BACKLOG.yaml:4:9: error: SCHEMA: `id`: this is not of the right form. Capital letters, a hyphen and a number, as in `T-12`.
tasks/issue-13/BACKLOG.yaml:7:5: error: SCHEMA: The key `acceptence` is not known. Did you mean `acceptance`?
.github/gitwright.yml: valid
tasks/issue-12/BACKLOG.yaml: valid
tasks/issue-13/BACKLOG.yaml: 3 errors
""")
    assert run("tasks/issue-12/BACKLOG.yaml", ".github/gitwright.yml").exit_code == 0
    done = run("ignored/BACKLOG.yaml")
    assert (done.exit_code, done.output.splitlines()[-1]) == (1, "ignored/BACKLOG.yaml: 3 errors")


def test_files_of_any_name_are_told_apart_by_what_stands_in_them(clone: Path) -> None:
    (clone / "one.yml").write_text(BACKLOG)
    (clone / "two.yml").write_text("commands: {zzz: read}\n")
    done = run("one.yml", "two.yml", "--json")
    assert done.exit_code == 0
    assert json.loads(done.output) == snapshot(
        {
            "command": "validate",
            "status": "valid",
            "files": [
                {"path": "one.yml", "kind": "backlog", "errors": 0, "warnings": 0, "problems": []},
                {
                    "path": "two.yml",
                    "kind": "settings",
                    "errors": 0,
                    "warnings": 1,
                    "problems": [
                        {
                            "line": 1,
                            "column": 12,
                            "severity": "warning",
                            "code": "UNKNOWN_COMMAND",
                            "message": "There is no command `zzz`",
                            "hint": "`/agent help` lists the commands.",
                            "task": "",
                        }
                    ],
                },
            ],
        }
    )


def test_a_name_that_the_bot_does_not_read_is_told(clone: Path) -> None:
    (clone / ".github/gitwright.yaml").write_text(GOOD)
    done = run()
    assert done.exit_code == 0
    assert done.output == snapshot("""\
.github/gitwright.yaml:1:1: warning: WRONG_NAME: Gitwright reads `.github/gitwright.yml` and no other file. Rename it to `gitwright.yml`.
.github/gitwright.yaml: valid, with 1 warning
""")


def test_bytes_that_are_no_text_have_a_line_too(clone: Path) -> None:
    (clone / ".github/gitwright.yml").write_bytes(b"draft: true\nsetup: \xff\n")
    done = run()
    assert done.exit_code == 1
    assert done.output == snapshot("""\
.github/gitwright.yml:2:1: error: SCHEMA: The file is not UTF-8. Save it as UTF-8.
.github/gitwright.yml: 1 error
""")


def test_a_clone_without_such_files_is_fine(clone: Path) -> None:
    done = run()
    assert (done.exit_code, done.output) == (
        0,
        "There is neither .github/gitwright.yml nor a BACKLOG.yaml here: the defaults hold.\n",
    )
    assert json.loads(run("--json").output) == {"command": "validate", "status": "valid", "files": []}


def test_a_clone_as_ci_makes_it_will_do(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clone / ".github/gitwright.yml").write_text(BAD)
    who = ["-c", "user.name=Dana", "-c", "user.email=dana@example.invalid"]
    for arguments in (["add", "-A"], [*who, "commit", "-q", "-m", "1"], [*who, "commit", "-q", "-m", "2", "--allow-empty"]):  # fmt: skip
        subprocess.run(["git", *arguments], cwd=clone, check=True, timeout=60)
    shallow = clone.parent / "shallow"
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", f"file://{clone}", str(shallow)], check=True, timeout=60
    )
    monkeypatch.chdir(shallow / "src")
    done = run()
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].endswith("gitwright.yml: 4 errors, 1 warning")


def test_wrong_usage_is_told_from_a_finding(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("missing.yml").exit_code == 2
    assert run(".github").exit_code == 2
    monkeypatch.chdir(clone.parent)
    done = run()
    assert done.exit_code == 2
    assert "is in no git clone: name the files to validate." in " ".join(done.output.split())
    (clone / ".github/gitwright.yml").write_text(GOOD)
    assert run("clone/.github/gitwright.yml").exit_code == 0
