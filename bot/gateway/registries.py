"""Owns which package registries there are: the public ones by language, the operator's own from a setting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bot.core import ecosystems
from bot.errors import UserError


@dataclass(frozen=True, slots=True)
class Registry:
    """A host from which packages are read, and nothing else; `own`: the operator's, which may be in a private network."""

    host: str
    port: int = 443
    plain: bool = False  # reached over http, without TLS
    own: bool = False


PUBLIC: tuple[Registry, ...] = tuple(map(Registry, ecosystems.hosts(ecosystems.ECOSYSTEMS)))
HOST = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*"
)

_GITHUB = (
    "githubusercontent.com",
    "githubassets.com",
    "ghcr.io",
    "github.dev",
    "github.io",
    "githubcopilot.com",
)

# What says to a package manager where its index is; a comma-separated list in GOPROXY.
_INDEXES = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "NPM_CONFIG_REGISTRY",
    "YARN_NPM_REGISTRY_SERVER",
    "GOPROXY",
    "BUNDLE_MIRROR__ALL",
)


def forges_own(api_url: str) -> tuple[str, ...]:
    """Give the domains of a forge: what agents tell it, the host tells it, and nobody else."""
    host = (urlsplit(api_url).hostname or "").removeprefix("api.")
    return (host, *_GITHUB) if host == "github.com" else (host,)


def public(languages: Iterable[str]) -> tuple[Registry, ...]:
    """Give the public registries of these languages, by their names in bot.core.ecosystems."""
    return tuple(map(Registry, ecosystems.hosts(languages)))


def registries(setting: Sequence[str]) -> tuple[Registry, ...]:
    """Read the operator's own registries: hosts, or addresses of which host, port and scheme count; UserError."""
    return tuple(dict.fromkeys(_own(each) for each in setting))


def _own(text: str) -> Registry:
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        port = parts.port
    except ValueError:
        parts, port = urlsplit("none:"), None
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme not in {"http", "https"} or not HOST.fullmatch(host) or port == 0:
        raise UserError(
            f"`{text}` is no registry: give a host, or an address such as https://index.example.org"
        )
    if parts.username is not None or parts.password is not None:
        raise UserError(
            f"the registry {host} is given with credentials; agents and set-ups get none, so leave them out"
        )
    plain = parts.scheme == "http"
    return Registry(host, port or (80 if plain else 443), plain, own=True)


def indexes(environ: Mapping[str, str], own: Sequence[Registry]) -> dict[str, str]:
    """Give of the operator's variables those that lead package managers to these registries, without credentials."""
    found = {}
    for name in _INDEXES:
        value = environ.get(name) or environ.get(name.lower()) or ""
        addresses = [_bare(part, own) for part in re.split(r"[,|\s]+", value) if part]
        if kept := [each for each in addresses if each]:
            found[name] = (" " if name.startswith("PIP_EXTRA") else ",").join(kept)
    return found


def _bare(address: str, own: Sequence[Registry]) -> str:
    try:
        parts = urlsplit(address)
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return ""
    named = (parts.hostname or "", port, parts.scheme == "http")
    if parts.scheme not in {"http", "https"} or named not in {(r.host, r.port, r.plain) for r in own}:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
