"""Owns the files that commands write for people: what somebody has edited since is never overwritten unasked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.errors import BotError, UserError
from bot.local.place import Room

_WROTE = "local:wrote"
_NOTED = 2_000  # digests


async def unedited(room: Room, paths: Sequence[Path], *, force: bool) -> None:
    """Refuse to overwrite what a person wrote; UserError names the files."""
    known = set(await _wrote(room))
    edited = [path for path in paths if path.exists() and _digest(path.read_bytes()) not in known]
    if edited and not force:
        names = ", ".join(path.relative_to(room.wanted.clone.root).as_posix() for path in edited)
        raise UserError(
            f"{names} would be overwritten, and was edited or is not from this command. --force does it."
        )


async def write(room: Room, files: Mapping[Path, bytes], *, force: bool) -> None:
    """Write these files; UserError where that would undo what a person wrote."""
    same = {path for path, data in files.items() if path.exists() and path.read_bytes() == data}
    await unedited(room, [path for path in files if path not in same], force=force)
    # Noted first, and what was written before stays noted: a kill between the files must not make any look edited.
    wrote = [*await _wrote(room), *(_digest(data) for data in files.values())]
    await room.bot.store.put_id(_WROTE, json.dumps(list(dict.fromkeys(wrote))[-_NOTED:]))
    try:
        for path, data in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise BotError(f"The files cannot be written: {error}") from error


async def _wrote(room: Room) -> list[str]:
    """Give the digests of what was written here before, oldest first."""
    found: list[str] = json.loads(await room.bot.store.get_id(_WROTE) or "[]")
    return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
