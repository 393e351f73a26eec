"""`gitwright validate`: says what is wrong with settings and backlog files, at places that editors understand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from bot.core import messages
from bot.errors import UserError
from bot.local import command as local
from bot.local.text import about_problem, shown
from bot.local.validate import Validated, find_files, validate
from handlers.commands import COMMANDS


@click.command("validate")
@click.argument("paths", nargs=-1, type=local.FILE, metavar="[PATH]...")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def command(context: click.Context, /, paths: tuple[Path, ...], as_json: bool) -> None:
    """Check settings and backlog files, as the bot would read them.

    PATHs are .github/gitwright.yml and BACKLOG.yaml files, told apart by their names, or by what stands in them.
    Without any, those of the clone around this folder are checked. Errors make the exit status 1; warnings do not.
    """
    found = asyncio.run(_validated(paths, Path.cwd()))
    if as_json:
        local.print_json(_json(found))
    else:
        click.echo("\n".join(_lines(found)))
    context.exit(1 if any(each.errors for each in found) else 0)


async def _validated(paths: Sequence[Path], here: Path) -> list[Validated]:
    if not paths:
        try:
            paths = await find_files(here)
        except UserError as error:
            raise click.UsageError(str(error)) from error
    return await validate(paths, {each.name: each.least for each in COMMANDS})


def _lines(found: Sequence[Validated]) -> list[str]:
    if not found:
        return ["There is neither .github/gitwright.yml nor a BACKLOG.yaml here: the defaults hold."]
    lines = [about_problem(shown(each.path), problem) for each in found for problem in each.problems]
    return [*lines, *(f"{shown(each.path)}: {_verdict(each)}" for each in found)]


def _verdict(one: Validated) -> str:
    warned = f"{messages.count(one.warnings, 'warning')}" if one.warnings else ""
    if one.errors:
        return ", ".join(filter(None, (messages.count(one.errors, "error"), warned)))
    return f"valid{f', with {warned}' if warned else ''}"


def _json(found: Sequence[Validated]) -> dict[str, object]:
    return {
        "command": "validate",
        "status": "invalid" if any(each.errors for each in found) else "valid",
        "files": [
            {
                "path": shown(each.path),
                "kind": each.kind,
                "errors": each.errors,
                "warnings": each.warnings,
                "problems": [
                    {
                        "line": problem.line,
                        "column": problem.column,
                        "severity": problem.severity,
                        "code": problem.code,
                        "message": problem.message,
                        "hint": problem.hint,
                        "task": problem.task,
                    }
                    for problem in each.problems
                ],
            }
            for each in found
        ],
    }
