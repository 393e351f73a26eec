"""Owns putting files into a box's HOME from inside: what an agent left there, a link say, can lead nobody astray."""

from __future__ import annotations

from bot.errors import AgentError
from bot.ports import Box

_SECONDS = 20.0
_PUT = 'umask 077 && mkdir -p "$HOME/$(dirname "$1")" && cat >"$HOME/$1"'


async def put(box: Box, path: str, data: bytes) -> None:
    """Write a file below HOME, which only the box's user can read; AgentError crash where that fails."""
    done = await box.run(
        ["/bin/sh", "-c", _PUT, "put", path], timeout=_SECONDS, env={"PATH": box.path}, stdin=data
    )
    if done.code != 0:
        raise AgentError("crash", f"cannot be started, its box takes no files: {done.output.strip()[-200:]}")
