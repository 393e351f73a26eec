"""Owns the scripted agent and the scripted planner: real processes and real failures, no model."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from pydantic import ValidationError

from bot.agents.script import FailingPlanner, Run, Script
from bot.agents.sessions import agent_home, append_history
from bot.agents.supplies import Supplies
from bot.core.backlog import Backlog, BacklogTask
from bot.core.drift import Step, StepKind, normalize
from bot.core.planning import MergedPlan, PlanProposal
from bot.core.plans import PlannedTask
from bot.core.sanitize import plain
from bot.core.values import Usage
from bot.errors import AgentError, UserError
from bot.ports import (
    Box,
    Completed,
    JsonDict,
    PlanBrief,
    Proposed,
    Refined,
    RunError,
    WorkOrder,
    WorkReport,
)

PLANNERS = ("architecture", "tests", "smallest")
_WORKER = Path(__file__).with_name("scripted_worker.py")
_FOLDER = "scripted"
_LOOK_SECONDS = 0.2


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


class ScriptedCoder:
    """A coding agent that does what the script says, as a real process inside the box."""

    name = "scripted"

    def __init__(self, supplies: Supplies) -> None:
        if supplies.script is None:
            raise UserError("The agent `scripted` needs a script. Set GITWRIGHT_SCRIPT.")
        self._script = supplies.script

    async def work(self, order: WorkOrder, box: Box) -> WorkReport:
        """Run entry `order.run` of the task; the box's HOME must be `agent_home(order.state_dir)`."""
        run: Run | None = self._script.run(order.title, order.run)
        listener = _Listener(order)
        deadline = time.monotonic() + order.timeout
        append_history(order.state_dir, {"role": "user", "run": order.run, "text": order.prompt})
        while run is not None:
            _write_order(order, run)
            run = await _until_noted(run, listener, box, deadline)
        return WorkReport("\n".join(listener.said), Usage(), listener.steps, tuple(listener.trace))


async def _until_noted(run: Run, listener: _Listener, box: Box, deadline: float) -> Run | None:
    """Let the worker run to its end; where a person's note comes first that matters to it, give what it does then."""
    order = listener.order
    # HOME is a different path inside and outside, so the shell inside resolves it.
    command = f'exec python3 -I "$HOME/{_FOLDER}/worker.py" "$HOME/{_FOLDER}/order.json"'
    left = max(deadline - time.monotonic(), 0.01)
    working = asyncio.create_task(box.run(["sh", "-c", command], timeout=left, on_line=listener.hear))
    listener.alive = time.monotonic()
    try:
        while not working.done():
            await asyncio.wait({working}, timeout=_LOOK_SECONDS)
            if not working.done() and time.monotonic() - listener.alive >= order.idle:
                raise listener.failed("stall", f"gave no sign of life for {order.idle:g} s")
            if not working.done() and (note := await order.notes()) is not None:
                append_history(order.state_dir, {"role": "user", "note": note})
                if run.noted is not None:
                    return run.noted
        _raise_for_end(working.result(), listener)
        return None
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


class _Listener:
    """Keeps what the agent says and does; lines that are no event are the noise of its tools."""

    def __init__(self, order: WorkOrder) -> None:
        self.order = order
        self.said: list[str] = []
        self.trace: list[Step] = []
        self.alive = time.monotonic()

    @property
    def steps(self) -> int:
        return sum(step.kind != "message" for step in self.trace)

    async def hear(self, line: str) -> None:
        """Take one line; RunError drift where a rule ends the run."""
        self.alive = time.monotonic()
        try:
            event = json.loads(line)
        except ValueError:
            return
        if not isinstance(event, dict):
            return
        append_history(self.order.state_dir, event)
        if event.get("type") == "step":
            await self._see(_step(event))
        elif event.get("type") == "say":
            self.said.append(str(event.get("text", "")))
            await self._see(Step(action="message", args=normalize(self.said[-1]), kind="message"))

    async def _see(self, step: Step) -> None:
        if step.kind in {"edit", "execute"}:
            step = replace(step, tree=await self.order.tree())
        self.trace.append(step)
        for signal in self.order.observe(step):
            if signal.act == "stop":
                raise self.failed("drift", f"was stopped: {signal.text}", signal.code)

    def failed(self, reason: str, what: str, rule: str = "") -> RunError:
        return RunError(reason, f"The agent on `{self.order.task}` {what}", Usage(), tuple(self.trace), rule)


def _step(event: JsonDict) -> Step:
    kind: StepKind = "edit" if event.get("kind") == "edit" else "execute"
    return Step(
        action=kind,
        args=normalize(str(event.get("input", ""))),
        observation=normalize(str(event.get("result", ""))),
        ok=event.get("ok") is True,
        kind=kind,
        files=tuple(str(path) for path in event.get("files") or ()),
    )


def _write_order(order: WorkOrder, run: Run) -> None:
    folder = agent_home(order.state_dir) / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_WORKER, folder / "worker.py")
    if run.patch is not None:
        shutil.copyfile(run.patch, folder / "change.patch")
    wire: JsonDict = {
        "behave": run.behave,
        "say": run.say,
        "patch": None if run.patch is None else "change.patch",
        "outside": outside_scope(order.scope),
    }
    (folder / "order.json").write_text(json.dumps(wire), encoding="utf-8")


def outside_scope(scope: Sequence[str]) -> str:
    """Name a file that no path, folder or pattern of the scope covers, else one at the top; same scope, same name."""
    for name in ("OUTSIDE.txt", "outside/notes.txt", "outside-of-scope/notes.txt"):
        covered = any(
            name == path.rstrip("/") or name.startswith(path.rstrip("/") + "/") or fnmatch(name, path)
            for path in scope
        )
        if not covered:
            return name
    return "OUTSIDE.txt"


def _raise_for_end(done: Completed, listener: _Listener) -> None:
    if done.code is None:
        raise listener.failed("stall", f"did not end within {listener.order.timeout:.0f} s")
    if done.code != 0:
        last = done.output.strip().splitlines()[-1:] or ["nothing was said"]
        raise listener.failed("crash", f"ended with code {done.code}: {plain(last[0], 300)}")
