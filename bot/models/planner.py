"""Owns planning with a model: a briefed agent that may look around in a worktree and answers with a typed plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bot import prompts
from bot.core.planning import PlanProposal
from bot.models.meter import Meter
from bot.models.names import DEFAULT_MODELS
from bot.models.run import ModelLimits, ask
from bot.models.tools import ReadTools
from bot.ports import PlanBrief, Proposed
from bot.prompts import PlannerPrompt

if TYPE_CHECKING:
    from pydantic_ai.models import Model


class ModelPlanner:
    """Implements Planner; the models are tried in their order, those of the defaults where none is named."""

    def __init__(self, models: Sequence[str | Model] = (), limits: ModelLimits | None = None) -> None:
        self._models = tuple(models) or DEFAULT_MODELS["planning"]
        self._limits = limits or ModelLimits()
        self._meter: Meter | None = None

    def metered(self, meter: Meter) -> ModelPlanner:
        """Give the same planner, whose models and money are the meter's."""
        counted = ModelPlanner(self._models, self._limits)
        counted._meter = meter
        return counted

    async def propose(self, brief: PlanBrief) -> Proposed:
        """Give a plan for the brief; RunError when there is none, RetryableError where a quota is free again later."""
        tools = ReadTools(brief.worktree)
        answer = await ask(
            self._models,
            prompt(brief),
            PlanProposal,
            limits=self._limits,
            problem=problem,
            tools=(tools.list_folder, tools.read_file, tools.search),
            state_dir=brief.state_dir,
            meter=self._meter,
        )
        # What the model calls itself, or the commit, is no choice of its own.
        named = {"agent_id": brief.agent_id, "base_sha": brief.base_sha}
        return Proposed(answer.value.model_copy(update=named), answer.usage)


def prompt(brief: PlanBrief) -> str:
    """Write what a planning agent is asked."""
    return prompts.render(
        PlannerPrompt(
            agent_id=brief.agent_id,
            brief=prompts.brief(brief.agent_id),
            base_sha=brief.base_sha,
            title=brief.title,
            body=brief.body,
            comments=brief.comments,
            ranked_files=brief.ranked_files,
            delimiter=prompts.delimiter(brief.title, brief.body, *brief.comments),
        )
    )


def problem(proposal: PlanProposal) -> str | None:
    """Say what makes a plan unusable, for the model to mend; None where nothing does."""
    ids = [task.local_id for task in proposal.tasks]
    if not ids and not proposal.questions:
        return "Propose at least one task, or ask what a person must decide first."
    doubled = sorted({each for each in ids if ids.count(each) > 1})
    if doubled:
        return f"Give every task a `local_id` of its own; these are used twice: {', '.join(doubled)}"
    unknown = sorted({need for task in proposal.tasks for need in task.depends_on} - set(ids))
    if unknown:
        return f"`depends_on` names tasks that are not in the plan: {', '.join(unknown)}"
    homeless = [task.local_id for task in proposal.tasks if not task.files]
    if homeless:
        return f"Name the `files` that these tasks touch: {', '.join(homeless)}"
    return None
