"""Owns what the commands of local mode share: options, signals, and how they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from bot.core.ids import LOCAL_TRACK_ID
from bot.errors import BotError, UserError
from bot.local.clone import Clone, find_clone
from bot.local.progress import Display, display

T = TypeVar("T")
Option = Callable[[Callable[..., None]], Callable[..., None]]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that all three commands have."""
    shared: tuple[Option, ...] = (
        click.option(
            "--repo", type=_FOLDER, default=Path(), help="A folder of the clone (default: this one)."
        ),
        click.option("--base", metavar="REV", help="The commit to start from (default: HEAD)."),
        click.option(
            "--script", type=FILE, help="Script that drives models and agent, both named `scripted`."
        ),
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            help="Print the result as JSON, and progress on standard error.",
        ),
    )
    for option in reversed(shared):
        command = option(command)
    return command


def run(name: str, work: Callable[[Display], Coroutine[Any, Any, T]], *, as_json: bool) -> T:
    """Run a command's work to its end; where it fails its problem is printed and the process exits with 1."""
    try:
        with display(to_stderr=as_json) as shown:
            return asyncio.run(_interruptible(work(shown)))
    except BotError as error:
        if not as_json:
            raise
        print_json({"command": name, "status": "failed", "problem": str(error)})
        raise SystemExit(1) from error


def clone_of(folder: Path) -> Clone:
    """Find the clone of --repo; anything else there is wrong usage."""
    try:
        return asyncio.run(find_clone(folder))
    except UserError as error:
        raise click.UsageError(str(error)) from error


async def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    """End in order at the first SIGINT or SIGTERM, at once at the second; UserError says how to go on."""
    task = asyncio.ensure_future(work)
    stopped: list[int] = []

    def stop(number: int) -> None:
        if stopped:
            os._exit(1)  # the warden ends what this process started
        stopped.append(number)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not stopped:
            raise
        name = signal.Signals(stopped[0]).name
        raise UserError(f"Stopped by {name}; nothing is lost. The same command goes on.") from None


def print_json(data: Mapping[str, object]) -> None:
    """Print the one JSON object that a command gives."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


class TrackName(click.ParamType[str, str]):
    """A free-form name that is good in branches, folders and files."""

    name = "NAME"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None) -> str:
        if len(value) > 60 or value.endswith(".lock") or not LOCAL_TRACK_ID.fullmatch(value):
            self.fail(
                f"`{value}` cannot name branches: at most 60 letters, digits, `-`, and single `.` or `_` between them.",
                param,
                context,
            )
        return value
