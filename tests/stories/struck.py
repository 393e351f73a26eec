"""pytest plugin: what struck in the chaos stories of a run, over all worker processes.

A fault that never strikes proves nothing: what was drawn `OFTEN` and struck in no story fails the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from tests.stories.scripts import JsonDict

PROPERTY = "chaos"
OFTEN = 5  # stories


def summed(seed: int, way: str, faults: Iterable[JsonDict]) -> JsonDict:
    """Give what a story's report bears: which faults there were, and how often each struck."""
    listed = [[each["kind"], each["route"] or each["event"], each["hits"]] for each in faults]
    return {"seed": seed, "way": way, "faults": listed}


class Tally:
    """Takes what the reports of chaos stories bear, wherever they were played."""

    def __init__(self) -> None:
        self.stories: list[JsonDict] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.stories += [told for name, told in report.user_properties if name == PROPERTY]  # type: ignore[misc]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.never() and not hasattr(session.config, "workeroutput"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.stories:
            return
        terminalreporter.section("chaos")
        for told in sorted(self.stories, key=lambda each: each["seed"]):
            shown = ", ".join(f"{kind} {where or 'all'}: {hits}" for kind, where, hits in told["faults"])
            terminalreporter.line(f"seed {told['seed']} over {told['way']}: {shown}")
        for what in self.never():
            terminalreporter.line(f"drawn {OFTEN} times or more, and struck nowhere: {what}", red=True)

    def never(self) -> list[str]:
        """Name the kinds, routes and events that were drawn often and never struck."""
        drawn: Counter[str] = Counter()
        struck: Counter[str] = Counter()
        for told in self.stories:
            for kind, where, hits in told["faults"]:
                for what in (kind, where or "all"):
                    drawn[what] += 1
                    struck[what] += hits
        return sorted(what for what, count in drawn.items() if count >= OFTEN and not struck[what])


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Tally(), "chaos-tally")
