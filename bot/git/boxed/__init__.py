"""Owns the programs that work on what agents wrote: each runs in a box that holds nothing, from the standard library alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path

# Isolated, without site packages, and in UTF-8 whatever the locale: nothing but the text itself decides what it does.
_PYTHON = ("python3", "-I", "-S", "-X", "utf8", "-c")


@cache
def program(name: str) -> tuple[str, ...]:
    """Give the command that runs one of the programs in a box: nothing of the bot has to be visible there."""
    return (*_PYTHON, Path(__file__).with_name(f"{name}.py").read_text("utf-8"))
