"""Owns the table of what was tried, at the end of the run of the escape suite."""

from __future__ import annotations

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print each probe; the rows come with the reports, from whatever process they ran in."""
    reports = [report for name in ("passed", "failed") for report in terminalreporter.stats.get(name, ())]
    rows = sorted({value for report in reports for key, value in report.user_properties if key == "escape"})
    if rows:
        terminalreporter.section("ways out of a box")
        for row in ("| user | probe | without | in boxes | the wall |", "|---|---|---|---|---|", *rows):
            terminalreporter.line(row)
