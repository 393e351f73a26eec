"""Owns how an examination is told: a table on a terminal, plain lines elsewhere, a list for programs."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bot.doctor.check import LEVELS, Result
from bot.doctor.examine import Examined
from bot.ports import JsonDict

_STYLE = {"ok": "green", "warning": "yellow", "failed": "bold red", "unknown": "magenta"}


def as_json(found: Examined) -> list[JsonDict]:
    """Give one object for each finding; `repository` is null for what concerns the bot itself."""
    return [
        {
            "check": each.check,
            "repository": each.repository,
            "level": each.finding.level,
            "text": each.finding.text,
            "next": each.finding.step or None,
            "details": list(each.finding.details),
            "done": list(each.done),
        }
        for each in found.results
    ]


def as_lines(found: Examined) -> list[str]:
    """Give plain lines: what was found, its particulars, what was done, and the next step."""
    lines: list[str] = []
    subject: str | None = None
    for each in found.results:
        if each.repository != subject:
            lines.append(f"{each.repository}:")
            subject = each.repository
        lines.append(f"{each.finding.level:<8} {each.check:<22} {each.finding.text}")
        lines += [f"{'':<31} {line}" for line in _more(each)]
    return [*lines, *found.notes, summary(found)]


def _more(result: Result) -> list[str]:
    finding = result.finding
    details = [f"- {line}" for line in finding.details]
    done = [f"done: {line}" for line in result.done]
    return [*details, *done, *([f"next: {finding.step}"] if finding.step else [])]


def summary(found: Examined) -> str:
    """Count the findings in one line."""
    counts = Counter(each.finding.level for each in found.results)
    return ", ".join(f"{counts[level]} {level}" for level in LEVELS if counts[level]) + "."


def show(found: Examined, stream: TextIO = sys.stdout) -> None:
    """Print for people."""
    if not stream.isatty():
        for line in as_lines(found):
            print(line, file=stream)
        return
    console = Console(file=stream)
    for subject in dict.fromkeys(each.repository for each in found.results):
        table = Table(title=subject or "The bot", title_justify="left", show_lines=False, expand=True)
        table.add_column("", no_wrap=True)
        table.add_column("check", no_wrap=True)
        table.add_column("finding", ratio=1)
        for each in found.results:
            if each.repository == subject:
                level = Text(each.finding.level, style=_STYLE[each.finding.level])
                # As text: what repositories and servers say is no markup.
                table.add_row(level, each.check, Text("\n".join([each.finding.text, *_more(each)])))
        console.print(table)
    for note in (*found.notes, summary(found)):
        console.print(Text(note))
