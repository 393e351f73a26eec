"""Coding agents: the table says which there are; adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bot.agents.acp import AcpCoder, CustomCoder
from bot.agents.presets import PRESETS
from bot.agents.scripted import ScriptedCoder
from bot.agents.supplies import Supplies
from bot.errors import UserError
from bot.ports import Coder

AGENTS: dict[str, Callable[[Supplies], Coder]] = {
    "scripted": ScriptedCoder,
    "custom": CustomCoder,
    **{name: partial(AcpCoder, preset) for name, preset in PRESETS.items()},
}


def make_coder(name: str, supplies: Supplies) -> Coder:
    """Build the agent of this name; an unknown one is a UserError that lists the known."""
    factory = AGENTS.get(name)
    if factory is None:
        known = ", ".join(f"`{each}`" for each in sorted(AGENTS))
        raise UserError(f"There is no agent `{name}`. Set GITWRIGHT_AGENT to one of: {known}")
    return factory(supplies)
