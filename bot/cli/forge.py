"""Owns `gitwright forge`: serves the embedded forge, as a process of its own."""

from __future__ import annotations

import os
import sys

import click


@click.command("forge", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Serve the embedded forge: [--data DIR] [--host 127.0.0.1] [--port N]."""
    # The bot imports nothing of the forge: they meet over HTTP and git only.
    os.execv(sys.executable, [sys.executable, "-m", "forge", *arguments])  # noqa: S606 - no shell on purpose
