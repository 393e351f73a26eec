"""OpenCode as a real agent to test with: where its binary lies, and how it gets there.

`python -m tests.agents.opencode` installs the package of `js/package-lock.json` with npm into the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).parent / "js"
_INSTALL_S = 600


def cache_folder() -> Path:
    """The folder of exactly this version."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256((_SOURCE / "package-lock.json").read_bytes()).hexdigest()[:12]
    return base / "gitwright" / f"opencode-{digest}"


def programs() -> Path:
    """The folder of the binary."""
    return cache_folder() / "node_modules" / "opencode-linux-x64-baseline" / "bin"


def missing() -> str | None:
    """Why OpenCode cannot run here, None if it can."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return "does not apply: the OpenCode binary that is tested is the one for Linux on x64"
    if not (cache_folder() / "installed").exists():
        return "opencode is not installed; `python -m tests.agents.opencode` does it"
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


if __name__ == "__main__":
    install()
    sys.exit(0)
