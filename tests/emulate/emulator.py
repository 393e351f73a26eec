"""The emulator `emulate` as a process: how its package gets here, why it may be missing, how it starts and ends.

`python -m tests.emulate.emulator` installs the package of `js/package-lock.json` with npm into the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

JsonDict = dict[str, Any]

_SOURCE = Path(__file__).parent / "js"
_NODE = 20
_INSTALL_S = 300
_READY_S = 30
_STOP_S = 10


def cache_folder() -> Path:
    """The folder of exactly this version."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256((_SOURCE / "package-lock.json").read_bytes()).hexdigest()[:12]
    return base / "gitwright" / f"emulate-{digest}"


def missing() -> str | None:
    """Why the emulator cannot be started here, None if it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    said = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    if int(said.strip().removeprefix("v").partition(".")[0]) < _NODE:
        return f"emulate needs node {_NODE}, here is {said.strip()}"
    if not (cache_folder() / "installed").exists():
        return "emulate is not installed; `python -m tests.emulate.emulator` does it"
    return None


def install() -> None:
    """Install the locked package; nothing happens if it is there."""
    folder = cache_folder()
    if (folder / "installed").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_SOURCE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, timeout=_INSTALL_S)
    (folder / "installed").touch()


@contextmanager
def running(tmp: Path, seed: JsonDict) -> Iterator[str]:
    """Start the emulator with this seed on a free port of loopback; gives its address."""
    path = tmp / "seed.json"  # what is JSON is YAML too
    path.write_text(json.dumps(seed), encoding="utf-8")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = cache_folder() / "node_modules" / "emulate" / "dist" / "index.js"
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
    install()
    sys.exit(0)
