"""Owns how a command says how far it is: a bar on a terminal, plain lines everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)


class Display(Protocol):
    """Where a command tells what happens."""

    def tell(self, line: str) -> None:
        """Say one thing that happened."""

    def step(self, done: int, total: int, doing: str) -> None:
        """Say how far it is, and what is being done; told over and over."""


class Lines:
    """Prints what happens; how far it is shows by itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def tell(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def step(self, done: int, total: int, doing: str) -> None:
        """A bar's matter."""


class Bars:
    """Keeps one bar below the lines."""

    def __init__(self, console: Console, bar: Progress) -> None:
        self._console = console
        self._bar = bar
        self._task = bar.add_task("", total=None)

    def tell(self, line: str) -> None:
        self._console.print(escape(line), highlight=False, soft_wrap=True)

    def step(self, done: int, total: int, doing: str) -> None:
        self._bar.update(self._task, completed=done, total=total, description=escape(doing))


@contextmanager
def display(*, to_stderr: bool) -> Iterator[Display]:
    """Show progress where a person looks: on standard error where standard output carries data."""
    stream = sys.stderr if to_stderr else sys.stdout
    if not stream.isatty():
        yield Lines(stream)
        return
    console = Console(file=stream)
    columns = (
        SpinnerColumn(),
        BarColumn(20),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield Bars(console, bar)
