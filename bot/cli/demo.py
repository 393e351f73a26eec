"""`gitwright demo`: takes one issue to its end on the embedded forge, on the example or on any local clone."""

from __future__ import annotations

from pathlib import Path

import click

from bot.demo.driver import run_demo
from bot.demo.options import Wish, choose
from bot.errors import UserError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("demo")
@click.option(
    "--repo", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A local clone; only read."
)
@click.option("--base", help="Revision at which the forge's default branch ends (default: HEAD).")
@click.option("--issue-file", type=_FILE, help="The issue, in Markdown; the first line is its title.")
@click.option("--script", type=_FILE, help="What the scripted planners and the scripted agent answer.")
@click.option(
    "--test-command", help="What verifies a change, run by `sh -c` with your PATH; also the forge's CI."
)
@click.option("--agent", default="scripted", show_default=True, help="The coding agent.")
@click.option(
    "--out",
    type=_FOLDER,
    default=Path("demo-out"),
    show_default=True,
    help="Where the run is left; emptied first.",
)
@click.option(
    "--kills",
    type=click.IntRange(0, 100),
    default=0,
    help="Kill the bot (SIGKILL) so many times during the run.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Chooses the moments of --kills.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the report as JSON, and the story on standard error."
)
@click.pass_context
def command(
    context: click.Context,
    /,
    as_json: bool,
    **wished: object,
) -> None:
    """Take one labelled issue to merged pull requests, for real, on the embedded forge.

    Without --repo it runs the example that comes with Gitwright. Ends with 0 only if the track is done, nothing was
    done twice, and nothing is left behind.
    """
    try:
        options = choose(Wish(**wished))  # type: ignore[arg-type]  # click has checked the types
        report, good = run_demo(options, lambda line: click.echo(line, err=as_json))
    except UserError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(report.as_text(), nl=False)
    else:
        click.echo(
            f"\n{report.as_text()}\nleft in {options.out}: report.json, transcript.md, bot.log, and both data folders"
        )
    context.exit(0 if good else 1)
