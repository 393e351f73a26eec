"""pytest plugin: names what passed only when it was run once more, and fails a run in which that was the rule.

`make check` gives a failed test a second run, since a machine with two busy cores may stand still for longer than any
patience; `make test` gives none. Whatever is named here is to be mended, as a test or as the product.
"""

from __future__ import annotations

from typing import Any

import pytest

MOST = 3  # tests: more of them tell of something that is broken, not of a machine


class Again:
    """Takes down which tests were run once more, and why, in whichever worker process."""

    def __init__(self) -> None:
        self.tests: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if str(report.outcome) == "rerun":
            self.tests.setdefault(report.nodeid, f"{report.longreprtext}\n{report.caplog}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if len(self.tests) > MOST and not hasattr(session.config, "workeroutput"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.tests:
            return
        terminalreporter.section("failed, and were run once more")
        for test, why in sorted(self.tests.items()):
            terminalreporter.write_line(test, red=True)
            terminalreporter.write_line(why)
        if len(self.tests) > MOST:
            terminalreporter.write_line(f"more than {MOST}: the run counts as failed", red=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Again(), "again")
