"""Owns the scripted agent as a runtime: a real process in the box that does what the script says, no model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from bot.agents.placing import put
from bot.agents.script import Run, Script
from bot.core.sanitize import plain
from bot.core.setups import AGENTS_FOLDER
from bot.errors import AgentError
from bot.ports import (
    Completed,
    DisposeProof,
    JsonDict,
    Raw,
    Seat,
    Text,
    ToolFinished,
    TurnResult,
    WireFormat,
)

_WORKER = Path(__file__).with_name("scripted_worker.py")
_FOLDER = f"{AGENTS_FOLDER}/scripted"
_COMMAND = f'exec "$(PATH=$1 command -v python3)" -I "$HOME/{_FOLDER}/worker.py" "$HOME/{_FOLDER}/order.json"'
_LONGEST = 86_400.0  # seconds; whoever drives it ends it sooner


class ScriptedRuntime:
    """Implements AgentRuntime with the entry of the script that fits the seat's title and run."""

    name = "scripted"
    wire: WireFormat | None = None

    def __init__(self, script: Script) -> None:
        self._script = script

    async def start(self, seat: Seat) -> ScriptedHandle:
        """Take the place; the process itself starts with the first turn."""
        await put(seat.box, f"{_FOLDER}/worker.py", _WORKER.read_bytes())
        return ScriptedHandle(seat, self._script.run(seat.title, seat.run))


class ScriptedHandle:
    """Implements AgentHandle; a note, or a nudge, changes nothing where its entry does not say what follows from it."""

    def __init__(self, seat: Seat, run: Run) -> None:
        self.id = "scripted"
        self.resumed = bool(seat.resume)
        self._seat = seat
        self._next: Run | None = run
        self._noted = run.noted
        self._working: asyncio.Task[Completed] | None = None
        self._interrupted = asyncio.Event()
        self._said: list[str] = []

    async def prompt(self, text: str) -> TurnResult:
        """Have the worker do its entry, once; another prompt finds nothing left to do."""
        if self._next is None:
            return TurnResult("end_turn")
        run, self._next = self._next, None
        await self._place(run)
        self._working = asyncio.create_task(
            self._seat.box.run(
                ["/bin/sh", "-c", _COMMAND, "worker", self._seat.box.path],
                timeout=_LONGEST,
                on_line=self._hear,
            )
        )
        return await self._turn(self._working)

    async def steer(self, text: str) -> TurnResult:
        """Turn to what the entry says of notes; without such words the worker goes on as it was."""
        self._interrupted.set()
        working = self._working
        if self._noted is None:
            return await self._turn(working) if working is not None else TurnResult("end_turn")
        self._next, self._noted = self._noted, self._noted.noted
        await self._end()
        return await self.prompt(text)

    async def cancel(self) -> None:
        """Kill the worker."""
        self._interrupted.set()
        await self._end()

    async def dispose(self, *, keep: bool = False) -> DisposeProof:
        """Kill the worker; it keeps nothing anywhere else."""
        await self._end()
        return DisposeProof(checked=("processes: the tree of scripted",))

    async def _turn(self, working: asyncio.Task[Completed]) -> TurnResult:
        self._interrupted.clear()
        interrupted = asyncio.create_task(self._interrupted.wait())
        try:
            await asyncio.wait({working, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            interrupted.cancel()
        if not working.done() or working.cancelled():
            return TurnResult("cancelled")
        _raise_for_end(working.result())
        return TurnResult("end_turn", "\n".join(self._said))

    async def _end(self) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    async def _place(self, run: Run) -> None:
        # A worker that died with half of its work done finds that half there, and dies again.
        again = self.resumed and run.behave == "crash"
        patch = None if again else run.patch
        if patch is not None:
            await put(self._seat.box, f"{_FOLDER}/change.patch", patch.read_bytes())
        wire: JsonDict = {
            "behave": run.behave,
            "say": run.say,
            "patch": None if patch is None else "change.patch",
            "outside": outside_scope(self._seat.scope),
        }
        await put(self._seat.box, f"{_FOLDER}/order.json", json.dumps(wire).encode())

    async def _hear(self, line: str) -> None:
        """Take one line; those that are no event are the noise of its tools."""
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            await self._seat.report(Raw("noise"))
        elif event.get("type") == "step":
            await self._seat.report(_call(event))
        elif event.get("type") == "say":
            self._said.append(str(event.get("text", "")))
            await self._seat.report(Text(self._said[-1]))


def _call(event: JsonDict) -> ToolFinished:
    return ToolFinished(
        id="",
        kind="edit" if event.get("kind") == "edit" else "execute",
        title=str(event.get("input", ""))[:100],
        input=str(event.get("input", "")),
        output=str(event.get("result", "")),
        paths=tuple(str(path) for path in event.get("files") or ()),
        ok=event.get("ok") is True,
    )


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


def _raise_for_end(done: Completed) -> None:
    if done.code == 0:
        return
    last = done.output.strip().splitlines()[-1:] or ["nothing was said"]
    raise AgentError("crash", f"ended with code {done.code}: {plain(last[0], 300)}")
