"""Owns the checks of models and agents: each role has a usable model of known price, the agent's program is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from bot.agents.presets import PRESETS
from bot.core.config import RepoConfig
from bot.core.routing import CLASSES
from bot.core.values import Repo
from bot.doctor.check import Check, Finding, RepoCheck, ok
from bot.doctor.world import World
from bot.jobs.crew import Crew
from bot.jobs.table import tool_path
from bot.models.names import SCRIPTED, Named, missing_key, named, terms
from bot.models.prices import Price, price
from bot.sandbox import NoSandbox
from bot.settings import MODEL_ROLES, ModelRole, Settings
from bot.wiring import overridden


def judge_models(
    roles: Mapping[ModelRole, Named],
    *,
    problem: Callable[[str], str],
    cost: Callable[[str], Price | None],
    free_tier: bool,
) -> Finding:
    """Judge the models of each role; `problem` says what a model lacks, "" for nothing."""
    usable: dict[ModelRole, list[str]] = {}
    details: list[str] = []
    for role, names in roles.items():
        for name in names.models:
            wrong = problem(name)
            if not wrong and terms(name).free_tier and not (free_tier or names.consent):
                wrong = "a free tier, which `models.free_tier` does not allow"
            if wrong:
                details.append(f"{role}: `{name}` is not used: {wrong}")
            else:
                usable.setdefault(role, []).append(name)
    lacks = [role for role in roles if not _served(role, usable)]
    if lacks:
        details += [f"{role}: no model is named" for role in lacks if not roles[role].models]
        text = f"No usable model for {', '.join(lacks)}."
        step = "Set GITWRIGHT_MODELS, and its provider's key in the environment."
        return Finding("failed", text, step, tuple(details))
    if details:
        text = "Each role has a usable model, but not all that are named are."
        return Finding(
            "warning", text, "Set the keys that are named, or take the models away.", tuple(details)
        )
    unknown = sorted({name for names in usable.values() for name in names if cost(name) is None})
    if unknown:
        text = f"No list price is known for {', '.join(f'`{name}`' for name in unknown)}."
        step = "Name models of known price, or accept that budgets reckon with the dearest price."
        return Finding("warning", text, step)
    return ok("Each role has a usable model of known price.", *_lines(usable))


def _served(role: ModelRole, usable: Mapping[ModelRole, list[str]]) -> bool:
    """Tell whether a role has a model; work of a class without one takes those of the next class up."""
    if role not in CLASSES:
        return role in usable
    return any(each in usable for each in CLASSES[CLASSES.index(role) :])


def _lines(usable: Mapping[ModelRole, list[str]]) -> list[str]:
    return [f"{role}: {', '.join(names)}" for role, names in usable.items()]


def _roles(settings: Settings, config: RepoConfig) -> dict[ModelRole, Named]:
    """Give the models of the roles that are in use: an agent that needs none has none for its work."""
    preset = PRESETS.get(config.agent) if isinstance(config.agent, str) else None
    by_model = config.agent == "builtin" or (preset is not None and preset.needs_model)
    wanted = [role for role in MODEL_ROLES if by_model or role not in CLASSES]
    return {role: named(settings.models, config, role) for role in wanted}


def _models(settings: Settings, config: RepoConfig) -> Finding:
    def problem(model: str) -> str:
        if model == SCRIPTED:
            return "" if settings.script else "it needs a script, GITWRIGHT_SCRIPT"
        return missing_key(model)

    free = config.models.free_tier
    return judge_models(_roles(settings, config), problem=problem, cost=price, free_tier=free)


def judge_agents(problems: Mapping[str, tuple[str, str]]) -> Finding:
    """Judge the agents: what is wrong with each, and what to do."""
    wrong = [(name, *found) for name, found in problems.items() if found[0]]
    if not wrong:
        return ok(f"There: {', '.join(problems)}.")
    details = tuple(f"{name}: {problem}" for name, problem, _ in wrong[1:])
    name, problem, remedy = wrong[0]
    return Finding("failed", f"{name}: {problem}.", remedy, details)


def _agents(settings: Settings, config: RepoConfig, path: str) -> Finding:
    script = None  # its content does not matter here
    if config.agent == SCRIPTED:
        here = ("", "") if settings.script else ("it needs a script", "Set GITWRIGHT_SCRIPT.")
        return judge_agents({f"agent {SCRIPTED}": here})
    return judge_agents(Crew(settings, script, NoSandbox(), tool_path(settings, path)).problems(config))


async def _of_bot(world: World) -> Finding:
    settings = world.configured()
    config = overridden(RepoConfig(), settings)
    # In a thread: the list of prices is large, and is read at its first use.
    return await asyncio.to_thread(_models, settings, config)


async def _agent_of_bot(world: World) -> Finding:
    settings = world.configured()
    if settings.agent is None:
        return ok("The operator names none: each repository's own counts.")
    return _agents(settings, overridden(RepoConfig(), settings), world.environ.get("PATH", ""))


async def _of_repository(world: World, repo: Repo) -> Finding:
    config, _ = await world.config(repo)
    if config.models == RepoConfig().models:
        return ok("The repository names none: the bot's own count.")
    settings = world.configured()
    return await asyncio.to_thread(_models, settings, overridden(config, settings))


async def _agent_of_repository(world: World, repo: Repo) -> Finding:
    settings = world.configured()
    if settings.agent is not None:
        return ok("The operator's agent is used.")
    config, _ = await world.config(repo)
    return _agents(settings, config, world.environ.get("PATH", ""))


CHECKS = (
    Check(name="models", asks="Has each role a usable model, with its key, of known price?", look=_of_bot),
    Check(name="agent", asks="Is the operator's coding agent there?", look=_agent_of_bot),
    RepoCheck(
        name="repository.models", asks="Are the models that its file names usable?", look=_of_repository
    ),
    RepoCheck(
        name="repository.agent", asks="Is the coding agent that it asks for there?", look=_agent_of_repository
    ),
)
