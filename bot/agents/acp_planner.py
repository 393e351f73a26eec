"""Owns planning with an agent that speaks ACP: read-only in a box of its own, a typed plan out of its last message."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from bot.agents.acp_room import Room
from bot.agents.acp_session import Conversation, converse
from bot.agents.presets import Preset
from bot.agents.sessions import agent_home
from bot.agents.supplies import PLANNING, Limit, Supplies
from bot.core.planning import PlanProposal
from bot.core.values import Usage
from bot.ports import PlanBrief, Proposed, RunError, Sandbox, SandboxPolicy

_IDLE = 300.0
_SECONDS = 900.0
_ANSWERS = 2  # the first, and one that is mended
_FORM = """
When you have looked enough, end with one message that holds the plan as a fenced block and nothing after it:

```json
{"agent_id": ..., "base_sha": ..., "summary": ..., "tasks": [...], "risks": [...], "questions": [...]}
```

It must fit this JSON schema:
"""
_AGAIN = "This is no usable plan: {problem}\n\nGive the whole plan again, mended, as one fenced `json` block."
_FENCED = re.compile(r"^```(?:json)?[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NEXT_MODEL = frozenset({"auth", "quota", "crash"})  # where another model can help


@dataclass(frozen=True, slots=True)
class AcpPlanner:
    """Implements Planner; the brief's models are tried in order, `prompt` writes the task, `problem` judges a plan."""

    preset: Preset
    supplies: Supplies
    sandbox: Sandbox
    path: str
    prompt: Callable[[PlanBrief], str]
    problem: Callable[[PlanProposal], str | None]

    async def propose(self, brief: PlanBrief) -> Proposed:
        """Give a plan for the brief; RunError says why there is none, and what that cost."""
        spent, limit = Usage(), PLANNING.limit(brief.usd)
        failed = RunError("auth", "No model is configured for planning")
        for model in brief.models:
            try:
                proposed = await self._with(model, brief, limit)
            except RunError as error:
                spent += error.usage
                failed = error
                if error.reason not in _NEXT_MODEL:
                    break
            else:
                return Proposed(proposed.proposal, spent + proposed.usage)
        raise RunError(failed.reason, str(failed), spent, failed.trace) from failed

    async def _with(self, model: str, brief: PlanBrief, limit: Limit | None) -> Proposed:
        home = agent_home(brief.state_dir)
        policy = SandboxPolicy(work=brief.worktree, home=home, path=self.path, frozen=True)
        async with self.sandbox.open(policy) as box:
            return await self._in(
                Room(box, brief.worktree, brief.state_dir, model, limit, read_only=True), brief
            )

    async def _in(self, room: Room, brief: PlanBrief) -> Proposed:
        async with converse(self.preset, self.supplies, room, lambda _: None) as talking:
            proposal = await self._answer(talking, brief)
            named = {"agent_id": brief.agent_id, "base_sha": brief.base_sha}
            return Proposed(proposal.model_copy(update=named), talking.usage)

    async def _answer(self, talking: Conversation, brief: PlanBrief) -> PlanProposal:
        schema = json.dumps(PlanProposal.model_json_schema(), separators=(",", ":"))
        text, deadline = f"{self.prompt(brief)}\n{_FORM}{schema}", time.monotonic() + _SECONDS
        found: PlanProposal | str = "there is no answer"
        for _ in range(_ANSWERS):
            stopped = await talking.ask(
                text, idle=_IDLE, deadline=deadline, alarm=asyncio.Event(), look=_nothing
            )
            found = self._read(talking.steps.said)
            if isinstance(found, PlanProposal):
                return found
            if stopped != "end_turn":
                break
            text = _AGAIN.format(problem=found)
        raise talking.failed("garbage", f"gave no usable plan: {found}")

    def _read(self, said: str) -> PlanProposal | str:
        """Give the plan, or what is wrong with it."""
        fenced = _FENCED.findall(said)
        try:
            proposal = PlanProposal.model_validate_json(fenced[-1] if fenced else said)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            return f"{f'`{place}`: ' if place else ''}{first['msg'][:200]}"
        return self.problem(proposal) or proposal


async def _nothing() -> None:
    """Nobody sends notes to a planner."""
