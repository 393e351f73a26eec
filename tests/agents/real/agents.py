"""Owns the table of the real agents that are tested: which package and version, which model, and how their tools are called.

`python -m tests.agents.real.agents` installs them, outside the checkout.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agents import opencode
from tests.support.npm import Packages

JsonDict = dict[str, Any]
_JS = Path(__file__).parent / "js"
PACKAGES = Packages("acp-agents", "tests.agents.real.agents", _JS, node=20)


@dataclass(frozen=True, slots=True)
class Real:
    """One agent as it is installed; `folders` are what it weighs on disk, below `node_modules`."""

    name: str
    package: str
    folders: tuple[str, ...]
    model: str  # `provider:model`
    keys: Mapping[str, str]  # the host's environment
    rest: str = "/v1"  # of the model's base URL, which differs by format
    packages: Packages = PACKAGES
    runs: frozenset[str] = frozenset()  # what it runs of the base branch in spite of its switches

    @property
    def version(self) -> str:
        """The one that is installed, exactly."""
        named = json.loads((self.packages.source / "package.json").read_text(encoding="utf-8"))
        return str(named["dependencies"][self.package])

    @property
    def bin(self) -> Path:
        """The folder of its program."""
        return opencode.programs() if self.name == "opencode" else _modules(self) / ".bin"

    def missing(self) -> str | None:
        """Why it cannot run here, None if it can."""
        return opencode.missing() if self.name == "opencode" else PACKAGES.missing()

    def megabytes(self) -> int:
        """What its own packages take on disk."""
        found = [path for name in self.folders for path in (_modules(self) / name).rglob("*")]
        return sum(path.lstat().st_size for path in found) >> 20


def _modules(agent: Real) -> Path:
    return agent.packages.folder / "node_modules"


KEY = "sk-the-real-key"
AGENTS = {
    agent.name: agent
    for agent in (
        Real(
            "claude",
            "@agentclientprotocol/claude-agent-acp",
            ("@agentclientprotocol/claude-agent-acp", "@anthropic-ai"),
            "anthropic:claude-sonnet-4-5",
            {"ANTHROPIC_API_KEY": KEY},
            rest="",
        ),
        Real(
            "codex",
            "@agentclientprotocol/codex-acp",
            ("@agentclientprotocol/codex-acp", "@openai"),
            "openai:gpt-5-codex",
            {"OPENAI_API_KEY": KEY},
            # The adapter declares each session's folder trusted, and nothing that is set can take that back.
            runs=frozenset({"codex-mcp"}),
        ),
        Real(
            "gemini",
            "@google/gemini-cli",
            ("@google/gemini-cli",),
            "google:gemini-2.5-flash",
            {"GEMINI_API_KEY": KEY},
            rest="",
        ),
        Real(
            "opencode",
            "opencode-linux-x64-baseline",
            ("opencode-linux-x64-baseline",),
            "openai:m1",
            {"OPENAI_API_KEY": KEY},
            packages=opencode.PACKAGES,
            # The newer of its two loaders of plugins asks neither OPENCODE_DISABLE_PROJECT_CONFIG nor OPENCODE_PURE.
            runs=frozenset({"opencode-plugin"}),
        ),
    )
}

# Each step names the tool of every agent: the one that is offered is called.
_FILE = "{cwd}/pkg/mod.py"
_OLD, _NEW = "one = 1", "one = 2"


def shell(command: str) -> JsonDict:
    """Give the step in which an agent runs a command."""
    said = {"command": command, "description": "run it"}
    names = {"bash": said, "Bash": said, "run_shell_command": said, "shell": {"command": command}}
    return {"calls": [{**names, "exec_command": {"cmd": command}}]}


READ: JsonDict = {
    "calls": [
        {
            "read": {"filePath": _FILE},
            "Read": {"file_path": _FILE},
            "read_file": {"file_path": _FILE, "path": "pkg/mod.py"},
            "exec_command": {"cmd": "cat pkg/mod.py"},
        }
    ]
}
EDIT: JsonDict = {
    "calls": [
        {
            "edit": {"filePath": _FILE, "oldString": _OLD, "newString": _NEW},
            "Edit": {"file_path": _FILE, "old_string": _OLD, "new_string": _NEW},
            "replace": {
                "file_path": _FILE,
                "old_string": _OLD,
                "new_string": _NEW,
                "instruction": "Count from two.",
            },
            "exec_command": {"cmd": f"sed -i 's/{_OLD}/{_NEW}/' pkg/mod.py"},
        }
    ]
}


def main() -> int:
    """Install all of them; 1 with the reason where npm does not give them."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        sys.stderr.write("The agents that are tested are those for Linux on x64.\n")
        return 1
    for packages in (PACKAGES, opencode.PACKAGES):
        try:
            packages.install()
        except (OSError, subprocess.SubprocessError) as error:
            sys.stderr.write(
                f"The real agents cannot be tested: npm did not install {packages.name}: {error}\n"
            )
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
