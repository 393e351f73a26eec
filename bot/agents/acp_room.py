"""Owns where an ACP session happens: its box, its limits, its way to the model, and what is put there to start it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bot import process
from bot.agents.presets import Launch, Preset
from bot.agents.relay import SOCKET, Relay, relay
from bot.agents.sessions import agent_home
from bot.agents.supplies import Limit, Supplies
from bot.errors import AgentError
from bot.ports import Box, RunError

_INSIDE = Path(__file__).with_name("inside.py")
_FOLDER = "gitwright"
COMMAND = ("sh", "-c", f'exec python3 -I "$HOME/{_FOLDER}/inside.py" "$HOME/{_FOLDER}/order.json"')


@dataclass(frozen=True, slots=True)
class Room:
    """Where one session happens."""

    box: Box
    worktree: Path
    state_dir: Path
    model: str
    limit: Limit | None = None
    read_only: bool = False
    tree: Callable[[], Awaitable[str]] | None = None


async def way_to_model(preset: Preset, supplies: Supplies, room: Room, stack: AsyncExitStack) -> Relay | None:
    """Open the way to the model; an agent that may do without gets none where none is named."""
    if not room.model and not preset.needs_model:
        return None
    try:
        endpoint = supplies.endpoints.find(room.model, preset.wire)
    except AgentError as error:
        raise RunError(error.reason, str(error)) from error
    home = agent_home(room.state_dir)
    return await stack.enter_async_context(relay(home, endpoint, supplies.price, room.limit))


def prepare(room: Room, launch: Launch, way: Relay | None) -> None:
    """Write what `inside.py` reads; the token is in a file that only the box's user can read."""
    folder = agent_home(room.state_dir) / _FOLDER
    folder.mkdir(exist_ok=True)
    shutil.copyfile(_INSIDE, folder / "inside.py")
    order = {
        "argv": list(launch.argv),
        "env": dict(launch.env),
        "folders": list(launch.folders),
        "files": dict(launch.files),
        "socket": SOCKET if way is not None else "",
    }
    path = folder / "order.json"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(order, file)
    if (owner := process.sandbox_uid()) is not None:
        os.chown(path, owner, owner)
        os.chown(folder, owner, owner)
