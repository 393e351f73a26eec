"""Owns how each ACP agent is started: command, environment, private folders, files, mode. All differences end here.

In texts `{home}` is the session's HOME and `{model}` the address of the way to the model, both as seen in the box.
`docs/agents.md` says which of these were run here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bot.core.setups import AGENTS_FOLDER
from bot.ports import JsonDict, WireFormat

MODEL_URL = "http://{model}"


@dataclass(frozen=True, slots=True)
class Need:
    """What an agent is started for."""

    model: str  # as its provider names it; "" where the agent gets none
    token: str = field(repr=False)  # for the gateway of this session alone
    read_only: bool = False
    port: int = 0  # of the box's loopback, where nobody else listens


@dataclass(frozen=True, slots=True)
class Launch:
    """What is run in the box."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    folders: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    mode: str | None = None  # set over ACP after the session was made
    meta: JsonDict = field(default_factory=dict)  # `_meta` of the request for a session


@dataclass(frozen=True, slots=True)
class Preset:
    """One agent; `remedy` tells an operator how to get its program."""

    name: str
    program: str
    launch: Callable[[Need], Launch]
    wire: WireFormat = "chat"
    needs_model: bool = True
    remedy: str = ""
    # What deletes a session in its box, and ends with 0 once it is not found again.
    gone: Callable[[Need, str], tuple[str, ...]] | None = None


# Below one folder, which nothing that a set-up leaves in a HOME can be in (`bot/core/setups.py`).
_OURS = AGENTS_FOLDER
_STATE = {
    "TMPDIR": f"{{home}}/{_OURS}/tmp",  # noqa: S108 - below the HOME of a box
    "XDG_CONFIG_HOME": f"{{home}}/{_OURS}/config",
    "XDG_DATA_HOME": f"{{home}}/{_OURS}/data",
    "XDG_STATE_HOME": f"{{home}}/{_OURS}/state",
    "XDG_CACHE_HOME": f"{{home}}/{_OURS}/cache",
}
_FOLDERS = tuple(f"{_OURS}/{name}" for name in ("tmp", "config", "data", "state", "cache"))
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
        argv=("opencode", "acp", "--port", str(need.port)),
        env={
            **_STATE,
            "OPENCODE_CONFIG_CONTENT": json.dumps(_opencode_config(need)),
            "GITWRIGHT_MODEL_TOKEN": need.token,
            "OPENCODE_SERVER_PASSWORD": need.token,  # its HTTP interface is open to all without one
            "OPENCODE_PURE": "1",
            **{f"OPENCODE_DISABLE_{flag}": "1" for flag in flags},
        },
        folders=(*_FOLDERS, f"{_OURS}/config/opencode/node_modules"),
        files={
            f"{_OURS}/config/opencode/package.json": json.dumps(plugin),
            f"{_OURS}/config/opencode/package-lock.json": json.dumps(lock),
        },
    )


# Its ACP has no way to delete a session; the HTTP interface of the same process has.
_OPENCODE_GONE = """\
import base64, sys, urllib.error, urllib.request
url, password = sys.argv[1:]
key = base64.b64encode(f"opencode:{password}".encode()).decode()
ask = lambda method: urllib.request.urlopen(
    urllib.request.Request(url, method=method, headers={"authorization": f"Basic {key}"}), timeout=4
)
ask("DELETE")
try:
    ask("GET")
except urllib.error.HTTPError as error:
    sys.exit(error.code != 404)
sys.exit(1)
"""


def _opencode_gone(need: Need, session: str) -> tuple[str, ...]:
    url = f"http://127.0.0.1:{need.port}/session/{session}"
    return ("python3", "-I", "-c", _OPENCODE_GONE, url, need.token)


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
            # What it asks in the background would be asked of a model that is not open to it.
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": need.model,
            "ANTHROPIC_SMALL_FAST_MODEL": need.model,
            "CLAUDE_CONFIG_DIR": f"{{home}}/{_OURS}/claude",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
            "IS_SANDBOX": "1",
        },
        folders=(*_FOLDERS, f"{_OURS}/claude"),
        mode="plan" if need.read_only else "bypassPermissions",
        # Hooks, servers and permissions of the repository would run as it pleases.
        meta={"claudeCode": {"options": {"settingSources": []}}},
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
            "CODEX_HOME": f"{{home}}/{_OURS}/codex",
            "GITWRIGHT_MODEL_TOKEN": need.token,
            "NO_BROWSER": "1",
        },
        folders=(*_FOLDERS, f"{_OURS}/codex"),
        files={f"{_OURS}/codex/config.toml": "\n".join(settings) + "\n"},
        mode="read-only" if need.read_only else "agent-full-access",
    )


def _gemini(need: Need) -> Launch:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "general": {"disableAutoUpdate": True, "disableUpdateNag": True},
        "advanced": {"ignoreLocalEnv": True},
    }
    return Launch(
        argv=("gemini", "--acp", "-m", need.model),
        env={
            **_STATE,
            "GEMINI_API_KEY": need.token,
            "GOOGLE_GEMINI_BASE_URL": MODEL_URL,
            # Trusted, it would run hooks, servers and extensions of the repository. Untrusted, it asks before each
            # step, and is answered by what the bot allows.
            "GEMINI_CLI_TRUST_WORKSPACE": "false",
        },
        folders=_FOLDERS,
        files={".gemini/settings.json": json.dumps(settings)},
        mode="plan" if need.read_only else "default",
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
        Preset(
            "opencode",
            "opencode",
            _opencode,
            remedy="`npm install -g opencode-ai`",
            gone=_opencode_gone,
        ),
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
    if name == "builtin":  # whose tools are programs of Python's in the box
        return "" if shutil.which("python3", path=path) else "`python3` is not on the PATH"
    preset = custom(command) if command else PRESETS.get(name)
    if preset is None:
        return "it needs a command: `agent: {command: [...]}`"
    if shutil.which(preset.program, path=path) is not None:
        return ""
    return f"`{preset.program}` is not on the PATH" + (f"; {preset.remedy} gets it" if preset.remedy else "")
