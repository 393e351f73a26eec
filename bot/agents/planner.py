"""Owns planning with a coding agent: read-only in a box of its own, a typed plan out of its last message."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from pydantic import ValidationError

from bot.agents.sessions import agent_home
from bot.agents.supplies import Supplies, counted, reaching, revoked, shut
from bot.agents.watched import Alarm, Watched
from bot.core.planning import PlanProposal
from bot.core.values import Usage
from bot.errors import ParkedError
from bot.gateway.limits import PLANNING, Limit
from bot.ports import (
    AgentEvent,
    AgentRuntime,
    ModelAccess,
    PlanBrief,
    Proposed,
    RunError,
    Sandbox,
    SandboxPolicy,
    Seat,
)

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
_AWAY = frozenset({"quota", "down"})  # of the provider: another model, or later
_PROVIDER = _AWAY | {"auth"}
_NEXT_MODEL = _PROVIDER | {"crash"}  # where another model can help


@dataclass(frozen=True, slots=True)
class AgentPlanner:
    """Implements Planner; the brief's models are tried in order, `prompt` writes the task, `problem` judges a plan."""

    runtime: AgentRuntime
    supplies: Supplies
    sandbox: Sandbox
    path: str
    prompt: Callable[[PlanBrief], str]
    problem: Callable[[PlanProposal], str | None]

    async def propose(self, brief: PlanBrief) -> Proposed:
        """Give a plan for the brief; RunError says why there is none, and what that cost.

        ParkedError where no model failed by itself, and a provider will be back.
        """
        spent, limit = Usage(), PLANNING.limit(brief.usd, brief.tokens)
        failures: list[RunError] = []
        back: dict[float, RunError] = {}
        for model in brief.models:
            try:
                proposed = await self._with(model, brief, limit)
            except RunError as error:
                spent += error.usage
                failures.append(error)
                if error.reason in _AWAY:
                    back[await brief.bill.away(model, error)] = error
                elif error.reason not in _NEXT_MODEL:
                    break
            else:
                return Proposed(proposed.proposal, spent + proposed.usage)
        if back and _PROVIDER.issuperset(error.reason for error in failures):
            after, first = min(back.items(), key=lambda item: item[0])
            raise ParkedError(str(first), max(after, 1.0)) from first
        failed = failures[-1] if failures else RunError("auth", "No model is configured for planning")
        raise RunError(failed.reason, str(failed), spent, failed.trace) from failed

    async def _with(self, model: str, brief: PlanBrief, limit: Limit) -> Proposed:
        """Ask one model, and tell what it used at any end; nothing where nobody knows."""
        home = agent_home(brief.state_dir)
        policy = SandboxPolicy(work=brief.worktree, home=home, path=self.path, frozen=True)
        access: ModelAccess | None = None
        used: Usage | None = Usage()
        try:
            async with AsyncExitStack() as stack:
                access = await self.supplies.access(model, self.runtime.wire, limit, brief.state_dir, stack)
                box = await stack.enter_async_context(self.sandbox.open(reaching(policy, access)))
                brief.bill.begin(model)
                used = None
                seat = Seat(
                    box=box, state_dir=brief.state_dir, report=_unheard, access=access, read_only=True
                )
                watched = Watched(self.runtime, self.supplies.limits, seat, _unheard)
                try:
                    await watched.start()
                    proposal = await self._answer(watched, brief)
                finally:
                    brief.disposed(await watched.end(self.supplies.closing))
                    brief.disposed(await shut(box))
                used = watched.usage
        except RunError as error:
            used = error.usage = counted(access, error.usage)
            raise
        finally:
            if used is not None or access is not None:
                brief.bill.add(model, counted(access, Usage() if used is None else used))
            brief.disposed(await revoked(access))
        named = {"agent_id": brief.agent_id, "base_sha": brief.base_sha}
        return Proposed(proposal.model_copy(update=named), counted(access, used))

    async def _answer(self, watched: Watched, brief: PlanBrief) -> PlanProposal:
        schema = json.dumps(PlanProposal.model_json_schema(), separators=(",", ":"))
        text, deadline = f"{self.prompt(brief)}\n{_FORM}{schema}", time.monotonic() + _SECONDS
        found: PlanProposal | str = "there is no answer"
        for _ in range(_ANSWERS):
            turn = await watched.ask(text, idle=_IDLE, deadline=deadline, alarm=Alarm(), look=_nothing)
            found = self._read(turn.text)
            if isinstance(found, PlanProposal):
                return found
            if turn.stop != "end_turn":
                break
            text = _AGAIN.format(problem=found)
        raise watched.failed("garbage", f"gave no usable plan: {found}")

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


async def _unheard(_event: AgentEvent) -> None:
    """A planner's steps change nothing that would have to be looked at."""
