"""Owns the start of an ACP agent in its box: what is put there for it, and the command that becomes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bot.agents.placing import put
from bot.agents.presets import Launch
from bot.core.setups import AGENTS_FOLDER
from bot.ports import Seat

_INSIDE = Path(__file__).with_name("inside.py")
# `python3` is the operator's, too, and what it becomes has the PATH that the box has.
_BECOME = f"""\
python=$(PATH=$1 command -v python3) || {{ echo "python3 cannot be started: it is not there" >&2; exit 127; }}
exec "$python" -I "$HOME/{AGENTS_FOLDER}/inside.py" "$HOME/{AGENTS_FOLDER}/order.json"
"""


def command(seat: Seat) -> tuple[str, ...]:
    """Give the command that becomes the agent."""
    return ("/bin/sh", "-c", _BECOME, "agent", seat.box.path)


async def prepare(seat: Seat, launch: Launch) -> None:
    """Put there what `inside.py` reads; it deletes the order, which holds the token."""
    order = {
        "argv": list(launch.argv),
        "path": seat.box.path,
        "env": dict(launch.env),
        "folders": list(launch.folders),
        "files": dict(launch.files),
    }
    model = seat.box.address(seat.access.outlet) if seat.access is not None else ""
    await put(seat.box, f"{AGENTS_FOLDER}/inside.py", _INSIDE.read_bytes())
    text = json.dumps(_filled(order, str(seat.box.home), model))
    await put(seat.box, f"{AGENTS_FOLDER}/order.json", text.encode())


def _filled(value: Any, home: str, model: str) -> Any:
    """Put what only a box knows into every text."""
    if isinstance(value, str):
        return value.replace("{home}", home).replace("{model}", model)
    if isinstance(value, list):
        return [_filled(each, home, model) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, home, model) for key, each in value.items()}
    return value
