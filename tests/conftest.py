"""Owns what every test run says: its seeds at the start, and at the end what was left out because something is missing."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Generator, Iterable
from typing import Any, TypeVar, cast

import pytest
import structlog
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.again", "tests.judges.plugin", "tests.stories.struck"]

# A skip that holds on every machine of this kind (another operating system, say) starts with these words;
# any other skip means that a component is missing here.
DOES_NOT_APPLY = "does not apply"
REQUIRE_ALL = os.environ.get("GITWRIGHT_REQUIRE") == "all"
EXAMPLES = {"reduced": 30, "full": 1_000}

for _name, _examples in EXAMPLES.items():
    settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,  # shared and noisy machines: a slow example is no failure
        database=None,  # a run depends on its seed alone
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "reduced")
settings.load_profile(PROFILE)

# By default a traceback is drawn with every local value: minutes for one crash, longer than a test may take.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def pytest_report_header(config: pytest.Config) -> str:
    return _seeds(config)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without looking for garbage: all of it lives to the end, and looking through it again and again is half the work."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _judged(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _judged(report)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reports = cast(Iterable[Any], terminalreporter.stats.get("skipped", ()))
    reasons = Counter(_reason(report) for report in reports)
    left_out = {reason: count for reason, count in reasons.items() if not reason.startswith(DOES_NOT_APPLY)}
    terminalreporter.section("left out because something is missing here")
    for reason, count in sorted(left_out.items()):
        terminalreporter.line(f"{count} x {reason}")
    if not left_out:
        terminalreporter.line("nothing")
    terminalreporter.line(_seeds(config))


def _judged(report: Report) -> Report:
    """Turn a skip into a failure where nothing may be left out."""
    expected = hasattr(report, "wasxfail")
    if REQUIRE_ALL and report.skipped and not expected and not _reason(report).startswith(DOES_NOT_APPLY):
        report.outcome = "failed"
        report.longrepr = f"left out, and GITWRIGHT_REQUIRE=all: {_reason(report)}"
    return report


def _reason(report: Any) -> str:
    """Give the sentence of a skip; its report carries (file, line, "Skipped: sentence")."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return str(text).removeprefix("Skipped: ")


def _seeds(config: pytest.Config) -> str:
    seed = config.getoption("--hypothesis-seed", default=None)
    return (
        f"seeds: hypothesis {seed if seed is not None else 'random'}, "
        f"profile {PROFILE} ({EXAMPLES.get(PROFILE, '?')} examples a property)"
        f"{'; what is left out fails' if REQUIRE_ALL else ''}"
    )
