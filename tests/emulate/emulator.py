"""The emulator `emulate` as a process: how it starts and ends. `python -m tests.emulate.emulator` installs its package."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.stories.stage import kept_port
from tests.support.npm import Packages

JsonDict = dict[str, Any]

PACKAGES = Packages("emulate", "tests.emulate.emulator", Path(__file__).parent / "js", node=20)
_READY_S = 60
_STOP_S = 60


@contextmanager
def running(tmp: Path, seed: JsonDict) -> Iterator[str]:
    """Start the emulator with this seed on a free port of loopback; gives its address."""
    path = tmp / "seed.json"  # what is JSON is YAML too
    path.write_text(json.dumps(seed), encoding="utf-8")
    with kept_port() as port:
        yield from _running(tmp, path, port)


def _running(tmp: Path, path: Path, port: int) -> Iterator[str]:
    program = PACKAGES.folder / "node_modules" / "emulate" / "dist" / "index.js"
    command = ["node", str(program), "--service", "github", "--port", str(port), "--seed", str(path)]
    with (tmp / "emulator.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(process, url, tmp / "emulator.log")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            httpx.get(url, timeout=2)
        except httpx.TransportError:
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, f"the emulator was not ready after {_READY_S} s"
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    PACKAGES.install()
