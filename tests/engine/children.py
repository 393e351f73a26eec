"""Owns the child processes of the kill tests: each is killed and waited for when its test ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from tests.engine.child import Settings
from tests.engine.conftest import Place

ROOT = Path(__file__).resolve().parents[2]


class Children:
    """Starts workers on one store and reads what they did."""

    def __init__(self, place: Place, folder: Path, seconds: float) -> None:
        self.settings = Settings(place.store_url, place.engine_url, str(folder / "effects.jsonl"), seconds)
        self._folder = folder
        self._all: list[subprocess.Popen[bytes]] = []

    def start(self, **changes: float) -> subprocess.Popen[bytes]:
        file = self._folder / f"child{len(self._all)}.json"
        file.write_text(json.dumps(asdict(replace(self.settings, **changes))))  # type: ignore[arg-type]
        with (self._folder / f"child{len(self._all)}.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "tests.engine.child", str(file)],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self._all.append(child)
        return child

    def effects(self, what: str | None = None) -> list[dict[str, object]]:
        """List what happened, oldest first; a line that is being written just now is not there yet."""
        file = Path(self.settings.effects)
        lines = file.read_text().rpartition("\n")[0].splitlines() if file.exists() else []
        found = [json.loads(line) for line in lines]
        return [one for one in found if what in (None, one["what"])]

    def log(self) -> str:
        return "\n".join(file.read_text() for file in sorted(self._folder.glob("child*.log")))

    async def close(self) -> None:
        for child in self._all:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.kill()
            await ended(child)


async def ended(child: subprocess.Popen[bytes], seconds: float = 60.0) -> int:
    """Wait for a child's end and give its exit code."""
    return await asyncio.to_thread(child.wait, seconds)
