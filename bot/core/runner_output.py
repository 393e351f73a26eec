"""Owns what the output of a test run says: which tests failed, and whether any ran at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Runner = Literal["pytest", "unittest", "jest", "vitest", "node", "go", "cargo", "other"]
State = Literal["green", "red", "none_collected", "timeout", "broken"]

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_NOT_RUN = frozenset({126, 127})  # what a shell answers where a command is missing or is no program


@dataclass(frozen=True, slots=True)
class TestResult:
    """What a run of the tests showed; `failed` holds the ids that the runner names, sorted."""

    __test__ = False  # pytest collects classes by this name

    state: State
    failed: tuple[str, ...] = ()
    passed: int | None = None
    collected: int | None = None  # None: the runner does not say


@dataclass(frozen=True, slots=True)
class _Counts:
    failed: tuple[str, ...] = ()
    passed: int | None = None
    other: int | None = None  # failed, in error or skipped
    broken: bool = False  # the tests could not be loaded


def read_test_output(runner: Runner, code: int | None, output: str) -> TestResult:
    """Judge a run by its exit code (None: timed out) and its output; only a run with tests can be green."""
    if code is None:
        return TestResult("timeout")
    if code in _NOT_RUN:
        return TestResult("broken")
    text = _ANSI.sub("", output).replace("\r\n", "\n")
    counts = _READERS[runner](text)
    known = counts.passed is not None or counts.other is not None
    collected = (counts.passed or 0) + (counts.other or 0) if known else None
    failed = tuple(sorted(set(counts.failed)))
    return TestResult(_state(runner, code, text, counts, collected), failed, counts.passed, collected)


def _state(runner: Runner, code: int, text: str, counts: _Counts, collected: int | None) -> State:
    if _nothing_ran(runner, code, text, collected):
        return "none_collected"
    if code == 0:
        return "green" if not counts.failed else "red"
    if counts.broken and not counts.failed:
        return "broken"
    if runner == "pytest" and code in (2, 3, 4) and not counts.failed:
        return "broken"
    return "red"


def _nothing_ran(runner: Runner, code: int, text: str, collected: int | None) -> bool:
    if runner == "pytest":
        return code == 5 or (code == 0 and not collected)
    if runner == "unittest":
        return code == 5 or (code == 0 and not collected)
    if runner in ("jest", "vitest"):
        return re.search(r"^No tests? (files? )?found", text, re.M) is not None or (
            code == 0 and collected == 0
        )
    if runner in ("node", "go", "cargo"):
        return code == 0 and not collected
    return False


def newly_failing(after: TestResult, before: TestResult | Iterable[str]) -> tuple[str, ...]:
    """Give the tests that fail now and did not before, sorted."""
    known = set(before.failed if isinstance(before, TestResult) else before)
    return tuple(test for test in after.failed if test not in known)


# --- one reader for each runner ------------------------------------------------------------------
# Agents write what is read here: no pattern crosses a line's end where it could begin at each of many lines, none
# looks at a character from more than a few beginnings, and no number is longer than one can be.

_N = "(?<![0-9])([0-9]{1,9})"


def _number(pattern: str, text: str) -> int:
    """Give the number in the last line that matches, 0 without one."""
    found = re.findall(pattern, text, re.M)
    return int(found[-1]) if found else 0


def _pytest(text: str) -> _Counts:
    ids = re.findall(r"^(?:FAILED|ERROR) (\S[^\[\n]*?(?:\[.*?\])?)(?: - .*)?$", text, re.M)
    summary = [line for line in text.splitlines() if re.search(r"\bin [0-9.]+s\b", line)]
    if not summary:
        return _Counts(tuple(ids), broken=True)
    last = summary[-1]
    passed = _number(rf"{_N} passed", last)
    other = sum(
        _number(rf"{_N} {word}", last) for word in ("failed", "errors?", "skipped", "xfailed", "xpassed")
    )
    return _Counts(tuple(ids), passed, other)


def _unittest(text: str) -> _Counts:
    ids = [
        _dotted(name, where)
        for name, where in re.findall(r"^(?:FAIL|ERROR): (\S+)(?: \(([^)\n]*)\))?", text, re.M)
    ]
    ran = re.findall(rf"^Ran {_N} tests?", text, re.M)
    if not ran:
        return _Counts(tuple(ids), broken=True)
    bad = _number(rf"failures={_N}", text) + _number(rf"errors={_N}", text)
    skipped = _number(rf"skipped={_N}", text)
    total = int(ran[-1])
    return _Counts(tuple(ids), max(total - bad - skipped, 0), min(bad + skipped, total))


def _dotted(name: str, where: str) -> str:
    """Name a test by its dotted path; Python 3.11 repeats the method's name in it, 3.10 does not."""
    return where if not where or where.endswith("." + name) else f"{where}.{name}"


def _jest(text: str) -> _Counts:
    ids = [name.strip() for name in re.findall(r"^[ \t]*● (.*\S.*)$", text, re.M)]
    ids += re.findall(r"^FAIL[ \t]+(\S+)", text, re.M) if not ids else []
    line = re.findall(r"^[ \t]*Tests:[ \t]+(.*)$", text, re.M)
    if not line:
        return _Counts(tuple(ids), broken=not ids)
    passed = _number(rf"{_N} passed", line[-1])
    return _Counts(tuple(ids), passed, max(_number(rf"{_N} total", line[-1]) - passed, 0))


def _vitest(text: str) -> _Counts:
    # The list of each file's tests marks failures, too, but without the file; it stands alone where a run was cut.
    form = r"^[ \t]*{}[ \t]+(\S.*)$"
    found = re.findall(form.format("FAIL"), text, re.M) or re.findall(form.format("\u00d7"), text, re.M)
    ids = [_untimed(name.split()) for name in found]
    line = re.findall(r"^[ \t]*Tests[ \t]+(.*)$", text, re.M)
    if not line:
        return _Counts(tuple(ids), broken=not ids)
    passed = _number(rf"{_N} passed", line[-1])
    total = _number(rf"\({_N}\)", line[-1]) or passed
    return _Counts(tuple(ids), passed, max(total - passed, 0))


def _untimed(words: list[str]) -> str:
    """Join the words of a test's name, without the time that it took."""
    timed = len(words) > 1 and re.fullmatch(r"[0-9.]+m?s", words[-1])
    return " ".join(words[:-1] if timed else words)


def _node(text: str) -> _Counts:
    """Read TAP, or what node shows on a terminal; of a failing group only the tests in it are named."""
    blocks = re.findall(r"^ *not ok [0-9]+ - (.*)\n(?: *---\n((?:(?! *\.\.\.$).*\n)*))?", text, re.M)
    ids = [name for name, facts in blocks if "'subtestsFailed'" not in facts]
    groups = set(re.findall(r"^[ \t]*\u25b6 (.+?)(?: \([0-9.]+ms\))?$", text, re.M))
    shown = re.findall(r"^[ \t]*\u2716 (.+?) \([0-9.]+ms\)(.*)$", text, re.M)
    ids += [f"{name}{more}" for name, more in shown if name not in groups]
    failed = tuple(_node_id(name) for name in ids if not re.search(r" # (?:TODO|SKIP)\b", name))
    counts = {word: _number(rf"^(?:#|\u2139) {word} {_N}$", text) for word in ("tests", "pass")}
    if not re.search(r"^(?:#|\u2139) tests [0-9]+$", text, re.M):
        return _Counts(failed, broken=True)
    return _Counts(failed, counts["pass"], max(counts["tests"] - counts["pass"], 0))


def _node_id(name: str) -> str:
    """Name a test; a file that could not be loaded by its own name alone, as its folder differs from run to run."""
    name = name.replace("\\#", "#").strip()
    return name.rpartition("/")[2] if re.fullmatch(r"/\S+\.[cm]?[jt]s", name) else name


def _go(text: str) -> _Counts:
    """Without -v go names no test that passed, so a green package counts as one."""
    ids = re.findall(r"^[ \t]*--- FAIL: (\S+)", text, re.M)
    packages = re.findall(r"^FAIL[ \t]+(\S+)", text, re.M)
    green = [
        line for line in text.splitlines() if re.match(r"ok\s+\S", line) and "[no tests to run]" not in line
    ]
    passed = len(re.findall(r"^[ \t]*--- PASS: ", text, re.M)) or len(green)
    return _Counts(tuple(ids or packages), passed, len(ids or packages))


def _cargo(text: str) -> _Counts:
    ids = re.findall(r"^test (\S+) \.\.\. FAILED", text, re.M)
    counted = rf"^test result: .*?{_N} passed; {_N} failed; {_N} ignored"
    results = re.findall(counted, text, re.M)
    if not results:
        return _Counts(tuple(ids), broken=True)
    passed = sum(int(each[0]) for each in results)
    return _Counts(tuple(ids), passed, sum(int(each[1]) + int(each[2]) for each in results))


def _other(_: str) -> _Counts:
    return _Counts()


_READERS: dict[Runner, Callable[[str], _Counts]] = {
    "pytest": _pytest,
    "unittest": _unittest,
    "jest": _jest,
    "vitest": _vitest,
    "node": _node,
    "go": _go,
    "cargo": _cargo,
    "other": _other,
}
