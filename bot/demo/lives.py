"""Keeps the record of the bot's lives: when each process of it lived, and how it ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

End = Literal["in_order", "killed", "died"]


@dataclass(frozen=True, slots=True)
class Life:
    """One process of the bot; times in seconds since 1970."""

    pid: int
    started: float
    ended: float
    end: End


def add_life(path: Path, life: Life) -> None:
    """Write a life down as soon as it is over."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(life)) + "\n")


def read_lives(path: Path) -> list[Life]:
    if not path.exists():
        return []
    return [Life(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
