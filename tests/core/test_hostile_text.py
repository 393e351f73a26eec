"""What an agent writes is read in a time that grows with its length and no faster: one file would stop the bot."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from bot.core import by_value, dependencies, policy
from bot.core.lock_sources import added
from bot.core.runner_output import Runner, read_test_output
from bot.core.second_look import new_dependencies
from bot.core.secret_patterns import redact
from bot.core.setups import READ, detect
from bot.core.values import TreeChange, TreeFile

_LENGTH = 60_000  # characters: what is quadratic in them takes seconds
_SECONDS = 0.8  # of this process's own time, which a busy machine does not add to
_CHARACTERS = [
    "a",
    "0",
    "=",
    "[",
    "(",
    '"',
    "@",
    "-",
    "_",
    ".",
    ":",
    "/",
    "\\",
    " ",
    "\n",
    "\t",
    "\r",
    "\u00d7",
]


def spent(read: Callable[[str], object], unit: str, before: str = "") -> float:
    text = before + unit * (_LENGTH // len(unit))
    begun = time.process_time()
    read(text)
    return time.process_time() - begun


_LOCKS = {
    "package-lock.json": ['"resolved": ', '"version": "a+'],
    "yarn.lock": ["a@", "a@ ", "resolved ", 'resolution: "', "@git@a", "git@"],
    "pnpm-lock.yaml": ["tarball: ", "version: tarball: ", "repo:\n", "version: {"],
    "bun.lock": ['"a', '"a@', '"@'],
    "deno.lock": ['"a+', '"git@a'],
    "uv.lock": ["url = ", "git", "registry ="],
    "poetry.lock": ["url ="],
    "pdm.lock": ["url ="],
    "Pipfile.lock": ['"url" : ', "index"],
    "Cargo.lock": ["source = "],
    "Gemfile.lock": ["remote:", "remote: a+"],
    "composer.lock": ['"url": '],
    "flake.lock": ['"url": '],
    "pubspec.lock": ["url: "],
    "requirements.txt": ["=a", " a+", "@git@a", " git@", "a://"],
    "constraints.txt": ["=a", " a+"],
}


@pytest.mark.parametrize("name", _LOCKS)
def test_lock_files_of_any_kind_are_read_in_one_pass(name: str) -> None:
    for unit in [*_CHARACTERS, *_LOCKS[name]]:
        assert spent(lambda text: added(name, b"", text.encode()), unit) < _SECONDS, repr(unit)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("yarn.lock", '"left-pad@https://evil.example/left-pad.tgz":'),
        ("yarn.lock", "left-pad@https://evil.example/left-pad.tgz:"),
        ("yarn.lock", '  resolved "https://evil.example/left-pad.tgz"'),
        ("requirements.txt", "left-pad @ https://evil.example/left-pad.tgz"),
        ("requirements.txt", "--index-url=https://evil.example/simple"),
        ("requirements.txt", "https://evil.example/left-pad.tgz"),
    ],
)
def test_an_address_is_found_wherever_it_stands_and_however_long_its_line_is(name: str, line: str) -> None:
    assert added(name, b"", ("x " * 5_000 + line).encode()) == ("evil.example",)
    assert added(name, b"", line.encode()) == ("evil.example",)


_OUTPUTS: dict[Runner, list[str]] = {
    "pytest": ["FAILED a[", "FAILED a - ", "0 in 1s ", "ERROR a\n", "1 passed in 1s\n"],
    "unittest": ["FAIL: a (\n", "ERROR: a (a", "failures=", "Ran 0"],
    "jest": ["\u25cf ", "\u25cf a \n", "FAIL\n", "Tests:\n", "Tests: 0"],
    "vitest": ["FAIL ", "FAIL a \n", "\u00d7 a 1", "Tests\n", "Tests (0"],
    "node": ["not ok 1 - a\n---\n", "not ok 1 - a\n", "\u25b6 a (0", "\u2716 a (0", "# tests 0", "# "],
    "go": ["--- FAIL: ", "FAIL\n", "--- PASS:\n", "ok\n"],
    "cargo": ["test a ... ", "test result: 0", "0 passed; "],
}
_LINES: dict[Runner, list[str]] = {  # after which one character may follow, over and over
    "pytest": ["1 passed in 1s ", "FAILED a"],
    "unittest": ["Ran ", "FAIL: a (", "failures="],
    "jest": ["\u25cf a", "Tests: ", "FAIL "],
    "vitest": ["FAIL a", "\u00d7 a", "Tests  ", "Tests ("],
    "node": ["\u25b6 a", "\u2716 a (", "not ok 1 - a\n---\n", "# tests "],
    "go": ["--- FAIL: a", "FAIL a"],
    "cargo": ["test result: ", "test "],
}


@pytest.mark.parametrize("runner", _OUTPUTS)
def test_the_output_of_any_runner_is_read_in_one_pass(runner: Runner) -> None:
    for before in ["", *_LINES[runner]]:
        for unit in [*_CHARACTERS, *_OUTPUTS[runner]]:
            took = spent(lambda text: read_test_output(runner, 1, text), unit, before)
            assert took < _SECONDS, (before, unit)
    # The summary is the last line with a time.
    assert spent(lambda text: read_test_output(runner, 1, f"{text} passed in 1s"), "0") < _SECONDS


def test_a_number_that_is_too_long_to_be_one_breaks_nothing() -> None:
    for line in ("Ran 9 tests", "9 passed in 1s", "Tests: 9 passed, 9 total", "# tests 9\n# pass 9"):
        for runner in _OUTPUTS:
            assert read_test_output(runner, 1, line.replace("9", "9" * 5_000)).state in ("red", "broken")


_SECRETS = [
    "eyJ-",
    "eyJ.",
    "eyJaaaaaaaaaa.",
    "-eyJaaaaaaaaaaaaaaaaaaaa",
    "sk-",
    "sk-or-v1-",
    "glpat-",
    "xoxb-",
    "ghs_",
    "AKIA",
]
_SECRETS += [
    "-----BEGIN A ",
    "hooks.slack.com/services/T",
    "SG.",
    "github_pat_",
    "ghs_" + "a" * 36 + "\n",
    "pypi-AgEIcHlwaS5vcmc",
]


def test_secrets_are_looked_for_in_one_pass() -> None:
    for unit in [*_CHARACTERS, *_SECRETS]:
        assert spent(redact, unit) < _SECONDS, unit


@pytest.mark.parametrize(
    "before", ["", "token=", "--token-", "Bearer ", "eyJ-", "eyJ", "a.", "eyJhbGciOiJI."]
)
def test_a_web_token_is_found_behind_anything_that_is_no_part_of_a_word(before: str) -> None:
    token = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkw.{'aB3_' * 10}"
    assert "hbGciOiJIUzI1NiJ9" not in redact(f"x {before}{token} y")
    assert redact(f"x {before}{token} y").endswith("[JSON web token removed] y")


_TABLES = [
    "a.",
    "[a.",
    "a={",
    "a=[",
    "[",
    '{"a":',
    "a.a=1\n",
    "[a.a]\n",
    "[[a]]\n",
    "a=9",
    "require ",
    "require\n",
    "a.a/",
    "aa==1\n",
]


@pytest.mark.parametrize(
    "name", ["package.json", "pyproject.toml", "Cargo.toml", "requirements.txt", "go.mod"]
)
def test_manifests_are_read_in_one_pass_and_break_nothing(name: str) -> None:
    for unit in [*_CHARACTERS, *_TABLES]:
        assert spent(lambda text: new_dependencies(name, b"", text.encode()), unit) < _SECONDS, unit
        assert spent(lambda text: detect({name}, {name: text} if name in READ else {}), unit) < _SECONDS, unit


@pytest.mark.parametrize(
    "text", ["a=" + "9" * 5_000, "a" + ".a" * 5_000 + "=1", "a" + ".a" * 150 + "=1", "a=" + "[" * 90_000]
)
def test_a_manifest_that_no_person_wrote_names_nothing(text: str) -> None:
    assert new_dependencies("tests/fixtures/pyproject.toml", b"", text.encode()) == ()
    assert new_dependencies("tests/fixtures/package.json", b"", text.encode()) == ()
    assert detect({"pyproject.toml"}, {"pyproject.toml": text}) == detect({"pyproject.toml"}, {})


@pytest.mark.parametrize("name", ["package.json", "pyproject.toml", "Pipfile", "requirements.txt", "a.list"])
def test_what_manifests_copy_is_read_in_one_pass_and_of_what_nobody_can_read_anything_may_be(
    name: str,
) -> None:
    for unit in [*_CHARACTERS, *_TABLES]:
        assert spent(lambda text: by_value.manifest(name, text), unit) < _SECONDS, unit
        assert spent(by_value.listed, unit) < _SECONDS, unit
    if name in {"package.json", "pyproject.toml", "Pipfile"}:
        for text in ("a" + ".a" * 5_000 + "=1", "a=" + "[" * 90_000, "[1", "# " + "a" * (1 << 19)):
            assert by_value.manifest(name, text), text[:20]


def test_manifests_without_bound_are_not_read_and_everything_counts() -> None:
    """What is read of them together has a bound as well: an agent may write as many as it likes."""
    setup = "pip install -r requirements.txt"
    for count, size in ((5_000, 1), (20, 1 << 19), (1, 1 << 25)):
        tree = [TreeFile(f"d{number}/pyproject.toml", "100644", "0" * 40, size) for number in range(count)]
        tree.append(TreeFile("own.py", "100644", "0" * 40, 1))
        assert dependencies.telling(tree, setup) == ()
        assert dependencies.counted(tree, setup, {}, "tasks") == tuple(tree)


@pytest.mark.parametrize("shape", ["wide", "deep", "plain"])
def test_paths_are_judged_in_a_time_that_grows_with_their_number(shape: str) -> None:
    """Two thousand files; each with a manifest beside it, or below those of all others."""
    deep = ["d/" * count + "setup.py" for count in range(1, 200)] * 10
    wide = [f"d{number}/{'setup' if shape == 'wide' else 'plain'}.py" for number in range(2_000)]
    changes = [TreeChange(path, "", "100644", "", "1" * 40) for path in (deep if shape == "deep" else wide)]
    begun = time.process_time()
    found = policy.refusals(changes, policy.Ground())
    assert time.process_time() - begun < 4 * _SECONDS  # all rules for each path
    assert len(found) == (0 if shape == "plain" else len(changes))
