"""Owns the question whether planning and work can succeed here: facts from outside in, findings out.

Finding(code, level, text, remedy); InstrumentationChecker(before).findings(probes). What concerns test runners
(`detect_test_command`, `read_test_output`, `newly_failing`, `canary`) is in bot/core/runners.py and offered here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bot.core import ecosystems, grants
from bot.core.canaries import is_canary
from bot.core.config import NO_TEST
from bot.core.dependencies import SetUp
from bot.core.runners import (
    CanaryFile,
    TestResult,
    canary,
    detect_test_command,
    newly_failing,
    read_test_output,
    runner_of,
)
from bot.core.sanitize import code
from bot.core.unboxed import WARNING

__all__ = [
    "CanaryFile",
    "Finding",
    "InstrumentationChecker",
    "Level",
    "Probes",
    "Standing",
    "TestResult",
    "blocking",
    "canary",
    "detect_test_command",
    "differing",
    "newly_failing",
    "read_test_output",
    "runner_of",
    "worst",
]

Level = Literal["ok", "degraded", "blocking"]
_SHOWN = 300  # characters of a failed set-up's end
MIN_GIT = (2, 38)  # merge-tree --write-tree
MIN_DISK = 1 << 30  # bytes
SOON = 3 * 86_400.0  # seconds; an access token that ends within them is told of
NEEDED = {"contents": "write", "issues": "write", "pull_requests": "write", "checks": "write"}
_SPARED = frozenset({"checks"})  # without it there is no check on pull requests, and all else works


def lacking(has: Mapping[str, str]) -> list[str]:
    """Name the permissions that the bot needs and was not granted."""
    return list(grants.lacking(has, NEEDED))


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one thing that planning or work needs."""

    code: str
    level: Level
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the bot may do in a repository, and for how many seconds more; None: nobody said so."""

    permissions: Mapping[str, str] | None = None
    expires_in: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """What was seen; None: not looked at. A text names what went wrong, an empty one means that nothing did."""

    git_version: str | None = None  # as `git --version` says it
    tools: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # tool -> what went wrong, what to do
    programs: Mapping[str, str] = field(
        default_factory=dict
    )  # what went wrong with those of declared commands
    token: str | None = None
    standing: Standing | None = None
    models: Mapping[str, str] = field(default_factory=dict)  # model -> what went wrong
    disk_free: int | None = None  # bytes
    disk: str | None = None  # writing to it
    worktree: str | None = None
    sandbox: str | None = None
    boxes: str | None = None  # of what level and kind: `medium, bubblewrap`, or `none`
    setup: SetUp | None = None  # None: nothing was set up
    test: str | None = None  # the command; None: none is known; `none`: switched off
    baseline: TestResult | None = None
    known_failing: tuple[str, ...] = ()
    canary: TestResult | Literal["unproved"] | None = None
    differing: tuple[str, ...] | None = None  # tests that did not end alike in two runs


@dataclass(frozen=True, slots=True)
class InstrumentationChecker:
    """Judges what was seen; what only work needs does not hold up planning."""

    before: Literal["planning", "work"]

    def findings(self, probes: Probes) -> tuple[Finding, ...]:
        """Give one finding for each thing looked at, in a fixed order."""
        return (
            *_host(probes),
            *_outside(probes),
            *(self._for_work(finding) for finding in _of_tests(probes)),
        )

    def _for_work(self, finding: Finding) -> Finding:
        if self.before == "planning" and finding.level == "blocking":
            return Finding(
                finding.code, "degraded", f"{finding.text} Planning goes on, work waits.", finding.remedy
            )
        return finding


def blocking(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Give the findings that keep the next step from starting."""
    return tuple(finding for finding in findings if finding.level == "blocking")


def worst(findings: tuple[Finding, ...]) -> int:
    """Rank findings by the worst of them: 0 where all is well."""
    levels: tuple[Level, ...] = ("ok", "degraded", "blocking")
    return max((levels.index(finding.level) for finding in findings), default=0)


def _host(probes: Probes) -> Iterator[Finding]:
    if probes.git_version is not None:
        yield _git(probes.git_version)
    for tool, (wrong, remedy) in sorted(probes.tools.items()):
        yield _simple("TOOL", f"`{tool}`", wrong, remedy)
    if probes.disk:
        yield _simple("DISK", "The disk", probes.disk, "The bot's data folder must be writable.")
    elif probes.disk_free is not None:
        free = f"{probes.disk_free / (1 << 30):.1f} GiB are free"
        level: Level = "ok" if probes.disk_free >= MIN_DISK else "blocking"
        yield Finding(
            "DISK", level, f"{free}.", "" if level == "ok" else "Free at least 1 GiB for worktrees."
        )
    if probes.worktree is not None:
        yield _simple(
            "WORKTREE", "A worktree", probes.worktree, "See the bot's log; its data folder must be writable."
        )
    if probes.sandbox:
        yield _simple(
            "SANDBOX", "The sandbox", probes.sandbox, "`gitwright doctor` where the bot runs says what to do."
        )
    elif probes.boxes == "none":
        yield Finding(
            "SANDBOX", "degraded", WARNING, "`gitwright doctor` where the bot runs says what a sandbox needs."
        )
    elif probes.boxes:
        yield Finding("SANDBOX", "ok", f"The sandbox works: {probes.boxes}.")


def _git(said: str) -> Finding:
    found = re.search(r"([0-9]+)\.([0-9]+)", said)
    if found and (int(found[1]), int(found[2])) >= MIN_GIT:
        return Finding("TOOL", "ok", f"git is {found[0]}.")
    text = f"git 2.38 or later is needed, it says `{said.strip()}`."
    return Finding("TOOL", "blocking", text, "Install a newer git where the bot runs.")


def _outside(probes: Probes) -> Iterator[Finding]:
    if probes.token is not None:
        yield _simple(
            "AUTH", "The access token", probes.token, "Check the App's installation and its permissions."
        )
    if probes.standing is not None:
        yield from _standing(probes.standing)
    working = [model for model, wrong in probes.models.items() if not wrong]
    for model, wrong in sorted(probes.models.items()):
        if wrong and working:
            yield Finding(
                "PROVIDER", "degraded", f"The model `{model}` does not answer: {wrong}.", "Another is used."
            )
        else:
            yield _simple(
                "PROVIDER", f"The model `{model}`", wrong, "Check the key, the quota and the model's name."
            )


def _standing(standing: Standing) -> Iterator[Finding]:
    """Tell what is missing; what is there in full is part of the token's own finding."""
    if standing.permissions is not None:
        lacks = lacking(standing.permissions)
        if lacks:
            named = ", ".join(f"`{name}: {NEEDED[name]}`" for name in lacks)
            level: Level = "degraded" if set(lacks) <= _SPARED else "blocking"
            remedy = "Grant them to the App or the token; for an App the owner has to accept them as well."
            yield Finding("AUTH", level, f"Permissions are missing: {named}.", remedy)
    if standing.expires_in is not None and standing.expires_in < SOON:
        hours = max(standing.expires_in, 0) / 3600
        text = f"The access token ends in {hours:.0f} hours." if hours else "The access token has expired."
        yield Finding(
            "AUTH", "degraded" if hours else "blocking", text, "Make a new token and start again with it."
        )


def _simple(code: str, what: str, wrong: str, remedy: str) -> Finding:
    if wrong:
        return Finding(code, "blocking", f"{what} cannot be used: {wrong.rstrip('.')}.", remedy)
    return Finding(code, "ok", f"{what} works.")


def _of_tests(probes: Probes) -> Iterator[Finding]:
    """Give what only work needs."""
    for program, wrong in sorted(probes.programs.items()):
        if wrong:  # those that work have been seen at work
            remedy = (
                f"Install `{program}` where the bot runs, or mend the command in `.github/gitwright.yml`."
            )
            yield Finding(
                "TOOL", "blocking", f"`{program}`, which a declared command starts: {wrong}.", remedy
            )
    yield from _setup(probes)
    yield from _baseline(probes)
    yield from _canary(probes)
    if probes.differing:
        text = f"Two runs on the same commit did not end alike: {_some(probes.differing)}."
        remedy = "Mend these tests; until then a failure of theirs is tried once more before it counts."
        yield Finding("DETERMINISM", "degraded", text, remedy)
    elif probes.differing is not None:
        yield Finding("DETERMINISM", "ok", "Two runs on the same commit ended alike.")


def differing(baseline: TestResult, again: TestResult) -> tuple[str, ...] | None:
    """Name the tests that failed in one of two runs only, the canary left out; None where nothing can be compared."""
    if not any(is_canary(test) for test in again.failed):
        return None
    return tuple(sorted(test for test in set(baseline.failed) ^ set(again.failed) if not is_canary(test)))


def _closed(refused: Sequence[str]) -> str:
    known = ecosystems.advice(refused)
    return "only package registries can be reached" + (
        f", those of this repository's languages; {known}" if known else ""
    )


def _setup(probes: Probes) -> Iterator[Finding]:
    made = probes.setup
    if made is None:
        return
    what = "What was detected to install the dependencies" if made.detected else "The set-up command"
    hosts = f"It was refused {_some(made.refused)}: {_closed(made.refused)}." if made.refused else ""
    if made.wrong:
        said = f" It said at its end: {code(made.output.strip()[-_SHOWN:])}." if made.output.strip() else ""
        remedy = (
            "Write `setup` in `.github/gitwright.yml`, or `setup: none`."
            if made.detected
            else "Mend `setup` in `.github/gitwright.yml`."
        )
        # Detected where the tests cannot run without: these are told of, and decide.
        level: Level = "degraded" if made.detected else "blocking"
        text = f"{what} cannot be used: {made.wrong}.{said} {hosts}".strip()
        yield Finding("SETUP", level, text, remedy)
        return
    yield Finding("SETUP", "ok", f"{what} works{_cost(made)}.")
    if hosts:
        yield Finding(
            "SETUP", "degraded", hosts, "Take what is missing from a registry, or put it into the repository."
        )
    if made.put_back:
        text = f"It changes files of the repository, which are put back: {_some(made.put_back)}."
        yield Finding("SETUP", "degraded", text, "Commit these files as it leaves them.")


def _cost(made: SetUp) -> str:
    """Say what a set-up took and left; nothing where it is set up in each worktree anew."""
    if not made.bytes:
        return ""
    return f": {made.bytes / 1e6:.0f} MB in {made.seconds:.0f} s, kept for later runs"


def _baseline(probes: Probes) -> Iterator[Finding]:
    if probes.test == NO_TEST:
        text = "Tests are switched off (`test: none`), so work is not verified."
        yield Finding("BASELINE", "degraded", text, "Set `test` in `.github/gitwright.yml`.")
    elif probes.test is None:
        remedy = "Set `test` in `.github/gitwright.yml`, or `test: none` to work without verification."
        yield Finding("BASELINE", "blocking", "No test command was found.", remedy)
    elif probes.baseline is not None:
        yield _judge_baseline(probes.test, probes.baseline, set(probes.known_failing))


def _judge_baseline(command: str, result: TestResult, known: set[str]) -> Finding:
    if result.state == "green":
        count = f", {result.collected} tests" if result.collected else ""
        return Finding("BASELINE", "ok", f"`{command}` is green on the base{count}.")
    if result.state == "red" and result.failed and set(result.failed) <= known:
        text = f"`{command}` fails only where it is known to fail ({len(result.failed)} tests)."
        return Finding("BASELINE", "degraded", text, "Verdicts count new failures only.")
    wrong = {
        "red": "is red on the base: " + (_some(result.failed) or "it ends with an error"),
        "none_collected": "finds no tests, which proves nothing",
        "timeout": "does not end in time",
        "broken": "cannot be run",
    }[result.state]
    remedy = "Mend the base, or list the failing tests under `known_failing` in `.github/gitwright.yml`."
    if result.state != "red":
        remedy = "Mend `test` or `setup` in `.github/gitwright.yml`."
    return Finding("BASELINE", "blocking", f"`{command}` {wrong}.", remedy)


def _some(ids: tuple[str, ...], limit: int = 5) -> str:
    shown = ", ".join(f"`{each}`" for each in ids[:limit])
    return shown + (f" and {len(ids) - limit} more" if len(ids) > limit else "")


def _canary(probes: Probes) -> Iterator[Finding]:
    if probes.canary is None:
        return
    if probes.canary == "unproved":
        remedy = "Verdicts hold as far as the test command can be trusted."
        yield Finding("CANARY", "degraded", "It is not proved that a failing test would be seen.", remedy)
    elif probes.canary.state == "red":
        yield Finding("CANARY", "ok", "A test that must fail was seen failing.")
    else:
        text = f"A test that must fail was not seen failing (the run was `{probes.canary.state}`)."
        yield Finding(
            "CANARY", "blocking", text, "The test command hides failures, or does not run new tests: mend it."
        )
