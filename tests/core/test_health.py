"""Health: every thing that can be wrong is found, said with a remedy, and blocks what it must."""

from __future__ import annotations

from dataclasses import replace

import pytest
from inline_snapshot import snapshot

from bot.core import ecosystems
from bot.core.dependencies import SetUp
from bot.core.health import (
    Finding,
    InstrumentationChecker,
    Probes,
    Standing,
    TestResult,
    blocking,
    differing,
)

GREEN, RED = TestResult("green", (), 3, 3), TestResult("red", ("t.py::test_a",), 2, 3)
WELL = Probes(
    git_version="git version 2.39.5 (Apple Git-154)",
    tools={"sh": ("", "")},
    token="",
    models={"scripted": ""},
    disk_free=5 << 30,
    worktree="",
    boxes="medium, bubblewrap",
    setup=SetUp(command="make deps"),
    test="python -m pytest -q",
    baseline=GREEN,
    canary=RED,
)


def test_a_healthy_repository() -> None:
    found = InstrumentationChecker("work").findings(WELL)
    assert {finding.level for finding in found} == {"ok"}
    assert [f"{finding.code}: {finding.text}" for finding in found] == snapshot(
        [
            "TOOL: git is 2.39.",
            "TOOL: `sh` works.",
            "DISK: 5.0 GiB are free.",
            "WORKTREE: A worktree works.",
            "SANDBOX: The sandbox works: medium, bubblewrap.",
            "AUTH: The access token works.",
            "PROVIDER: The model `scripted` works.",
            "SETUP: The set-up command works.",
            "BASELINE: `python -m pytest -q` is green on the base, 3 tests.",
            "CANARY: A test that must fail was seen failing.",
        ]
    )


@pytest.mark.parametrize(
    ("change", "code", "level"),
    [
        ({"git_version": "git version 2.30.2"}, "TOOL", "blocking"),
        ({"git_version": "command not found"}, "TOOL", "blocking"),
        ({"tools": {"node": ("not found", "Install it.")}}, "TOOL", "blocking"),
        ({"programs": {"make": "it is not installed", "sh": ""}}, "TOOL", "blocking"),
        ({"disk": "read-only file system"}, "DISK", "blocking"),
        ({"standing": Standing({"contents": "read", "issues": "write", "pull_requests": "write", "checks": "write"})}, "AUTH", "blocking"),
        ({"standing": Standing({"contents": "write", "issues": "write", "pull_requests": "write"})}, "AUTH", "degraded"),
        ({"standing": Standing(None, 3600.0)}, "AUTH", "degraded"),
        ({"standing": Standing(None, -1.0)}, "AUTH", "blocking"),
        ({"differing": ("t.py::test_a",)}, "DETERMINISM", "degraded"),
        ({"token": "401 Bad credentials"}, "AUTH", "blocking"),
        ({"models": {"a:b": "no quota"}}, "PROVIDER", "blocking"),
        ({"models": {"a:b": "no quota", "c:d": ""}}, "PROVIDER", "degraded"),
        ({"disk_free": 1000}, "DISK", "blocking"),
        ({"worktree": "read-only file system"}, "WORKTREE", "blocking"),
        ({"sandbox": "bwrap is missing"}, "SANDBOX", "blocking"),
        ({"boxes": "none"}, "SANDBOX", "degraded"),
        ({"setup": SetUp(command="make deps", wrong="pip failed")}, "SETUP", "blocking"),
        ({"test": None, "baseline": None, "canary": None}, "BASELINE", "blocking"),
        ({"test": "none", "baseline": None, "canary": None}, "BASELINE", "degraded"),
        ({"baseline": RED}, "BASELINE", "blocking"),
        ({"baseline": RED, "known_failing": ("t.py::test_a",)}, "BASELINE", "degraded"),
        ({"baseline": TestResult("red")}, "BASELINE", "blocking"),
        ({"baseline": TestResult("none_collected")}, "BASELINE", "blocking"),
        ({"baseline": TestResult("timeout")}, "BASELINE", "blocking"),
        ({"baseline": TestResult("broken")}, "BASELINE", "blocking"),
        ({"canary": GREEN}, "CANARY", "blocking"),
        ({"canary": TestResult("none_collected")}, "CANARY", "blocking"),
        ({"canary": "unproved"}, "CANARY", "degraded"),
    ],
)  # fmt: skip
def test_each_fault_is_found_alone_and_with_a_remedy(
    change: dict[str, object], code: str, level: str
) -> None:
    found = InstrumentationChecker("work").findings(replace(WELL, **change))  # type: ignore[arg-type]
    bad = [finding for finding in found if finding.level != "ok"]
    assert [(finding.code, finding.level) for finding in bad] == [(code, level)]
    assert bad[0].remedy
    assert bool(blocking(found)) == (level == "blocking")


@pytest.mark.parametrize(
    "change",
    [
        {"programs": {"make": "it is not installed"}},
        {"baseline": RED},
        {"setup": SetUp(command="make deps", wrong="failed")},
        {"canary": GREEN},
        {"test": None},
    ],
)
def test_a_red_base_does_not_stop_planning(change: dict[str, object]) -> None:
    found = InstrumentationChecker("planning").findings(replace(WELL, **change))  # type: ignore[arg-type]
    assert blocking(found) == ()
    assert any("Planning goes on, work waits." in finding.text for finding in found)


def test_what_was_not_looked_at_is_not_reported() -> None:
    assert InstrumentationChecker("planning").findings(Probes(test="x")) == ()


def test_a_red_base_is_told_with_its_tests() -> None:
    many = TestResult("red", tuple(f"t.py::test_{n}" for n in range(8)))
    found = InstrumentationChecker("work").findings(Probes(test="make test", baseline=many))
    assert found == snapshot(
        (
            Finding(
                code="BASELINE",
                level="blocking",
                text="`make test` is red on the base: `t.py::test_0`, `t.py::test_1`, `t.py::test_2`, `t.py::test_3`, `t.py::test_4` and 3 more.",
                remedy="Mend the base, or list the failing tests under `known_failing` in `.github/gitwright.yml`.",
            ),
        )
    )
    assert isinstance(found[0], Finding)


def test_the_second_run_is_compared_without_the_canary() -> None:
    again = TestResult("red", ("tests/test_gitwright_canary.py::test_gitwright_canary", "t.py::test_b"))
    assert differing(RED, again) == ("t.py::test_a", "t.py::test_b")
    assert differing(TestResult("red", ("t.py::test_b",)), again) == ()
    assert differing(GREEN, RED) is None


def test_a_set_up_tells_what_it_took_and_what_it_was_refused() -> None:
    def told(made: SetUp) -> tuple[Finding, ...]:
        return InstrumentationChecker("work").findings(replace(WELL, setup=made))

    made = SetUp(command="make deps", seconds=12.3, bytes=85_400_000)
    [fine] = [f for f in told(made) if f.code == "SETUP"]
    assert (fine.level, fine.text) == ("ok", "The set-up command works: 85 MB in 12 s, kept for later runs.")
    lacking = replace(made, refused=("evil.example.org",), put_back=("app.py",))
    texts = [f.text for f in told(lacking) if f.code == "SETUP" and f.level == "degraded"]
    assert texts == [
        "It was refused `evil.example.org`: only package registries can be reached.",
        "It changes files of the repository, which are put back: `app.py`.",
    ]
    closed = replace(made, refused=("registry.npmjs.org",))
    [text] = [f.text for f in told(closed) if f.level == "degraded"]
    assert text == (
        "It was refused `registry.npmjs.org`: only package registries can be reached, those of this repository's languages; "
        f"{ecosystems.advice(closed.refused)}."
    )
    failed = replace(
        lacking, detected=True, wrong="it ended with exit code 1", output="pip: `no` | such\nthing"
    )
    [only] = [f for f in told(failed) if f.code == "SETUP"]
    assert only.level == "degraded"
    assert "``pip: `no` | such thing``" in only.text
    assert "\n" not in only.text
