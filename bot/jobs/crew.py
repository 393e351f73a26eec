"""Owns which coding agents there are, what the one of a repository lacks, and planning with one of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from bot.agents import AGENTS, make_coder
from bot.agents.acp_runtime import AcpRuntime
from bot.agents.planner import AgentPlanner
from bot.agents.presets import PRESETS, missing
from bot.agents.script import Script
from bot.agents.supplies import Supplies
from bot.core.config import RepoConfig
from bot.gateway.endpoints import Endpoints
from bot.models import planner as planning
from bot.models.prices import cost
from bot.ports import Coder, Planner, Sandbox
from bot.settings import Settings


@dataclass(frozen=True, slots=True)
class Crew:
    """Builds agents from the operator's settings.

    `path` is the PATH whose programs a box shows, `closing` is set where the process ends.
    """

    settings: Settings
    script: Script | None
    sandbox: Sandbox
    path: str
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def _supplies(self) -> Supplies:
        endpoints = Endpoints(os.environ, self.settings.model_base_url)
        return Supplies(self.script, endpoints, cost, closing=self.closing)

    def coders(self) -> dict[str, Coder]:
        """Build the coding agents; the scripted one is there only where a script is."""
        names = [name for name in AGENTS if self.script or name != "scripted"]
        return {name: make_coder(name, self._supplies()) for name in names}

    def planner(self, name: str) -> Planner:
        """Have an agent plan in a box of its own."""
        runtime = AcpRuntime(PRESETS[name])
        return AgentPlanner(
            runtime, self._supplies(), self.sandbox, self.path, planning.prompt, planning.problem
        )

    def problems(self, config: RepoConfig) -> dict[str, tuple[str, str]]:
        """Say what is wrong with the coding agent that a repository asks for, and with the planning agent; and what to do."""
        name = config.agent if isinstance(config.agent, str) else "custom"
        if name not in AGENTS:
            problem = "there is no such agent"
        elif name == "scripted":
            problem = "" if self.script else "it needs a script, GITWRIGHT_SCRIPT"
        else:
            command = () if isinstance(config.agent, str) else config.agent.command
            problem = missing(name, command, self.path)
        choices = ("builtin", *PRESETS, *(["scripted"] if self.script else []))
        others = [each for each in choices if each != name]
        setting = f"`GITWRIGHT_AGENT` (or `agent` in `.github/gitwright.yml`) to one of: {_listed(others)}."
        known = name in AGENTS and name != "scripted"
        remedy = f"Install it where the bot runs, or set {setting}" if known else f"Set {setting}"
        found = {f"agent {name}": (problem, remedy)}
        planner = self.settings.planning_agent
        if planner:
            rest = _listed(each for each in PRESETS if each != planner)
            remedy = f"Install it where the bot runs, or set `GITWRIGHT_PLANNING_AGENT` to one of: {rest}."
            found[f"planning agent {planner}"] = (missing(planner, (), self.path), remedy)
        return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
