"""Run in a copy with the agent of docs/adding/agent.md: it stands in the table, works, and fails in the two known ways."""

import asyncio
import tempfile
from pathlib import Path

from bot.agents import make_coder, shell
from bot.agents.sessions import agent_home
from bot.agents.supplies import Supplies
from bot.errors import AgentError
from bot.ports import SandboxPolicy, WorkOrder, WorkReport
from bot.sandbox import NoSandbox


async def work(folder: Path, timeout: float = 120.0) -> WorkReport:
    """Have the agent work on a task in a plain box."""
    state, worktree = folder / "session", folder / "wt"
    agent_home(state).mkdir(parents=True, exist_ok=True)
    worktree.mkdir(exist_ok=True)
    policy = SandboxPolicy(work=worktree, home=agent_home(state))
    order = WorkOrder("issue-1", "T-1", "Say it", "Please.", (), 1, policy, "coder-1", state, timeout)
    return await make_coder("shell", Supplies()).work(order, NoSandbox(allowed=True))


def failure(folder: Path, command: str, timeout: float = 120.0) -> str:
    """Give the reason with which the agent ends when its command is another one."""
    shell.COMMAND = command
    try:
        asyncio.run(work(folder, timeout))
    except AgentError as error:
        return error.reason
    return "none"


with tempfile.TemporaryDirectory() as name:
    report = asyncio.run(work(Path(name)))
    assert report.said == "wrote DONE.md"
    assert (Path(name) / "wt/DONE.md").read_text() == "Please."
    assert failure(Path(name), "exit 3") == "crash"
    assert failure(Path(name), "sleep 60", 0.5) == "stall"
print("done")
