"""Owns who plans and who refines backlogs in a repository: scripted ones, or models by their role's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.agents.script import Script
from bot.agents.scripted import ScriptedPlanner, ScriptedRefiner
from bot.core.config import RepoConfig
from bot.core.routing import Role
from bot.errors import UserError
from bot.models.names import SCRIPTED, Named, missing_key, named
from bot.ports import BacklogRefiner, Planner
from bot.settings import Settings


@dataclass(frozen=True, slots=True)
class Cast:
    """Gives the planning agents and the backlog model of a repository; the operator's settings win over its file."""

    settings: Settings
    script: Script | None = None
    over_acp: Callable[[str], Planner] | None = None  # by an agent's name

    def named(self, config: RepoConfig, role: Role) -> Named:
        """Give the models of a role, and whether free tiers among them are consented to."""
        return named(self.settings.models, config, role)

    def planners(self, config: RepoConfig) -> Sequence[tuple[str, Planner]]:
        """Give the planning agents with their names; UserError where a script is needed and missing."""
        models = self.named(config, "planning").models
        if models == (SCRIPTED,):
            if self.script is None:
                raise UserError(
                    "The model `scripted` needs a script. Set GITWRIGHT_SCRIPT, or name real models."
                )
            names = self.script.planner_names(tuple(config.planners))
            return [(name, ScriptedPlanner(self.script, names)) for name in names]
        if self.settings.planning_agent and self.over_acp is not None:
            planner = self.over_acp(self.settings.planning_agent)
            return [(name, planner) for name in config.planners]
        from bot.models import ModelPlanner  # heavy: only where real models are used

        return [(name, ModelPlanner(models)) for name in config.planners]

    def refiner(self, config: RepoConfig) -> BacklogRefiner | None:
        """Give the backlog model; the scripted one with nothing to say leaves the merged plan as it is."""
        models = self.named(config, "backlog").models
        if models == (SCRIPTED,):
            used = self.script
            return ScriptedRefiner(used) if used and (used.backlog is not None or used.revisions) else None
        from bot.models import BacklogModel  # heavy: only where real models are used

        return BacklogModel(models)

    def problems(self, config: RepoConfig) -> dict[str, str]:
        """Say of each planning and backlog model what is wrong with its configuration, as far as that shows here."""
        roles: tuple[Role, ...] = ("planning", "backlog")
        names = dict.fromkeys(model for role in roles for model in self.named(config, role).models)
        return {name: self._problem(name) for name in names}

    def unusable(self, config: RepoConfig) -> dict[str, str]:
        """Say of each role that has no usable model what its models lack; an agent that plans needs none for that."""
        roles: tuple[Role, ...] = ("backlog",) if self.settings.planning_agent else ("planning", "backlog")
        found: dict[str, str] = {}
        for role in roles:
            wrong = {name: self._problem(name) for name in self.named(config, role).models}
            if all(wrong.values()):
                found.update(wrong)
        return found

    def _problem(self, model: str) -> str:
        if model == SCRIPTED:
            return "" if self.settings.script else "it needs a script, GITWRIGHT_SCRIPT"
        return missing_key(model)
