"""Owns test runners: the command for a project, and which runner a command starts.

detect_test_command(files) -> str | None; runner_of(command) -> Runner. What their output says (`read_test_output`,
`newly_failing`) and a test that must fail (`canary`) are in modules of their own, and offered here too.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from itertools import pairwise

from bot.core.canaries import CanaryFile, canary
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
