"""OpenCode as a real agent to test with: where its binary lies. `python -m tests.agents.opencode` installs it."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from tests.support.npm import Packages

PACKAGES = Packages("opencode", "tests.agents.opencode", Path(__file__).parent / "js")


def programs() -> Path:
    """The folder of the binary."""
    return PACKAGES.folder / "node_modules" / "opencode-linux-x64-baseline" / "bin"


def missing() -> str | None:
    """Why OpenCode cannot run here, None if it can."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return "does not apply: the OpenCode binary that is tested is the one for Linux on x64"
    return PACKAGES.missing()


if __name__ == "__main__":
    PACKAGES.install()
