"""Owns the test that must fail: where it has to stand so that a test command runs it, and what it says there.

canary(runner, files, command) -> CanaryFile(path, text) | None; what is there already is appended to.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bot.core.runner_output import Runner

NAME = "gitwright_canary"
_ID = re.compile(r"gitwright_?canary", re.IGNORECASE)
_PYTHON = re.compile(r"(^|/)(test_[^/]*|[^/]*_test)\.py$")
_SCRIPT = re.compile(r"\.(test|spec)\.[cm]?[jt]sx?$")

# Options by which a command runs some tests only, so that one more need not be among them.
_SELECTING: dict[Runner, frozenset[str]] = {
    "pytest": frozenset({"-k", "-m", "--lf", "--last-failed", "--ignore", "--ignore-glob"}),
    "unittest": frozenset({"-k"}),
    "jest": frozenset({"-t", "--testNamePattern", "--testPathPattern", "--testPathPatterns", "-o", "--onlyChanged"}),
    "vitest": frozenset({"-t", "--testNamePattern", "--changed"}),
    "node": frozenset({"--test-name-pattern", "--test-only"}),
    "go": frozenset({"-run", "--run", "-skip"}),
    "cargo": frozenset({"--lib", "--bins", "--bin", "--doc", "--example", "--examples", "--test", "-p", "--package"}),
}  # fmt: skip
_ENTRY: dict[Runner, tuple[str, ...]] = {
    "pytest": ("pytest", "py.test"),
    "unittest": ("unittest",),
    "jest": ("jest",),
    "vitest": ("vitest",),
    "node": ("--test",),
    "go": ("test",),
    "cargo": ("test", "nextest"),
}


@dataclass(frozen=True, slots=True)
class CanaryFile:
    """A file with a test that must fail; the text goes to the end of a file that is there already."""

    path: str
    text: str


def is_canary(test: str) -> bool:
    """Tell whether a test id is that of a canary."""
    return _ID.search(test) is not None


def canary(runner: Runner, files: Collection[str], command: str = "") -> CanaryFile | None:
    """Make a failing test that the command runs; None where none is possible, or it cannot be told."""
    make = _MAKERS.get(runner)
    words = _arguments(runner, command)
    if make is None or _selects(runner, words):
        return None
    return make(sorted(files), [word.removeprefix("./").rstrip("/") or "." for word in words])


def _arguments(runner: Runner, command: str) -> list[str]:
    """Give what follows the runner's name in a command, up to the next command."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    begin = next(
        (n for n, word in enumerate(words) if word.rpartition("/")[2] in _ENTRY.get(runner, ())), None
    )
    rest = [] if begin is None else words[begin + 1 :]
    end = next((n for n, word in enumerate(rest) if re.fullmatch(r"[|&;]+|[0-9]*>.*", word)), len(rest))
    return rest[:end]


def _selects(runner: Runner, words: Sequence[str]) -> bool:
    for place, word in enumerate(words):
        name, _, value = word.partition("=")
        if name not in _SELECTING[runner] and not ("::" in word and runner == "pytest"):
            continue
        value = value or next(iter(words[place + 1 :]), "")
        if not (name in ("-k", "-m") and value.startswith("not ")):
            return True
    # A word that stands alone is a filter of names.
    return runner == "cargo" and any(word[0] not in "-+" for word in words if word)


def _named(words: Sequence[str], tree: Sequence[str], ending: str) -> tuple[list[str], list[str]]:
    """Give the files and the folders of the tree that a command names."""
    files = [word for word in words if word in tree and re.search(ending, word)]
    folders = [word for word in words if any(path.startswith(f"{word}/") for path in tree)]
    return files, folders


def _within(paths: Sequence[str], folders: Sequence[str]) -> list[str]:
    if not folders:
        return list(paths)
    return [path for path in paths if any(path.startswith(f"{folder}/") for folder in folders)]


def _pytest(tree: list[str], words: list[str]) -> CanaryFile | None:
    body = f'def test_{NAME}():\n    raise AssertionError("this test must be seen failing")\n'
    files, folders = _named(words, tree, r"\.py$")
    if files:
        return CanaryFile(files[0], f"\n\n{body}")
    tests = _within([path for path in tree if _PYTHON.search(path)], folders)
    folder = _nearest_folder(tests) if tests else folders[0] if folders else "tests"
    return CanaryFile(_join(folder, f"test_{NAME}.py"), body)


def _unittest(tree: list[str], words: list[str]) -> CanaryFile | None:
    case = (
        "class GitwrightCanary(unittest.TestCase):\n"
        f'    def test_{NAME}(self):\n        self.fail("this test must be seen failing")\n'
    )
    modules = [word.replace(".", "/") + ".py" for word in words if re.fullmatch(r"[A-Za-z_][\w.]*", word)]
    files, folders = _named([*words, *modules], tree, r"\.py$")
    if files:
        return CanaryFile(files[0], f"\n\nimport unittest\n\n\n{case}")
    tests = _within([path for path in tree if _PYTHON.search(path)], folders)
    if not tests:
        return None
    return CanaryFile(_join(_nearest_folder(tests), f"test_{NAME}.py"), f"import unittest\n\n\n{case}")


def _javascript(tree: list[str], words: list[str], header: str, ending: str = "") -> CanaryFile | None:
    tests = [path for path in tree if _SCRIPT.search(path) and "node_modules" not in path]
    files, folders = _named(words, tree, r"\.[cm]?[jt]sx?$")
    if files:
        # What the file imports is not known; an error at its end fails the file.
        return CanaryFile(files[0], f'\n\nthrow new Error("{NAME}: this file must be seen failing");\n')
    tests = _within(tests, folders)
    if not tests:
        return None
    nearest = min(tests, key=lambda path: (path.count("/"), path))
    found = _SCRIPT.search(nearest)
    suffix = ending or (found[0].removesuffix("x") if found else ".test.js")
    body = f'test("{NAME}", () => {{\n  throw new Error("this test must be seen failing");\n}});\n'
    return CanaryFile(_join(_folder(nearest), NAME + suffix), header + body)


def _jest(tree: list[str], words: list[str]) -> CanaryFile | None:
    return _javascript(tree, words, "")


def _vitest(tree: list[str], words: list[str]) -> CanaryFile | None:
    return _javascript(tree, words, 'import { test } from "vitest";\n\n')


def _node(tree: list[str], words: list[str]) -> CanaryFile | None:
    # A module of its own kind, whatever package.json says of others.
    return _javascript(tree, words, 'import test from "node:test";\n\n', ".test.mjs")


def _go(tree: list[str], words: list[str]) -> CanaryFile | None:
    """Make a package of its own where the command takes any; else add to a test file, whose package is known."""
    if "go.mod" not in tree:
        return None
    test = 'func TestGitwrightCanary(t *testing.T) {\n\tt.Fatal("this test must be seen failing")\n}\n'
    packages = [word for word in words if not word.startswith("-")]
    for word in packages:
        folder = word.removesuffix("...").rstrip("/")
        if word.endswith("...") and (not folder or any(path.startswith(f"{folder}/") for path in tree)):
            text = f'package {NAME}\n\nimport "testing"\n\n{test}'
            return CanaryFile(_join(folder, f"{NAME}/{NAME}_test.go"), text)
    folders = ["" if word == "." else word for word in packages] or [""]
    tests = [path for path in tree if path.endswith("_test.go") and _folder(path) in folders]
    return CanaryFile(tests[0], f"\n\n{test}") if tests else None


def _cargo(tree: list[str], _words: list[str]) -> CanaryFile | None:
    """Add an integration test to the root's package, or to a member's where the root has none."""
    packages = [_folder(path) for path in tree if path.rpartition("/")[2] == "Cargo.toml"]
    real = [folder for folder in packages if any(path.startswith(_join(folder, "src/")) for path in tree)]
    if "Cargo.toml" not in tree or not real:
        return None
    folder = min(real, key=lambda path: (path.count("/") + bool(path), path))
    text = f'#[test]\nfn {NAME}() {{\n    panic!("this test must be seen failing");\n}}\n'
    return CanaryFile(_join(folder, f"tests/{NAME}.rs"), text)


def _nearest_folder(paths: Sequence[str]) -> str:
    return _folder(min(paths, key=lambda path: (path.count("/"), path)))


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


_MAKERS: dict[Runner, Callable[[list[str], list[str]], CanaryFile | None]] = {
    "pytest": _pytest,
    "unittest": _unittest,
    "jest": _jest,
    "vitest": _vitest,
    "node": _node,
    "go": _go,
    "cargo": _cargo,
}
