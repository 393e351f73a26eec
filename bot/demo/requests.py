"""Reads the forge's log of calls, whole or as it grows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

APP_KINDS = ("app", "installation")


@dataclass(frozen=True, slots=True)
class Call:
    """One call that the forge saw."""

    at: str  # ISO 8601, UTC, milliseconds
    method: str
    path: str
    status: int
    actor: str | None
    by_app: bool
    git: bool


class Tail:
    """Gives the calls that were logged since one last asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0

    def new(self) -> list[Call]:
        """Read whole lines only; the last one may still be in the writing."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._place)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        self._place += len(whole) + len(newline)
        return [_call(json.loads(line)) for line in whole.splitlines() if line]


def _call(line: dict[str, Any]) -> Call:
    path = str(line["path"])
    return Call(
        at=str(line["ts"]),
        method=str(line["method"]),
        path=path,
        status=int(line["status"]),
        actor=line.get("actor"),
        by_app=line.get("actor_type") in APP_KINDS,
        git=".git/" in path,
    )
