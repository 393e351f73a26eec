"""Owns the packages from npm that tests run: locked beside the tests, installed into the user's cache, or named as missing."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_INSTALL_S = 600
_ASK_S = 60


@dataclass(frozen=True, slots=True)
class Packages:
    """What `package.json` and `package-lock.json` in `source` name; `python -m module` installs it."""

    name: str
    module: str
    source: Path
    node: int = 0  # the oldest major version that it runs on; 0 where it runs on its own

    @property
    def folder(self) -> Path:
        """The folder of exactly these versions."""
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        digest = hashlib.sha256((self.source / "package-lock.json").read_bytes()).hexdigest()[:12]
        return base / "gitwright" / f"{self.name}-{digest}"

    def missing(self) -> str | None:
        """Why it cannot run here, None if it can."""
        if self.node and (reason := self._unfit_node()):
            return reason
        if not (self.folder / "installed").exists():
            return f"{self.name} is not installed; `python -m {self.module}` does it"
        return None

    def install(self) -> None:
        """Install the locked packages; nothing happens if they are there."""
        if (self.folder / "installed").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(self.source / name, self.folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=self.folder, check=True, timeout=_INSTALL_S)
        (self.folder / "installed").touch()

    def _unfit_node(self) -> str | None:
        if shutil.which("node") is None:
            return "node is not installed"
        asked = subprocess.run(
            ["node", "--version"], capture_output=True, text=True, timeout=_ASK_S, check=True
        )
        version = asked.stdout.strip()
        if int(version.removeprefix("v").partition(".")[0]) < self.node:
            return f"{self.name} needs node {self.node}, here is {version}"
        return None
