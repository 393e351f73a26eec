"""Owns test runners: the command for a project, what its output says, and a test that must fail.

detect_test_command(files) -> str | None; runner_of(command) -> Runner; read_test_output(runner, code, output) ->
TestResult; newly_failing(after, before) -> ids; canary(runner, files) -> CanaryFile(path, text) | None.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

from bot.core.runner_output import Runner, TestResult, newly_failing, read_test_output

__all__ = [
    "CanaryFile",
    "Runner",
    "TestResult",
    "canary",
    "detect_test_command",
    "newly_failing",
    "read_test_output",
    "runner_of",
]


@dataclass(frozen=True, slots=True)
class CanaryFile:
    """A file with a test that must fail."""

    path: str
    text: str


def detect_test_command(files: Collection[str]) -> str | None:
    """Guess the test command from the files at the repository's root; None where nothing is known."""
    tree = set(files)
    python = tree & {"pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "pytest.ini", "requirements.txt"}
    tests = any(path.startswith(("tests/", "test/")) and path.endswith(".py") for path in tree)
    loose = any(re.fullmatch(r"(test_[^/]*|[^/]*_test)\.py", path) for path in tree)
    if (python and (tests or loose)) or (tests and any(path.endswith(".py") for path in tree)):
        return "python -m pytest -q"
    for marker, command in (
        ("package.json", "npm test"),
        ("go.mod", "go test ./..."),
        ("Cargo.toml", "cargo test"),
    ):
        if marker in tree:
            return command
    return None


_BEHIND_NPM: tuple[tuple[Runner, str], ...] = (
    ("vitest", r"vitest"),
    ("jest", r"jest"),
    ("node", r"\bnode\b[^\"\n]* --test\b"),
)


def runner_of(command: str, package_json: str = "") -> Runner:
    """Recognize the runner of a command; behind `npm test` the text of package.json tells."""
    try:
        words = shlex.split(command)
    except ValueError:  # an open quote: the shell will complain, not we
        words = command.split()
    names = [word.rsplit("/", 1)[-1] for word in words]
    named: dict[str, Runner] = {
        "pytest": "pytest",
        "py.test": "pytest",
        "unittest": "unittest",
        "vitest": "vitest",
        "jest": "jest",
    }
    direct = next((named[name] for name in names if name in named), None)
    if direct is not None:
        return direct
    if ("go", "test") in pairwise(names):
        return "go"
    if "cargo" in names and ("test" in names or "nextest" in names):
        return "cargo"
    if any(name in ("npm", "yarn", "pnpm") for name in names):
        return next((runner for runner, sign in _BEHIND_NPM if re.search(sign, package_json)), "other")
    if "node" in names and "--test" in words:
        return "node"
    return "other"


_NAME = "gitwright_canary"


def canary(runner: Runner, files: Collection[str]) -> CanaryFile | None:
    """Make a failing test beside the existing ones, named as the runner wants it; None where that is not possible."""
    tree = sorted(files)
    if runner in ("pytest", "unittest"):
        return _python_canary(runner, tree)
    if runner in ("jest", "vitest", "node"):
        return _javascript_canary(runner, tree)
    if runner == "go":
        return _go_canary(tree)
    if runner == "cargo" and "Cargo.toml" in tree:
        text = f'#[test]\nfn {_NAME}() {{\n    panic!("this test must be seen failing");\n}}\n'
        return CanaryFile(f"tests/{_NAME}.rs", text)
    return None


def _python_canary(runner: Runner, tree: list[str]) -> CanaryFile | None:
    tests = [path for path in tree if re.search(r"(^|/)(test_[^/]*|[^/]*_test)\.py$", path)]
    if not tests and runner == "unittest":
        return None
    folder = _nearest_folder(tests) if tests else "tests"
    if runner == "unittest":
        body = (
            "import unittest\n\n\nclass GitwrightCanary(unittest.TestCase):\n"
            f'    def test_{_NAME}(self):\n        self.fail("this test must be seen failing")\n'
        )
    else:
        body = f'def test_{_NAME}():\n    raise AssertionError("this test must be seen failing")\n'
    return CanaryFile(_join(folder, f"test_{_NAME}.py"), body)


def _javascript_canary(runner: Runner, tree: list[str]) -> CanaryFile | None:
    tests = [
        path
        for path in tree
        if re.search(r"\.(test|spec)\.[cm]?[jt]sx?$", path) and "node_modules" not in path
    ]
    if not tests:
        return None
    nearest = min(tests, key=lambda path: (path.count("/"), path))
    ending = re.search(r"\.(test|spec)\.[cm]?[jt]sx?$", nearest)
    suffix = ending[0].removesuffix("x") if ending else ".test.js"
    if runner == "node":
        # A module of its own kind, whatever package.json says of others.
        text = f'import test from "node:test";\n\ntest("{_NAME}", () => {{\n  throw new Error("this test must be seen failing");\n}});\n'
        return CanaryFile(_join(_folder(nearest), f"{_NAME}.test.mjs"), text)
    imports = 'import { expect, test } from "vitest";\n\n' if runner == "vitest" else ""
    text = f'{imports}test("{_NAME}", () => {{\n  expect("this test").toBe("seen failing");\n}});\n'
    return CanaryFile(_join(_folder(nearest), _NAME + suffix), text)


def _go_canary(tree: list[str]) -> CanaryFile | None:
    """Make a package of its own: which name the existing packages have is not to be seen from paths."""
    if "go.mod" not in tree:
        return None
    text = (
        f'package {_NAME}\n\nimport "testing"\n\n'
        'func TestGitwrightCanary(t *testing.T) {\n\tt.Fatal("this test must be seen failing")\n}\n'
    )
    return CanaryFile(f"{_NAME}/{_NAME}_test.go", text)


def _nearest_folder(paths: list[str]) -> str:
    return _folder(min(paths, key=lambda path: (path.count("/"), path)))


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
