"""What each preset of agents takes of memory while it does one small task in its box, against the scripted agent.

Run: python -m bench.agent_memory [--times 3]   (Linux: it reads /proc; `python -m tests.agents.real.agents` installs the real agents)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.many_branches import say
from bench.place import ROOT, machine, scratch, table
from bot.agents import AGENTS, make_coder
from bot.agents.supplies import Supplies
from bot.gateway.endpoints import Endpoints
from bot.ports import Coder, JsonDict
from bot.sandbox import probe
from tests.agents.real import agents as real
from tests.agents.real.stage import Figures, Measured, on_stage
from tests.agents.scripted_model import ScriptedModel, serving
from tests.agents.stage import QUICK, Stage, acp_coder, fake, git, scripted_coder

BASE = "scripted"
SECONDS = 300  # in which one agent is to be done
_CALLS: list[JsonDict] = [
    {"calls": [{"read": {"path": "pkg/mod.py"}}]},
    {"calls": [{"edit": {"path": "pkg/mod.py", "old": "one = 1", "new": "one = 2"}}]},
    {"calls": [{"shell": {"command": "cat pkg/mod.py"}}]},
]
_DONE: JsonDict = {"text": "All done.", "usage": [500, 7]}


@dataclass(frozen=True, slots=True)
class Memory:
    """What one run took at most, in MB resident: the processes of its box, and the growth of the bot's own."""

    box: int
    bot: int

    @property
    def both(self) -> int:
        return self.box + self.bot


def _own() -> int:
    """Give the most that this process has taken so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _of_the_bot(name: str, folder: Path, model: ScriptedModel) -> tuple[Coder, JsonDict]:
    """Give an agent that needs no package from npm, and what its order says besides."""
    if name == "scripted":
        return scripted_coder(folder, {"patch": "fix.patch", "say": "All done."}), {}
    if name == "custom":
        return acp_coder(), dict(fake("edit"))
    model.add({"when": "Please fix", "steps": [*_CALLS, _DONE]})
    return make_coder(name, Supplies(endpoints=Endpoints({}, model.url), limits=QUICK)), {
        "model": "openai:m1"
    }


@contextmanager
def _ready(name: str, stage: Stage, figures: Figures) -> Iterator[Callable[[], object]]:
    """Lend what has the agent do the task: read, edit, a command, an answer, as far as it has such steps."""
    if name in real.AGENTS:
        with on_stage(real.AGENTS[name], stage) as there:
            there.figures = figures
            there.says(real.READ, real.EDIT, real.shell("cat pkg/mod.py"), _DONE)
            yield there.work
    else:
        with serving({"scenarios": []}, str(stage.worktree)) as model:
            coder, order = _of_the_bot(name, stage.folder, model)
            yield lambda: stage.work(Measured(coder, model, figures, hostile=False), **order)


async def measured(name: str, folder: Path) -> Memory:
    """Have an agent do the task in a box with walls; SystemExit where there is none, or the work was not done."""
    found = await probe()
    if found.level == "none":
        raise SystemExit(f"there is no sandbox here: {found.problems}")
    stage, figures = Stage(folder, found.sandbox), Figures()
    with _ready(name, stage, figures) as work:
        before = _own()
        await work()  # type: ignore[misc]
    if not git(stage.worktree, "status", "--porcelain"):
        raise SystemExit(f"{name} changed nothing")
    return Memory(figures.most, _own() - before)


def in_its_own(name: str, folder: Path) -> Memory:
    """Measure in a fresh process, so that what one agent has the bot load does not count for the next."""
    folder.mkdir()
    command = [sys.executable, "-m", "bench.agent_memory", "--one", name, "--folder", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise SystemExit(f"{name} could not be measured:\n{done.stderr[-2000:]}")
    return Memory(**json.loads(done.stdout.splitlines()[-1]))


def missing(name: str) -> str | None:
    """Why an agent cannot run here, None if it can."""
    return real.AGENTS[name].missing() if name in real.AGENTS else None


def main(times: int) -> None:
    """Measure all in turn, so that other work on the machine meets each of them, and print the ratios."""
    left_out = {name: reason for name in AGENTS if (reason := missing(name))}
    names = sorted((name for name in AGENTS if name not in left_out), key=lambda name: name != BASE)
    found: dict[str, list[Memory]] = {name: [] for name in names}
    with scratch() as folder:
        for number in range(times):
            for name in names:
                say(f"{name}, {number + 1} of {times}")
                found[name].append(in_its_own(name, folder / f"{name}-{number}"))
    middle = {name: statistics.median(each.both for each in all_) for name, all_ in found.items()}
    rows = [["agent", "in its box, at most", "growth of the bot's process", "both", "ratio"]]
    for name, all_ in found.items():
        box, bot = (statistics.median(getattr(each, part) for each in all_) for part in ("box", "bot"))
        rows.append(
            [
                name,
                f"{box:.0f} MB",
                f"{bot:.0f} MB",
                f"{middle[name]:.0f} MB",
                f"{middle[name] / middle[BASE]:.1f}",
            ]
        )
    print(
        f"# Memory of each agent\n\nResident, looked at ten times a second, median of {times}; {machine()}\n"
    )
    print(table(rows))
    print("\n`custom` is the small agent of the tests; `scripted` is little but the box itself.")
    for name, reason in left_out.items():
        print(f"\nleft out: {name}: {reason}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--one", choices=sorted(AGENTS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(asdict(asyncio.run(measured(given.one, given.folder)))))
    else:
        main(given.times)
