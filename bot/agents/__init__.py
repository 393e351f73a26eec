"""Coding agents: the table says which there are; adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from bot.agents.script import Script
from bot.agents.scripted import ScriptedCoder
from bot.errors import UserError
from bot.ports import Coder

AGENTS: dict[str, Callable[[Script], Coder]] = {
    "scripted": ScriptedCoder,
}


def make_coder(name: str, script: Script) -> Coder:
    """Build the agent of this name; an unknown one is a UserError that lists the known."""
    factory = AGENTS.get(name)
    if factory is None:
        known = ", ".join(f"`{each}`" for each in sorted(AGENTS))
        raise UserError(f"There is no agent `{name}`. Set GITWRIGHT_AGENT to one of: {known}")
    return factory(script)
