"""The command line: one file for each command, and the table of all of them."""

from __future__ import annotations

import ast
import gc
import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import click

from bot import __version__
from bot.errors import BotError

# name -> module with a click command called `command`; imported when it is used, so that help is quick
COMMANDS: dict[str, str] = {
    "backlog": "bot.cli.backlog",
    "demo": "bot.cli.demo",
    "doctor": "bot.cli.doctor",
    "forge": "bot.cli.forge",
    "implement": "bot.cli.implement",
    "plan": "bot.cli.plan",
    "replay": "bot.cli.replay",
    "send-webhook": "bot.cli.send_webhook",
    "serve": "bot.cli.serve",
    "validate": "bot.cli.validate",
}


class _Table(click.Group):
    """Loads a command's module when the command is used."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        found = _loaded(COMMANDS[name]).command
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands; what they say of themselves is read, since importing them all takes a second."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_sentence(module)) for name, module in sorted(COMMANDS.items())])


def _loaded(name: str) -> ModuleType:
    """Import a command; what modules are made of stays, and looking for garbage in it takes a fifth of a server's start."""
    if name in sys.modules or not gc.isenabled():
        return importlib.import_module(name)
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def _first_sentence(module: str) -> str:
    found = find_spec(module)
    assert found is not None
    assert found.origin is not None
    tree = ast.parse(Path(found.origin).read_bytes())
    commands = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "command"]
    text = " ".join((ast.get_docstring(commands[0]) or "").partition("\n\n")[0].split())
    return text.partition(". ")[0].partition("; ")[0].rstrip(".") + "."


@click.command(cls=_Table)
@click.version_option(__version__, prog_name="gitwright")
def gitwright() -> None:
    """Label an issue, review a plan, merge pull requests."""


def main() -> None:
    """Run a command: exit 0 ok, 1 a finding or a failure, 2 wrong usage."""
    try:
        gitwright(prog_name="gitwright")
    except BotError as error:
        click.echo(f"gitwright: {error}", err=True)
        sys.exit(1)
