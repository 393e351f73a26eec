"""Owns whence a lock file takes packages: hosts and repositories that it names and the base's file did not."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

# What each format writes before an address that packages are taken from; other addresses (home pages, funding) are words.
# Agents write these files: no pattern may look at a character from more than a few beginnings.
_KEYS: tuple[tuple[str, str], ...] = (
    ("package-lock.json", r'"(?:resolved|version)":\s*"'),
    ("npm-shrinkwrap.json", r'"(?:resolved|version)":\s*"'),
    ("yarn.lock", r'(?:resolved|resolution:|(?<=[^\s"])@)\s*"?'),
    (
        "pnpm-lock.yaml",
        r"(?:tarball|repo|resolution|version|specifier):\s*[{'\"]?(?:tarball:\s*|repo:\s*)?['\"]?",
    ),
    ("bun.lock", r'"(?:[^"@]*@)?'),
    ("deno.lock", r'"'),
    ("uv.lock", r'(?:registry|git|url)\s*=\s*"'),
    ("poetry.lock", r'url\s*=\s*"'),
    ("pdm.lock", r'(?:url|git)\s*=\s*"'),
    ("Pipfile*", r'"?(?:url|git|index)"?\s*[:=]\s*"'),
    ("Cargo.lock", r'source\s*=\s*"(?:registry|sparse|git)\+'),
    ("Gemfile.lock", r"remote:\s*"),
    ("composer.lock", r'"url":\s*"'),
    ("flake.lock", r'"url":\s*"'),
    ("pubspec.lock", r'url:\s*"?'),
    ("requirements*.txt", r"(?:^|[\s@=])(?!github:)"),
    ("constraints*.txt", r"(?:^|[\s@=])(?!github:)"),
)
_ADDRESS = r"(?P<address>(?:[a-z]+\+)?(?:https?|git|ssh|file|ftp)://[^\s\"'}>#]+|git@[\w.-]+:[^\s\"'}>#]+|github:[^\s\"']+)"
# The registries that the tools themselves would ask, over https.
_USUAL = frozenset(
    [
        "registry.npmjs.org",
        "registry.yarnpkg.com",
        "npm.jsr.io",
        "pypi.org",
        "files.pythonhosted.org",
        "static.crates.io",
        "index.crates.io",
        "crates.io",
        "rubygems.org",
        "repo.packagist.org",
        "proxy.golang.org",
        "repo.maven.apache.org",
        "repo1.maven.org",
        "pub.dev",
        "hex.pm",
        "repo.hex.pm",
    ]
)
_CRATES = "github.com/rust-lang/crates.io-index"
_FORGES = frozenset({"api.github.com", "github.com", "codeload.github.com"})  # where all PHP packages lie


def added(path: str, before: bytes, after: bytes) -> tuple[str, ...]:
    """Name the sources that a lock file has come to use: a host, or `scheme host/path` where it is no plain registry."""
    name = path.rpartition("/")[2]
    key = next((key for pattern, key in _KEYS if fnmatchcase(name, pattern)), None)
    if key is None:
        return ()
    return tuple(sorted(_sources(name, key, after) - _sources(name, key, before)))[:10]


def _sources(name: str, key: str, data: bytes) -> set[str]:
    found = set()
    for match in re.finditer(f"{key}{_ADDRESS}", data.decode(errors="replace"), re.MULTILINE):
        source = _source(name, match["address"])
        if source:
            found.add(source)
    return found


def _source(name: str, address: str) -> str:
    """Say where an address leads; empty for the registry that the tool would ask anyway."""
    kind, _, rest = address.rpartition("://") if "://" in address else ("git", "", address)
    host, _, tail = (
        rest.partition("@")[2].partition("/") if "@" in rest.partition("/")[0] else rest.partition("/")
    )
    host = host.casefold().removesuffix(":443")
    if _CRATES in address and kind.startswith("http"):
        return ""
    if kind == "https" and not tail.split("?")[0].endswith(".git"):
        if host in _USUAL or (name == "composer.lock" and host in _FORGES):
            return ""
        return host
    if name == "composer.lock" and kind == "https" and host in _FORGES:
        return ""
    return f"{kind or 'git'} {host}/{tail}"[:120].rstrip("/")
