"""Owns the scripted planner and the scripted backlog model: what the script says, and its failures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pydantic import ValidationError

from bot.agents.script import FailingPlanner, Script
from bot.agents.sessions import append_history
from bot.core.backlog import Backlog, BacklogTask
from bot.core.planning import MergedPlan, PlanProposal
from bot.core.plans import PlannedTask
from bot.core.values import Usage
from bot.errors import AgentError
from bot.ports import PlanBrief, Proposed, Refined

PLANNERS = ("architecture", "tests", "smallest")


class ScriptedPlanner:
    """A planning agent that proposes what the script says."""

    def __init__(self, script: Script, names: Sequence[str] = PLANNERS) -> None:
        self._script = script
        self._names = tuple(names)

    async def propose(self, brief: PlanBrief) -> Proposed:
        """Give the scripted proposal with the brief's base sha; AgentError crash or garbage, a stall never returns."""
        entry = self._script.planner(brief.agent_id, self._names)
        append_history(
            brief.state_dir, {"role": "user", "title": brief.title, "files": list(brief.ranked_files)}
        )
        if entry is None:
            raise AgentError("crash", f"The script has no planner for `{brief.agent_id}`")
        if isinstance(entry, FailingPlanner):
            return await self._fail(entry, brief)
        answer = entry.model_copy(update={"base_sha": brief.base_sha}).model_dump_json()
        return _typed(answer, brief)

    async def _fail(self, entry: FailingPlanner, brief: PlanBrief) -> Proposed:
        if entry.fail == "crash":
            raise AgentError("crash", f"The planner `{brief.agent_id}` crashed, as its script says")
        if entry.fail == "stall":
            await asyncio.Event().wait()
        return _typed('{"agent_id": 7, "tasks": [{"local_id": ""', brief)


def _typed(answer: str, brief: PlanBrief) -> Proposed:
    append_history(brief.state_dir, {"role": "assistant", "text": answer})
    try:
        return Proposed(PlanProposal.model_validate_json(answer), Usage())
    except ValidationError as error:
        message = f"The planner `{brief.agent_id}` gave no valid plan: {error.errors()[0]['msg']}"
        raise AgentError("garbage", message) from error


class ScriptedRefiner:
    """A backlog model that answers what the script says."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def refine(self, plan: MergedPlan, converted: Backlog) -> Refined:
        """Give the script's tasks; without any, the conversion as it is."""
        if self._script.backlog is None:
            return Refined(converted, Usage())
        try:
            tasks = [BacklogTask.model_validate(task) for task in self._script.backlog]
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            return Refined(None, Usage(), f"`{where}`: {first['msg']}")
        return Refined(converted.model_copy(update={"tasks": tuple(tasks)}), Usage())

    async def revise(
        self, current: Backlog, note: str, number: int, left_out: Sequence[PlannedTask] = ()
    ) -> Refined:
        """Give the script's revision `number`: a task's entry names what changes of it, or is a new task whole."""
        if number > len(self._script.revisions):
            return Refined(None, Usage(), f"the script has no revision {number}")
        here = {task.id: task for task in current.tasks}
        try:
            said = {str(entry.get("id")): entry for entry in self._script.revisions[number - 1]}
            changed = {
                id_: BacklogTask.model_validate({**(here[id_].model_dump() if id_ in here else {}), **entry})
                for id_, entry in said.items()
            }
        except ValidationError as error:
            first = error.errors()[0]
            return Refined(None, Usage(), f"`{'.'.join(map(str, first['loc']))}`: {first['msg']}")
        tasks = [changed.get(task.id, task) for task in current.tasks]
        tasks += [task for id_, task in changed.items() if id_ not in here]
        return Refined(current.model_copy(update={"tasks": tuple(tasks)}), Usage())
