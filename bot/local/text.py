"""Owns lines that several commands of local mode print."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bot.core import messages
from bot.core.backlog import Problem
from bot.core.health import Finding
from bot.core.plan_file import PlanProblem
from bot.core.values import Usage


def about_findings(findings: Sequence[Finding]) -> list[str]:
    """Say what is not as it should be, with its remedy."""
    return [f"{f.level}: {f.code}: {f.text} {f.remedy}".rstrip() for f in findings if f.level != "ok"]


def unmarked(markdown: str) -> str:
    """Take the backslashes out of a text that was written for a comment."""
    return re.sub(r"\\([\\_*`\[\]<>#|~])", r"\1", markdown)


def usage_line(usage: Usage) -> str:
    return f"cost: {messages.usage(usage)} in {messages.count(usage.requests, 'model request')}"


def shown(path: Path) -> str:
    """Name a file as a person would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def in_repo(repo: Path) -> str:
    """Repeat --repo where it was given."""
    return "" if repo == Path() else f" --repo {repo}"


def about_problem(file: str, problem: PlanProblem | Problem) -> str:
    """Say what is wrong with a file, at a place that editors understand."""
    severity = getattr(problem, "severity", "error")
    return f"{file}:{problem.line}:{problem.column}: {severity}: {problem.code}: {problem.message}. {problem.hint}".strip()
