"""Presets are data: each starts its program with nothing of the host, and a missing program is named with its remedy."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from bot.agents.presets import PRESETS, Launch, Need, custom, missing
from bot.core.config import RepoConfig
from bot.core.setups import LEFT_OUT_OF_HOME
from bot.jobs.crew import Crew
from bot.sandbox import NoSandbox
from bot.settings import load_settings
from tests.agents.real.agents import AGENTS as REAL

NEED = Need("m1", "the-token")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_names_its_program_its_way_to_the_model_and_private_folders(name: str) -> None:
    preset = PRESETS[name]
    launch = preset.launch(NEED)
    everything = json.dumps([launch.env, launch.files])
    assert launch.argv[0] == preset.program
    assert "http://{model}" in everything
    assert "the-token" in launch.env.values()
    assert "the-token" not in " ".join(launch.argv)
    assert "m1" in everything + " ".join(launch.argv)
    assert launch.env["TMPDIR"].startswith("{home}/")
    assert not any(path.startswith(("/", "..")) for path in (*launch.folders, *launch.files))
    assert "the-token" not in repr(launch)
    # What a package's script writes into the HOME of a set-up must not be an agent's configuration.
    own = [value.removeprefix("{home}/") for value in launch.env.values() if value.startswith("{home}/")]
    for path in (*own, *launch.folders, *launch.files):
        assert LEFT_OUT_OF_HOME & {path, *map(str, PurePosixPath(path).parents)}, path


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_reader_is_started_differently(name: str) -> None:
    def shown(launch: Launch) -> tuple[object, ...]:
        return launch.argv, dict(launch.env), launch.mode

    assert shown(PRESETS[name].launch(NEED)) != shown(PRESETS[name].launch(replace(NEED, read_only=True)))


def test_claude_asks_in_the_background_too_for_the_tasks_model_only() -> None:
    env = PRESETS["claude"].launch(NEED).env
    background = ("ANTHROPIC_DEFAULT_HAIKU_MODEL", "ANTHROPIC_SMALL_FAST_MODEL")
    assert [env.get(name) for name in background] == ["m1", "m1"]


def test_a_custom_command_gets_a_model_only_where_there_is_one() -> None:
    preset = custom(("my-agent", "--acp"))
    assert preset.launch(NEED).argv == ("my-agent", "--acp")
    assert preset.launch(NEED).env["OPENAI_API_KEY"] == "the-token"
    assert "OPENAI_API_KEY" not in preset.launch(Need("", "")).env


def test_a_missing_program_is_named_with_its_remedy(tmp_path: Path) -> None:
    assert missing("opencode", (), str(tmp_path)) == (
        "`opencode` is not on the PATH; `npm install -g opencode-ai` gets it"
    )
    assert missing("custom", ("my-agent",), str(tmp_path)) == "`my-agent` is not on the PATH"
    assert "needs a command" in missing("custom", (), str(tmp_path))
    (tmp_path / "opencode").write_text("#!/bin/sh\n")
    (tmp_path / "opencode").chmod(0o755)
    assert missing("opencode", (), str(tmp_path)) == ""


@pytest.mark.parametrize(
    ("agent", "said", "remedy"),
    [
        ("opencode", "npm install", "Install it where the bot runs, or set `GITWRIGHT_AGENT`"),
        (
            "builtin",
            "`python3` is not on the PATH",
            "Install it where the bot runs, or set `GITWRIGHT_AGENT`",
        ),
        (
            "nobody",
            "there is no such agent",
            "Set `GITWRIGHT_AGENT` (or `agent` in `.github/gitwright.yml`)",
        ),
        ("scripted", "GITWRIGHT_SCRIPT", "Set `GITWRIGHT_AGENT`"),
        ({"command": ["my-agent"]}, "`my-agent` is not on the PATH", "Install it"),
    ],
)
def test_the_health_check_is_told_what_the_agent_of_a_repository_lacks(
    tmp_path: Path, agent: object, said: str, remedy: str
) -> None:
    settings = load_settings(None, planning_agent="gemini")
    crew = Crew(settings, None, NoSandbox(allowed=True), str(tmp_path))
    found = crew.problems(RepoConfig.model_validate({"agent": agent}))
    name = agent if isinstance(agent, str) else "custom"
    wrong, told = found[f"agent {name}"]
    assert said in wrong
    assert told.startswith(remedy)
    assert set(re.findall(r"`([a-z]+)`", told)) >= {*PRESETS} - {name}
    wrong, told = found["planning agent gemini"]
    assert "gemini-cli" in wrong
    assert "GITWRIGHT_PLANNING_AGENT" in told
    assert set(crew.coders()) == {"builtin", "custom", *PRESETS}


@pytest.mark.parametrize("name", sorted(REAL))
def test_the_page_names_the_versions_that_were_run(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "agents.md").read_text(encoding="utf-8")
    assert f"| `{name}` | `{REAL[name].package}` {REAL[name].version} |" in page
    assert set(REAL) == set(PRESETS)
