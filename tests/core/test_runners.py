"""Test runners: found, and their output read; `recorded/` holds what the real ones said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.runners import (
    Runner,
    TestResult,
    detect_test_command,
    newly_failing,
    read_test_output,
    runner_of,
)


@pytest.mark.parametrize(
    ("files", "command"),
    [
        (["pyproject.toml", "src/a.py", "tests/test_a.py"], "python -m pytest -q"),
        (["setup.py", "test_a.py"], "python -m pytest -q"),
        (["src/a.py", "tests/test_a.py"], "python -m pytest -q"),
        (["package.json", "src/a.ts"], "npm test"),
        (["go.mod", "a.go", "a_test.go"], "go test ./..."),
        (["Cargo.toml", "src/lib.rs"], "cargo test"),
        (["pyproject.toml", "src/a.py"], None),
        (["README.md"], None),
        ([], None),
    ],
)
def test_the_test_command_is_found_from_the_files(files: list[str], command: str | None) -> None:
    assert detect_test_command(files) == command


@pytest.mark.parametrize(
    ("command", "runner"),
    [
        ("python -m pytest -q", "pytest"),
        ("/venv/bin/pytest tests", "pytest"),
        ("python3 -m unittest discover", "unittest"),
        ("npx jest --ci", "jest"),
        ("npx vitest run", "vitest"),
        ("node --test", "node"),
        ("node --test --test-reporter=spec test/", "node"),
        ("node test.js", "other"),
        ("go test ./...", "go"),
        ("cargo test --workspace", "cargo"),
        ("npm test", "other"),
        ("make check", "other"),
        ("echo 'open", "other"),
    ],
)
def test_the_runner_is_recognized(command: str, runner: Runner) -> None:
    assert runner_of(command) == runner


def test_behind_npm_the_package_tells_the_runner() -> None:
    assert runner_of("npm test", '{"scripts": {"test": "vitest run"}}') == "vitest"
    assert runner_of("yarn test", '{"devDependencies": {"jest": "29"}}') == "jest"
    assert runner_of("npm test", '{"scripts": {"test": "node --test"}}') == "node"
    assert runner_of("npm test", '{"scripts": {"start": "node x.js"}}') == "other"


JEST = """
FAIL src/sum.test.js
  ● adds \u203a wrong sum

    expect(received).toBe(expected)

Tests:       1 failed, 2 passed, 3 total
"""
VITEST = """
 FAIL  src/sum.test.ts > adds > wrong sum
AssertionError: expected 1 to be 2
 Test Files  1 failed (1)
      Tests  1 failed | 2 passed (3)
"""
NODE = """TAP version 13
# Subtest: adds up
ok 1 - adds up
  ---
  duration_ms: 0.9
  ...
# Subtest: fails \\# here
not ok 2 - fails \\# here
  ---
  failureType: 'testCodeFailure'
  error: |-
    not ok 9 is no test
  ...
# Subtest: group
    # Subtest: inner bad
    not ok 1 - inner bad
      ---
      failureType: 'testCodeFailure'
      ...
    ok 2 - skipped # SKIP
    1..2
not ok 3 - group
  ---
  failureType: 'subtestsFailed'
  ...
not ok 4 - later # TODO
  ---
  failureType: 'testCodeFailure'
  ...
# Subtest: /place/test/b.test.js
not ok 5 - /place/test/b.test.js
  ---
  failureType: 'testCodeFailure'
  ...
1..5
# tests 7
# suites 0
# pass 1
# fail 4
"""
NODE_SPEC = """\u2714 adds up (0.9ms)
\u2716 fails here (0.9ms)
  Error: x
\u25b6 group
  \u2716 inner bad (1.6ms)
\u2716 group (2.2ms)
\u2716 later (0.06ms) # TODO

\u2139 tests 5
\u2139 suites 0
\u2139 pass 1
\u2139 fail 3

\u2716 failing tests:

test at test/a.test.js:3:1
\u2716 fails here (0.9ms)
"""
GO = """--- FAIL: TestAdd (0.00s)
    --- FAIL: TestAdd/small (0.00s)
        a_test.go:5: bad
FAIL
FAIL\texample.com/a\t0.002s
ok  \texample.com/b\t0.001s
FAIL
"""
CARGO = """running 2 tests
test tests::good ... ok
test tests::bad ... FAILED

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out
"""
UNITTEST = """F.
======================================================================
FAIL: test_add (tests.test_a.T.test_add)
----------------------------------------------------------------------
Ran 2 tests in 0.000s

FAILED (failures=1)
"""


@pytest.mark.parametrize(
    ("runner", "code", "output", "wanted"),
    [
        ("jest", 1, JEST, TestResult("red", ("adds \u203a wrong sum",), 2, 3)),
        ("jest", 0, "Tests:       3 passed, 3 total\n", TestResult("green", (), 3, 3)),
        ("jest", 1, "No tests found, exiting with code 1\n", TestResult("none_collected")),
        ("vitest", 1, VITEST, TestResult("red", ("src/sum.test.ts > adds > wrong sum",), 2, 3)),
        ("vitest", 1, "No test files found, exiting with code 1", TestResult("none_collected")),
        ("node", 1, NODE, TestResult("red", ("b.test.js", "fails # here", "inner bad"), 1, 7)),
        ("node", 1, NODE_SPEC, TestResult("red", ("fails here", "inner bad"), 1, 5)),
        ("node", 0, "# tests 2\n# suites 0\n# pass 2\n# fail 0\n", TestResult("green", (), 2, 2)),
        ("node", 0, "1..0\n# tests 0\n# suites 0\n# pass 0\n", TestResult("none_collected", (), 0, 0)),
        ("node", 1, "SyntaxError: x\n", TestResult("broken")),
        ("go", 1, GO, TestResult("red", ("TestAdd", "TestAdd/small"), 1, 3)),
        ("go", 0, "ok  \texample.com/a\t0.1s\n", TestResult("green", (), 1, 1)),
        ("go", 0, "ok  \tm/a\t0.1s\nok  \tm/b\t0.1s [no tests to run]\n", TestResult("green", (), 1, 1)),
        ("go", 0, "?   \texample.com/a\t[no test files]\n", TestResult("none_collected", (), 0, 0)),
        ("go", 2, "FAIL\tm/a [build failed]\n", TestResult("red", ("m/a",), 0, 1)),
        ("cargo", 101, CARGO, TestResult("red", ("tests::bad",), 1, 2)),
        ("cargo", 101, "error[E0425]: cannot find value\n", TestResult("broken")),
        ("cargo", 0, "test result: ok. 0 passed; 0 failed; 0 ignored", TestResult("none_collected", (), 0, 0)),
        ("unittest", 1, UNITTEST, TestResult("red", ("tests.test_a.T.test_add",), 1, 2)),
        ("unittest", 0, "Ran 0 tests in 0.000s\n\nOK\n", TestResult("none_collected", (), 0, 0)),
        ("pytest", 5, "no tests ran in 0.01s\n", TestResult("none_collected", (), 0, 0)),
        ("pytest", 4, "ERROR: file or directory not found: x\n", TestResult("broken")),
        ("pytest", 0, "", TestResult("none_collected")),
        ("pytest", 1, "\x1b[31mFAILED\x1b[0m t.py::test_a[x - y] - boom\n1 failed, 2 passed in 0.1s", TestResult("red", ("t.py::test_a[x - y]",), 2, 3)),
        ("other", 0, "fine", TestResult("green")),
        ("other", 3, "bad", TestResult("red")),
        ("other", 127, "sh: x: not found", TestResult("broken")),
        ("pytest", 127, "sh: python: not found", TestResult("broken")),
        ("pytest", None, "..", TestResult("timeout")),
    ],
)  # fmt: skip
def test_output_is_read(runner: Runner, code: int | None, output: str, wanted: TestResult) -> None:
    assert read_test_output(runner, code, output) == wanted


@given(
    st.sampled_from(["pytest", "unittest", "jest", "vitest", "node", "go", "cargo", "other"]),
    st.integers(1, 255),
    st.text(),
)
def test_a_command_that_fails_is_never_green(runner: Runner, code: int, output: str) -> None:
    assert read_test_output(runner, code, output).state != "green"


def test_only_new_failures_count() -> None:
    before, after = TestResult("red", ("a", "b")), TestResult("red", ("b", "c"))
    assert newly_failing(after, before) == ("c",)
    assert newly_failing(after, ["c"]) == ("b",)


RECORDED = Path(__file__).parent / "recorded"


@pytest.mark.parametrize(
    ("name", "runner", "wanted"),
    [
        ("vitest-4.1.12-red", "vitest", TestResult("red", ("tests/sum.test.js > wrong sum",), 1, 2)),
        ("vitest-4.1.12-none", "vitest", TestResult("none_collected")),
        ("jest-30.5.2-red", "jest", TestResult("red", ("sums \u203a wrong",), 1, 2)),
        ("jest-30.5.2-none", "jest", TestResult("none_collected")),
        ("go-1.27.3-canary", "go", TestResult("red", ("TestGitwrightCanary",), 1, 2)),
        ("go-1.27.3-broken", "go", TestResult("red", ("example.org/p",), 0, 1)),
    ],
)
def test_what_real_runners_said_is_read(name: str, runner: Runner, wanted: TestResult) -> None:
    assert read_test_output(runner, 1, (RECORDED / f"{name}.txt").read_text(encoding="utf-8")) == wanted
