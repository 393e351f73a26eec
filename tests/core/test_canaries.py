"""Canaries: a project that is green turns red with one, whatever its runner; those that are here are really run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bot.core.canaries import canary, is_canary
from bot.core.runners import Runner, newly_failing, read_test_output, runner_of

CASE = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n"
ONE = {"tests/test_a.py": "def test_a(): pass\n"}
NODE = 'import test from "node:test";\ntest("adds", () => {});\n'
OLD_NODE = 'const test = require("node:test");\ntest("adds", () => {});\n'
RUST = "#[test]\nfn adds() {\n    assert_eq!(1 + 1, 2);\n}\n"
PACKAGE = '[package]\nname = "{}"\nversion = "0.1.0"\nedition = "2021"\n'
GO = 'package p\n\nimport "testing"\n\nfunc TestAdd(t *testing.T) {}\n'
QUIET = "python -m pytest -q -p no:cacheprovider"


def run(folder: Path, command: str) -> tuple[int, str]:
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def plant(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (folder / path).open("a", encoding="utf-8") as file:
            file.write(text)


@pytest.mark.parametrize(
    ("command", "files"),
    [
        (QUIET, ONE),
        (QUIET, {"pkg/tests/test_a.py": ONE["tests/test_a.py"], "pkg/__init__.py": ""}),
        (f"{QUIET} tests/unit", {"tests/unit/test_a.py": ONE["tests/test_a.py"], "tests/test_b.py": "x = 1\n"}),
        (f"{QUIET} tests/test_a.py", ONE),
        (f"{QUIET} -k 'not slow'", ONE),
        ("python -m unittest", {"test_a.py": CASE}),
        ("python -m unittest", {"tests/__init__.py": "", "tests/test_a.py": CASE}),
        ("python -m unittest discover -s deep/tests", {"deep/tests/test_a.py": CASE, "other/test_b.py": CASE}),
        ("python -m unittest tests.test_a", {"tests/__init__.py": "", "tests/test_a.py": CASE}),
        ("node --test", {"package.json": '{"type": "module"}', "test/a.test.js": NODE}),
        ("node --test", {"package.json": "{}", "test/a.test.js": OLD_NODE}),
        ("node --test deep/a.test.mjs", {"package.json": "{}", "deep/a.test.mjs": NODE}),
        ("npm test", {"package.json": '{"scripts": {"test": "node --test"}}', "test/a.test.mjs": NODE}),
        ("cargo test --offline", {"Cargo.toml": PACKAGE.format("one"), "src/lib.rs": RUST}),
        (
            "cargo test --offline",
            {
                "Cargo.toml": '[workspace]\nmembers = ["one", "two"]\nresolver = "2"\n',
                "one/Cargo.toml": PACKAGE.format("one"),
                "one/src/lib.rs": RUST,
                "two/Cargo.toml": PACKAGE.format("two"),
                "two/src/lib.rs": RUST,
            },
        ),
        ("go test ./...", {"go.mod": "module example.org/p\n\ngo 1.21\n", "a_test.go": GO}),
        ("go test", {"go.mod": "module example.org/p\n\ngo 1.21\n", "a_test.go": GO}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value)[:30],
)  # fmt: skip
def test_a_green_project_turns_red_with_its_canary(
    tmp_path: Path, command: str, files: dict[str, str]
) -> None:
    program = command.split()[0]
    if program in {"go", "cargo"} and shutil.which(program) is None:
        # No part of any set-up: what go said is recorded, and cargo is run where there is one.
        pytest.skip(f"does not apply: {program} is not part of what CI installs")
    if program in {"node", "npm"} and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    plant(tmp_path, files)
    runner = runner_of(command, files.get("package.json", ""))
    code, output = run(tmp_path, command)
    before = read_test_output(runner, code, output)
    assert before.state == "green", output
    bird = canary(runner, files, command)
    assert bird is not None
    plant(tmp_path, {bird.path: bird.text})
    code, output = run(tmp_path, command)
    after = read_test_output(runner, code, output)
    assert after.state == "red", output
    new = newly_failing(after, before)
    assert new
    # A file of its own is named after the canary; where a file was added to, its name may be all that is said.
    assert any(is_canary(test) for test in new) or bird.path in files, new


@pytest.mark.parametrize(
    ("runner", "files", "command", "path"),
    [
        ("jest", ["src/sum.test.js"], "npx jest", "src/gitwright_canary.test.js"),
        ("jest", ["__tests__/a.spec.tsx"], "npm test", "__tests__/gitwright_canary.spec.ts"),
        (
            "vitest",
            ["test/a.test.ts", "src/deep/b.test.ts"],
            "npx vitest run",
            "test/gitwright_canary.test.ts",
        ),
        ("vitest", ["test/a.test.ts", "src/b.test.ts"], "npx vitest run src", "src/gitwright_canary.test.ts"),
        ("go", ["go.mod", "a_test.go"], "go test ./...", "gitwright_canary/gitwright_canary_test.go"),
        ("go", ["go.mod", "x/a_test.go"], "go test ./x/...", "x/gitwright_canary/gitwright_canary_test.go"),
        ("go", ["go.mod", "x/a_test.go"], "go test -v ./x", "x/a_test.go"),
        ("cargo", ["Cargo.toml", "src/lib.rs"], "cargo test", "tests/gitwright_canary.rs"),
        (
            "cargo",
            ["Cargo.toml", "a/Cargo.toml", "a/src/lib.rs"],
            "cargo test",
            "a/tests/gitwright_canary.rs",
        ),
        ("pytest", ["a/test_a.py", "b/test_b.py"], "pytest b && echo a", "b/test_gitwright_canary.py"),
    ],
)
def test_a_canary_stands_where_its_command_looks(
    runner: Runner, files: list[str], command: str, path: str
) -> None:
    bird = canary(runner, files, command)
    assert bird is not None
    assert bird.path == path


@pytest.mark.parametrize(
    ("runner", "files", "command"),
    [
        ("other", ["Makefile"], "make test"),
        ("jest", [], "jest"),
        ("go", ["a.go"], "go test ./..."),
        ("go", ["go.mod", "x/a_test.go"], "go test"),
        ("go", ["go.mod", "a_test.go"], "go test -run TestAdd ./..."),
        ("unittest", [], "python -m unittest"),
        ("cargo", ["Cargo.toml", "src/lib.rs"], "cargo test --lib"),
        ("cargo", ["Cargo.toml", "src/lib.rs"], "cargo test adds"),
        ("cargo", ["Cargo.toml"], "cargo test"),
        ("pytest", ["tests/test_a.py"], "pytest -k only_this"),
        ("pytest", ["tests/test_a.py"], "pytest tests/test_a.py::test_a"),
        ("vitest", ["a.test.ts"], "vitest run -t name"),
    ],
)
def test_where_it_cannot_be_told_whether_a_canary_would_run_there_is_none(
    runner: Runner, files: list[str], command: str
) -> None:
    assert canary(runner, files, command) is None
