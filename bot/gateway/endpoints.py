"""Owns where a model is reached from the host: which address its provider has, and which key is sent there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bot.core.providers import KEYS
from bot.errors import AgentError
from bot.live_secrets import LIVE
from bot.ports import WireFormat


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model behind one base URL; `key` is added on the host and never seen by an agent."""

    base_url: str
    name: str  # `provider:model`
    format: WireFormat
    key: str = field(default="", repr=False)

    @property
    def model(self) -> str:
        """Give the name by which the provider knows it."""
        return self.name.partition(":")[2]


_GOOGLE: Mapping[WireFormat, str] = {
    "chat": "https://generativelanguage.googleapis.com/v1beta/openai",
    "gemini": "https://generativelanguage.googleapis.com",
}
ADDRESSES: Mapping[str, Mapping[WireFormat, str]] = {
    "openai": {"chat": "https://api.openai.com/v1", "responses": "https://api.openai.com/v1"},
    "google": _GOOGLE,
    "google-gla": _GOOGLE,
    "anthropic": {"chat": "https://api.anthropic.com/v1", "anthropic": "https://api.anthropic.com"},
    "openrouter": {"chat": "https://openrouter.ai/api/v1"},
}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Finds the endpoint of a model by its name; `base_url` is the operator's own address for all of them."""

    environ: Mapping[str, str] = field(repr=False)
    base_url: str | None = None

    def find(self, model: str, wire: WireFormat) -> Endpoint:
        """Give the endpoint of `provider:model`; AgentError auth says what an operator has to set."""
        provider, colon, name = model.partition(":")
        if not colon or not name:
            raise AgentError("auth", f"`{model}` names no model of a provider, such as openai:gpt-6.1-terra")
        url = self.base_url or ADDRESSES.get(provider, {}).get(wire)
        if url is None:
            text = f"`{model}` cannot be reached by this agent; set GITWRIGHT_MODEL_BASE_URL or name another model"
            raise AgentError("auth", text)
        names = KEYS.get(provider, (f"{provider.upper().replace('-', '_')}_API_KEY",))
        key = next((self.environ[each] for each in names if self.environ.get(each)), "")
        if not key and not _is_local(url):
            raise AgentError("auth", f"`{model}` needs a key; set {' or '.join(names)}")
        if key and key not in LIVE():  # the settings know those of usual providers only
            LIVE.add((key,))
        return Endpoint(url.rstrip("/"), model, wire, key)


def _is_local(url: str) -> bool:
    """A server on the same machine may want no key."""
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}
