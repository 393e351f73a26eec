"""Owns how a real agent is put to work: in a box with walls, its model scripted, its memory and times measured."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.agents import make_coder
from bot.agents.acp_runtime import AcpRuntime
from bot.agents.driver import AgentCoder
from bot.agents.presets import Preset
from bot.agents.supplies import Limits, Supplies
from bot.gateway.endpoints import Endpoints
from bot.ports import Box, Coder, Sandbox, SandboxPolicy, WorkOrder, WorkReport
from tests.agents.real.agents import JsonDict, Real
from tests.agents.real.hostile import plant
from tests.agents.scripted_model import ScriptedModel, serving
from tests.agents.stage import Stage

PATIENCE = Limits(start=90.0, drain=15.0, look=0.1)
HEAD = "| agent | package | on disk | start to first call | turn of four calls | memory of the whole tree, at first call and at most |"
ROWS: dict[str, str] = {}  # of that table, as docs/agents.md has it


@dataclass
class Figures:
    """What one turn took: seconds, and megabytes of the whole process tree."""

    started: float = 0.0  # from nothing to the first question to the model
    turn: float = 0.0  # from there to the end
    idle: int = 0  # when it asked first
    most: int = 0


@dataclass
class Measured(Coder, Sandbox):
    """A coder that tells the model where its worktree is seen, and is measured while it works."""

    coder: Coder
    model: ScriptedModel
    figures: Figures
    hostile: bool
    name: str = "measured"
    level: str = ""
    _sandbox: Sandbox = field(init=False)

    async def work(self, order: WorkOrder, sandbox: Sandbox) -> WorkReport:
        self._sandbox = sandbox
        others = {pid for pid, _ in _tree()}
        began = time.monotonic()
        watching = asyncio.create_task(self._watch(others, began))
        try:
            return await self.coder.work(order, self)
        finally:
            watching.cancel()
            self.figures.turn = time.monotonic() - began - self.figures.started

    @asynccontextmanager
    async def open(self, policy: SandboxPolicy) -> AsyncIterator[Box]:
        async with self._sandbox.open(policy) as box:
            self.model.cwd = str(box.work)
            if self.hostile:
                plant(policy.work, box.work)
            yield box

    async def _watch(self, others: set[int], began: float) -> None:
        while True:
            mine = sum(size for pid, size in _tree() if pid not in others) >> 20
            if not self.model.requests:
                self.figures.idle, self.figures.started = mine, time.monotonic() - began
            self.figures.most = max(self.figures.most, mine)
            await asyncio.sleep(0.1)


def _tree() -> Iterator[tuple[int, int]]:
    """Give every process below this one, with its resident bytes."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    page = os.sysconf("SC_PAGE_SIZE")
    for pid in parents:
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        if above == os.getpid() and pid != above:
            try:
                yield pid, int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
            except OSError:
                continue


@dataclass
class RealStage:
    """A stage on which one real agent works for a scripted model."""

    agent: Real
    stage: Stage
    model: ScriptedModel
    figures: Figures = field(default_factory=Figures)
    hostile: bool = False  # whether the repository says of its agents what they shall run
    preset: Preset | None = None  # instead of the agent's own

    def says(self, *steps: JsonDict, when: str = "Please fix") -> None:
        """Have the model answer so, where it is asked about `when`."""
        self.model.add({"when": when, "steps": list(steps)})

    async def work(self, **changes: object) -> WorkReport:
        """Have the agent work in a session that is deleted afterwards."""
        endpoints = Endpoints(dict(self.agent.keys), self.model.url.removesuffix("/v1") + self.agent.rest)
        supplies = Supplies(endpoints=endpoints, limits=PATIENCE)
        coder = make_coder(self.agent.name, supplies)
        if self.preset is not None:
            coder = AgentCoder(AcpRuntime(self.preset), supplies)
        order = {"model": self.agent.model, "timeout": 240.0, **changes}
        return await self.stage.work(Measured(coder, self.model, self.figures, self.hostile), **order)

    def record(self) -> None:
        """Keep what was measured for the table at the end."""
        agent, found = self.agent, self.figures
        ROWS[agent.name] = (
            f"| `{agent.name}` | `{agent.package}` {agent.version} | {agent.megabytes()} MB | {found.started:.1f} s "
            f"| {found.turn:.1f} s | {found.idle}, {found.most} MB |"
        )


@contextmanager
def on_stage(agent: Real, stage: Stage) -> Iterator[RealStage]:
    """Lend a stage with the agent's program on its PATH."""
    stage.path = f"{agent.bin}:{stage.path}"
    with serving({"scenarios": []}, str(stage.worktree)) as model:
        yield RealStage(agent, stage, model)
