"""Owns a coding agent's run on any runtime: its prompt turn by turn, notes, nudges, a restart, a resume, and its end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from bot import prompts
from bot.agents.steps import Steps
from bot.agents.supplies import Supplies, counted, reaching, revoked, shut
from bot.agents.watched import Alarm, Watched
from bot.core.drift import Signal
from bot.core.drift_summary import touched, tried
from bot.core.values import Usage
from bot.errors import OutOfRoomError
from bot.gateway.limits import CODING
from bot.ports import (
    AgentEvent,
    AgentRuntime,
    Box,
    DisposeProof,
    Judge,
    ModelAccess,
    RunError,
    Sandbox,
    Seat,
    WorkOrder,
    WorkReport,
)

_NOTE = "A person who may decide interrupts you with this note:\n\n{note}\n\nFollow it, and finish the task."
_NUDGE = "Stop and think: {note}\n\nThen finish the task."
_GO_ON = "Your process ended in the middle of this task and was started again. Look at the folder, and finish the task."
_UNFINISHED = {
    "max_tokens": "stall",
    "max_turn_requests": "stall",
    "refusal": "garbage",
    "cancelled": "crash",
}
_GIT = ("git", "-c", "safe.directory=*", "-c", "core.quotePath=off", "ls-files", "-mo", "--exclude-standard")
_GIT_SECONDS = 20.0
_SHOWN_FILES = 50


class AgentCoder:
    """Implements Coder with any runtime."""

    def __init__(self, runtime: AgentRuntime, supplies: Supplies) -> None:
        self.name = runtime.name
        self.runtime = runtime
        self._supplies = supplies

    async def work(self, order: WorkOrder, sandbox: Sandbox) -> WorkReport:
        """Let the agent work in a box of its own until it says that it is done."""
        access: ModelAccess | None = None
        said: Usage | None = Usage()  # what the agent says that it used; None: it has not said it
        try:
            async with AsyncExitStack() as stack:
                access = await self._supplies.access(
                    order.model,
                    self.runtime.wire,
                    CODING.limit(order.usd, order.tokens),
                    order.state_dir,
                    stack,
                )
                box = await stack.enter_async_context(sandbox.open(reaching(order.policy, access)))
                said = None
                try:
                    report = await _Run(self.runtime, self._supplies, order, box, access).run()
                    said = report.usage
                except RunError as error:
                    said = error.usage
                    raise
                finally:
                    order.disposed(await shut(box))
        except RunError as error:
            error.usage = counted(access, error.usage)
            raise
        finally:
            # Before anything is waited for: whoever is cancelled there has spent it all the same.
            if said is not None or access is not None:
                order.spent(counted(access, Usage() if said is None else said))
            order.disposed(await revoked(access))
        return replace(report, usage=counted(access, report.usage))


@dataclass(slots=True)
class _Steering:
    """What speaks against letting the agent go on as it does."""

    order: WorkOrder
    judge: Judge
    alarm: Alarm = field(default_factory=Alarm)
    stop: Signal | None = None
    nudges: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)  # notes that a session of this run was told
    remarks: dict[str, str] = field(default_factory=dict)  # for people, one of each code

    def __post_init__(self) -> None:
        self.alarm.words = self.words

    def see(self, signals: Iterable[Signal]) -> None:
        for signal in signals:
            if signal.act == "stop":
                self.stop = self.stop or signal
            elif signal.act == "nudge":
                self.nudges.append(signal.text)
            else:
                self.remarks.setdefault(signal.code, f"{signal.code}: {signal.text}")
        self.alarm.stops = self.stop is not None
        if self.stop is not None or self.nudges:
            self.alarm.rung.set()

    async def look(self) -> None:
        """Ask for a person's note."""
        note = await self.order.notes()
        if note:
            self.notes.append(note)
            self.alarm.rung.set()

    def words(self, *, ended: bool = False) -> str | None:
        """Give what to tell the agent next, if anything; after its own end a nudge comes too late."""
        notes = [_NOTE.format(note=note) for note in self.notes]
        self.heard += self.notes
        nudges = [] if ended else [_NUDGE.format(note=" ".join(self.nudges))] if self.nudges else []
        self.notes.clear()
        self.nudges.clear()
        return "\n\n".join([*notes, *nudges]) or None

    def begin(self, judge: Judge) -> None:
        """Judge another session; what a person said meanwhile stays to be told."""
        self.judge, self.stop = judge, None
        self.nudges.clear()
        self.alarm.stops = False
        self.alarm.rung.clear()


class _Run:
    """One run; at most one restart for drift, and one resume after a crash."""

    def __init__(
        self,
        runtime: AgentRuntime,
        supplies: Supplies,
        order: WorkOrder,
        box: Box,
        access: ModelAccess | None,
    ) -> None:
        self._order = order
        self._box = box
        self._closing = supplies.closing
        self._deadline = time.monotonic() + order.timeout
        self._steps = Steps(order.tree, box.work)
        self._steering = _Steering(order, lambda _: ())
        seat = Seat(
            box=box,
            state_dir=order.state_dir,
            report=self._take,
            access=access,
            command=order.command,
            title=order.title,
            run=order.run,
            scope=order.scope,
        )
        self._watched = Watched(runtime, supplies.limits, seat, self._take)
        self._restarted = self._resumed = False

    async def run(self) -> WorkReport:
        """Run to the end; RunError holds what was done and spent until then."""
        try:
            before = await self._steps.begin()
            self._steering.begin(self._order.judge(before))
            await self._watched.start()
            text: str | None = self._order.prompt
            while text is not None:
                text = await self._turns(text)
            if not self._steps.acted and await self._order.tree() == before:
                raise self._watched.failed("no_change", "ended without a step and without a change")
        except RunError as error:
            error.trace = tuple(self._steps.trace)
            raise
        except OutOfRoomError as error:
            failed = self._watched.failed("crash", "was ended: it left too little room on the disk")
            failed.trace = tuple(self._steps.trace)
            raise failed from error
        finally:
            self._order.disposed(await self._watched.end(self._closing))
        trace = tuple(self._steps.trace)
        steps = sum(step.kind not in {"message", "think"} for step in trace)
        remarks = tuple(self._steering.remarks.values())
        return WorkReport(self._steps.said, self._watched.usage, steps, trace, remarks)

    async def _turns(self, text: str) -> str | None:
        """Let the agent work on this text until it ends; gives what it is asked next."""
        steering = self._steering
        try:
            result = await self._watched.ask(
                text,
                idle=self._order.idle,
                deadline=self._deadline,
                alarm=steering.alarm,
                look=steering.look,
            )
        except RunError as error:
            if error.reason != "crash" or self._resumed:
                raise
            self._resumed = True
            return await self._resume(error)
        if steering.stop is not None:
            return await self._restart(steering.stop)
        await steering.look()
        words = steering.words(ended=True)
        if words is None and result.stop in _UNFINISHED:
            raise self._watched.failed(_UNFINISHED[result.stop], f"did not finish its work ({result.stop})")
        return words

    async def _restart(self, stop: Signal) -> str:
        """Go on in the same folder with a fresh context, once; what has used up its limits ends."""
        if self._restarted or stop.code == "BUDGET":
            raise self._watched.failed("drift", f"was stopped: {stop.text}", rule=stop.code)
        self._restarted = True
        self._steering.remarks["restart"] = (
            f"started once more with a fresh context ({stop.code}): {stop.text}"
        )
        return await self._again(f"was stopped: {stop.text}")

    async def _resume(self, error: RunError) -> str:
        """Start the dead agent again, where it can with what it knew."""
        self._steering.remarks["resume"] = f"started once more: {error}"
        return await self._again("ended by itself in the middle of its work", self._watched.id)

    async def _again(self, why: str, resume: str = "") -> str:
        self._order.disposed(await self._watched.dispose(keep=bool(resume)))
        resumed = False
        try:
            tree = await self._steps.begin()
            resumed = await self._watched.start(resume)
        finally:
            if resume and not resumed:
                kept = f"provider session: {resume} was to be gone on with, and was not"
                self._order.disposed(DisposeProof(unproved=(kept,)))
        if resumed:
            return _GO_ON
        self._steering.begin(self._order.judge(tree))
        changed = await self._changed()
        return prompts.render(
            prompts.RestartPrompt(
                self._order.prompt, why, tuple(self._steering.heard), tried(self._steps.trace), changed
            )
        )

    async def _changed(self) -> tuple[str, ...]:
        """List the changed files: as git in the box sees them, and as steps named them."""
        done = await self._box.run(_GIT, timeout=_GIT_SECONDS, env={"PATH": self._box.path})
        seen = done.output.splitlines() if done.code == 0 else []
        return tuple(sorted({*seen, *touched(self._steps.trace)}))[:_SHOWN_FILES]

    async def _take(self, event: AgentEvent) -> None:
        self._steering.see(await self._steps.take(event, self._steering.judge))
