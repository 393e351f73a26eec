"""`gitwright doctor`: looks whether everything is in order, and says the one next step where it is not."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re

import click
import structlog

from bot.doctor import CHECKS, report
from bot.doctor.examine import Examined, examine
from bot.doctor.world import open_world
from bot.settings import load_settings
from bot.wiring import SystemClock


@click.command("doctor")
@click.option(
    "--repo",
    "repos",
    multiple=True,
    metavar="OWNER/NAME",
    help="Look at this repository only; several are possible (default: those that the App is installed on).",
)
@click.option("--fix", is_flag=True, help="Do what is safe: make labels, close DATA_DIR to others.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
@click.pass_context
def command(context: click.Context, /, repos: tuple[str, ...], fix: bool, as_json: bool) -> None:
    """Look whether everything is in order: machine, settings, App, webhook, models, repositories.

    Each finding is ok, warning, failed or unknown, and names the one next step. Without --fix nothing is written. It
    may run beside a bot at work. Exit code 1 where something is failed or unknown; warnings are yours to weigh.
    """
    for name in repos:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
            raise click.UsageError(f"--repo takes OWNER/NAME, not `{name}`.")
    # What is wrong is a finding; the log would only say it a second time.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    found = asyncio.run(_examined(tuple(dict.fromkeys(repos)), fix))
    if as_json:
        click.echo(json.dumps(report.as_json(found), indent=2, ensure_ascii=False))
    else:
        report.show(found)
    context.exit(0 if found.good else 1)


async def _examined(repos: tuple[str, ...], fix: bool) -> Examined:
    world = open_world(load_settings, os.environ, SystemClock(), repos)
    try:
        return await examine(world, CHECKS, fix=fix)
    finally:
        await world.aclose()
