"""`gitwright implement`: works on every task of a BACKLOG.yaml in a local clone, one branch for each."""

from __future__ import annotations

from pathlib import Path

import click

from bot.local import command as local
from bot.local.implement import Implemented, ImplementOrder, implement
from bot.local.progress import Display
from bot.local.report import implement_json, implement_text


@click.command("implement")
@click.option(
    "--backlog-file", type=local.FILE, required=True, help="BACKLOG.yaml; what it says is exactly what runs."
)
@click.option("--merge", is_flag=True, help="Merge each finished branch into the branch that is checked out.")
@local.options
@click.pass_context
def command(
    context: click.Context,
    /,
    backlog_file: Path,
    merge: bool,
    repo: Path,
    base: str | None,
    script: Path | None,
    as_json: bool,
) -> None:
    """Work on a backlog's tasks in parallel, without GitHub.

    Each task ends as branch agent/<track>/<task>-a<attempt>, verified by its tests. The working tree, the index and
    HEAD are touched only with --merge. Stopped or killed, the same command goes on; what failed is tried again.
    """
    clone = local.clone_of(repo)
    if backlog_file.name != "BACKLOG.yaml":
        raise click.UsageError(
            "The file must be named BACKLOG.yaml: branches carry its status lines under that name."
        )
    if merge and base is not None:
        raise click.UsageError("--base and --merge exclude each other: work that is merged starts from HEAD.")
    order = ImplementOrder(clone, backlog_file, base, script, merge)

    async def work(display: Display) -> Implemented:
        return await implement(order, display)

    found = local.run("implement", work, as_json=as_json)
    if as_json:
        local.print_json(implement_json(found, order))
    else:
        click.echo(implement_text(found, order, repo))
    context.exit(0 if found.outcome and found.outcome.good else 1)
