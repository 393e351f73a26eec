"""Owns the coding agents that speak ACP: a task's prompt, turn by turn, steered by people's notes and by drift rules."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from bot.agents.acp_room import Room
from bot.agents.acp_session import Conversation, converse
from bot.agents.presets import Preset, custom
from bot.agents.supplies import CODING, Supplies
from bot.core.drift import Signal, Step
from bot.ports import Box, RunError, WorkOrder, WorkReport

_NOTE = "A person who may decide interrupts you with this note:\n\n{note}\n\nFollow it, and finish the task."
_NUDGE = "Stop and think: {note}\n\nThen finish the task."
_UNFINISHED = {
    "max_tokens": "stall",
    "max_turn_requests": "stall",
    "refusal": "garbage",
    "cancelled": "crash",
}


@dataclass(slots=True)
class _Steering:
    """What speaks against letting the agent go on as it does."""

    order: WorkOrder
    alarm: asyncio.Event = field(default_factory=asyncio.Event)
    stop: Signal | None = None
    nudges: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def see(self, step: Step) -> None:
        for signal in self.order.observe(step):
            if signal.act == "stop":
                self.stop = self.stop or signal
            elif signal.act == "nudge":
                self.nudges.append(signal.text)
        if self.stop is not None or self.nudges:
            self.alarm.set()

    async def look(self) -> None:
        note = await self.order.notes()
        if note:
            self.notes.append(note)
            self.alarm.set()

    def next(self, *, ended: bool) -> str | None:
        """Give what to tell the agent next, if anything; after its own end a nudge comes too late."""
        notes = [_NOTE.format(note=note) for note in self.notes]
        nudges = [] if ended else [_NUDGE.format(note=" ".join(self.nudges))] if self.nudges else []
        self.notes.clear()
        self.nudges.clear()
        self.alarm.clear()
        return "\n\n".join([*notes, *nudges]) or None


class AcpCoder:
    """Implements Coder with an agent of the table of presets, in the box."""

    def __init__(self, preset: Preset, supplies: Supplies) -> None:
        self._preset = preset
        self._supplies = supplies
        self.name = preset.name

    async def work(self, order: WorkOrder, box: Box) -> WorkReport:
        """Let the agent work until it says that it is done; the box's HOME must be `agent_home(order.state_dir)`."""
        deadline = time.monotonic() + order.timeout
        steering = _Steering(order)
        limit = CODING.limit(order.usd)
        room = Room(box, order.worktree, order.state_dir, order.model, limit, tree=order.tree)
        async with converse(self._preset, self._supplies, room, steering.see) as talking:
            before = await talking.steps.begin()
            text: str | None = order.prompt
            while text is not None:
                stopped = await talking.ask(
                    text, idle=order.idle, deadline=deadline, alarm=steering.alarm, look=steering.look
                )
                if steering.stop is not None:
                    stop = steering.stop
                    raise talking.failed("drift", f"was stopped: {stop.text}", stop.code)
                interrupted = steering.alarm.is_set() and stopped == "cancelled"
                if not interrupted:
                    await steering.look()
                text = steering.next(ended=not interrupted)
                if text is None and stopped in _UNFINISHED:
                    raise talking.failed(_UNFINISHED[stopped], f"did not finish its work ({stopped})")
            await _something_done(talking, before, order)
            trace = tuple(talking.trace)
            steps = sum(step.kind not in {"message", "think"} for step in trace)
            return WorkReport(talking.steps.said, talking.usage, steps, trace)


class CustomCoder:
    """Implements Coder with the ACP command that a repository names for itself."""

    name = "custom"

    def __init__(self, supplies: Supplies) -> None:
        self._supplies = supplies

    async def work(self, order: WorkOrder, box: Box) -> WorkReport:
        """Work as AcpCoder does, with the order's command."""
        if not order.command:
            raise RunError("crash", "No command is configured; set `agent: {command: [...]}`")
        return await AcpCoder(custom(order.command), self._supplies).work(order, box)


async def _something_done(talking: Conversation, before: str, order: WorkOrder) -> None:
    """An agent that ends its turn without a step or a change has failed, whatever it says."""
    if talking.steps.acted or await order.tree() != before:
        return
    raise talking.failed("no_change", "ended without a single step")
