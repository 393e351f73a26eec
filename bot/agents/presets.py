"""Owns how each ACP agent is started: command, environment, private folders, files, mode. All differences end here.

In texts `{home}` is the session's HOME and `{port}` the port of the way to the model, both as seen in the box.
`docs/agents.md` says which of these were run here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bot.agents.endpoints import WireFormat
from bot.ports import JsonDict

MODEL_URL = "http://127.0.0.1:{port}"


@dataclass(frozen=True, slots=True)
class Need:
    """What an agent is started for."""

    model: str  # as its provider names it; "" where the agent gets none
    token: str = field(repr=False)  # for the relay of this session alone
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """What is run in the box."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    folders: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    mode: str | None = None  # set over ACP after the session was made


@dataclass(frozen=True, slots=True)
class Preset:
    """One agent; `remedy` tells an operator how to get its program."""

    name: str
    program: str
    launch: Callable[[Need], Launch]
    wire: WireFormat = "chat"
    needs_model: bool = True
    remedy: str = ""


_STATE = {
    "TMPDIR": "{home}/tmp",
    "XDG_CONFIG_HOME": "{home}/config",
    "XDG_DATA_HOME": "{home}/data",
    "XDG_STATE_HOME": "{home}/state",
    "XDG_CACHE_HOME": "{home}/cache",
}
_FOLDERS = ("tmp", "config", "data", "state", "cache")
_READ_TOOLS = ("read", "list", "glob", "grep", "todowrite", "todoread")


def _opencode(need: Need) -> Launch:
    # Without these two files every start runs an npm install in the background.
    plugin = {"dependencies": {"@opencode-ai/plugin": "*"}}
    lock = {"lockfileVersion": 3, "packages": {"": plugin}}
    flags = (
        *("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS", "SHARE", "CLAUDE_CODE"),
        *("EXTERNAL_SKILLS", "PROJECT_CONFIG"),  # what the repository says of its agents could run anything
    )
    return Launch(
        argv=("opencode", "acp"),
        env={
            **_STATE,
            "OPENCODE_CONFIG_CONTENT": json.dumps(_opencode_config(need)),
            "GITWRIGHT_MODEL_TOKEN": need.token,
            "OPENCODE_SERVER_PASSWORD": need.token,  # its HTTP interface is open to all without one
            "OPENCODE_PURE": "1",
            **{f"OPENCODE_DISABLE_{flag}": "1" for flag in flags},
        },
        folders=(*_FOLDERS, "config/opencode/node_modules"),
        files={
            "config/opencode/package.json": json.dumps(plugin),
            "config/opencode/package-lock.json": json.dumps(lock),
        },
    )


def _opencode_config(need: Need) -> JsonDict:
    model = {
        "name": need.model,
        "tool_call": True,
        "limit": {"context": 128_000, "output": 16_384},
    }
    # `deny` gives the model an error and it goes on; a refused request would end its turn.
    allowed = {"*": "deny", **dict.fromkeys(_READ_TOOLS, "allow")} if need.read_only else {"*": "allow"}
    return {
        "model": f"gitwright/{need.model}",
        "small_model": f"gitwright/{need.model}",
        "enabled_providers": ["gitwright"],
        "share": "disabled",
        "autoupdate": False,
        "snapshot": False,
        "provider": {
            "gitwright": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "gitwright",
                "options": {"baseURL": MODEL_URL, "apiKey": "{env:GITWRIGHT_MODEL_TOKEN}"},
                "models": {need.model: model},
            }
        },
        "permission": {
            **allowed,
            "webfetch": "deny",
            "websearch": "deny",
            "external_directory": "deny",
        },
    }


def _claude(need: Need) -> Launch:
    return Launch(
        argv=("claude-agent-acp",),
        env={
            **_STATE,
            "ANTHROPIC_BASE_URL": MODEL_URL,
            "ANTHROPIC_API_KEY": need.token,
            "ANTHROPIC_MODEL": need.model,
            "CLAUDE_CONFIG_DIR": "{home}/claude",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
            "IS_SANDBOX": "1",
        },
        folders=(*_FOLDERS, "claude"),
        mode="plan" if need.read_only else "bypassPermissions",
    )


def _codex(need: Need) -> Launch:
    settings = (
        f"model = {json.dumps(need.model)}",
        'model_provider = "gitwright"',
        'approval_policy = "never"',
        'sandbox_mode = "danger-full-access"',  # the box around it is the sandbox
        "[model_providers.gitwright]",
        'name = "gitwright"',
        f'base_url = "{MODEL_URL}"',
        'env_key = "GITWRIGHT_MODEL_TOKEN"',
        'wire_api = "responses"',
        "requires_openai_auth = false",
    )
    return Launch(
        argv=("codex-acp",),
        env={
            **_STATE,
            "CODEX_HOME": "{home}/codex",
            "GITWRIGHT_MODEL_TOKEN": need.token,
            "NO_BROWSER": "1",
        },
        folders=(*_FOLDERS, "codex"),
        files={"codex/config.toml": "\n".join(settings) + "\n"},
        mode="read-only" if need.read_only else "agent-full-access",
    )


def _gemini(need: Need) -> Launch:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "general": {"disableAutoUpdate": True, "disableUpdateNag": True},
    }
    return Launch(
        argv=("gemini", "--acp", "-m", need.model),
        env={
            **_STATE,
            "GEMINI_API_KEY": need.token,
            "GOOGLE_GEMINI_BASE_URL": MODEL_URL,
            "GEMINI_CLI_TRUST_WORKSPACE": "true",
        },
        folders=_FOLDERS,
        files={".gemini/settings.json": json.dumps(settings)},
        mode="default" if need.read_only else "yolo",
    )


def custom(command: tuple[str, ...]) -> Preset:
    """Give the preset of somebody's own ACP command; it finds its model by the usual variables of OpenAI's clients."""

    def launch(need: Need) -> Launch:
        model = {
            "OPENAI_BASE_URL": MODEL_URL,
            "OPENAI_API_KEY": need.token,
            "OPENAI_MODEL": need.model,
        }
        return Launch(argv=command, env={**_STATE, **(model if need.model else {})}, folders=_FOLDERS)

    return Preset("custom", command[0], launch, needs_model=False)


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("opencode", "opencode", _opencode, remedy="`npm install -g opencode-ai`"),
        Preset(
            "claude",
            "claude-agent-acp",
            _claude,
            wire="anthropic",
            remedy="`npm install -g @agentclientprotocol/claude-agent-acp`",
        ),
        Preset(
            "codex",
            "codex-acp",
            _codex,
            wire="responses",
            remedy="`npm install -g @agentclientprotocol/codex-acp`",
        ),
        Preset("gemini", "gemini", _gemini, wire="gemini", remedy="`npm install -g @google/gemini-cli`"),
    )
}


def missing(name: str, command: tuple[str, ...], path: str) -> str:
    """Say which program an agent lacks on this PATH and how to get it; empty where it is there."""
    preset = custom(command) if command else PRESETS.get(name)
    if preset is None:
        return "it needs a command: `agent: {command: [...]}`"
    if shutil.which(preset.program, path=path) is not None:
        return ""
    return f"`{preset.program}` is not on the PATH" + (f"; {preset.remedy} gets it" if preset.remedy else "")
