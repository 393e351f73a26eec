"""Coding agents: the table says which there are; adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bot.agents.acp_runtime import AcpRuntime
from bot.agents.builtin import BuiltinCoder
from bot.agents.driver import AgentCoder
from bot.agents.presets import PRESETS, Preset
from bot.agents.scripted_runtime import ScriptedRuntime
from bot.agents.supplies import Supplies
from bot.errors import UserError
from bot.ports import Coder

_SCRIPTED_LOOK = 0.2  # seconds between looks for a note: a script takes seconds where an agent takes minutes


def _scripted(supplies: Supplies) -> Coder:
    if supplies.script is None:
        raise UserError("The agent `scripted` needs a script. Set GITWRIGHT_SCRIPT.")
    limits = replace(supplies.limits, look=min(supplies.limits.look, _SCRIPTED_LOOK))
    return AgentCoder(ScriptedRuntime(supplies.script), replace(supplies, limits=limits))


def _acp(preset: Preset | None) -> Callable[[Supplies], Coder]:
    return lambda supplies: AgentCoder(AcpRuntime(preset), supplies)


AGENTS: dict[str, Callable[[Supplies], Coder]] = {
    "builtin": BuiltinCoder,
    "scripted": _scripted,
    "custom": _acp(None),
    **{name: _acp(preset) for name, preset in PRESETS.items()},
}


def make_coder(name: str, supplies: Supplies) -> Coder:
    """Build the agent of this name; an unknown one is a UserError that lists the known."""
    factory = AGENTS.get(name)
    if factory is None:
        known = ", ".join(f"`{each}`" for each in sorted(AGENTS))
        raise UserError(f"There is no agent `{name}`. Set GITWRIGHT_AGENT to one of: {known}")
    return factory(supplies)
