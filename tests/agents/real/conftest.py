"""Owns the table that `make test-agents` ends with."""

from __future__ import annotations

from typing import Any

from tests.agents.real.stage import HEAD, ROWS


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if ROWS:
        terminalreporter.section("what the agents took")
        for line in (HEAD, *ROWS.values()):
            terminalreporter.line(line)
