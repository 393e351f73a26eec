"""Octokit as a judge: where its packages live, how they get there, and how the script is run.

`python -m tests.judges.octokit` installs the packages of `js/package-lock.json` with npm into the user's cache.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

JsonDict = dict[str, Any]

_SOURCE = Path(__file__).parent / "js"
_NODE = 20
_INSTALL_S = 300
_RUN_S = 60


def cache_folder() -> Path:
    """The folder of exactly this set of packages."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256((_SOURCE / "package-lock.json").read_bytes()).hexdigest()[:12]
    return base / "gitwright" / f"octokit-{digest}"


def missing() -> str | None:
    """Why Octokit cannot judge here, None if it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    version = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    if int(version.strip().removeprefix("v").partition(".")[0]) < _NODE:
        return f"octokit needs node {_NODE}, here is {version.strip()}"
    if not (cache_folder() / "installed").exists():
        return "octokit is not installed; `python -m tests.judges.octokit` does it"
    return None


def install() -> None:
    """Install the locked packages; nothing happens if they are there."""
    folder = cache_folder()
    if (folder / "installed").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_SOURCE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, timeout=_INSTALL_S)
    (folder / "installed").touch()


def run(task: JsonDict) -> JsonDict:
    """Run `js/octokit.mjs` on `task`; returns what it printed. AssertionError with its stderr if it fails."""
    # Node looks for packages beside the script.
    script = shutil.copy(_SOURCE / "octokit.mjs", cache_folder())
    done = subprocess.run(
        ["node", str(script)],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=_RUN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: JsonDict = json.loads(done.stdout)
    return printed


if __name__ == "__main__":
    install()
    sys.exit(0)
