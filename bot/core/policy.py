"""Owns what a change may touch: protected paths, secrets, and what lies outside a task's scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.core.sanitize import find_secrets
from bot.core.scopes import covers, in_scope

# What CI, builds and tools start from: a push runs it, perhaps with secrets, before anybody looks.
PROTECTED = (
    ".github/**",
    ".gitlab-ci.yml",
    ".circleci/**",
    ".buildkite/**",
    "azure-pipelines.yml",
    "Jenkinsfile",
    "CODEOWNERS",
    "docs/CODEOWNERS",
    ".gitmodules",
    ".gitattributes",
    "**/.gitattributes",
    ".lfsconfig",
    ".pre-commit-config.yaml",
    ".npmrc",
    ".pypirc",
    ".mcp.json",
    ".claude/**",
    ".codex/**",
    ".gemini/**",
    ".opencode/**",
    "opencode.json",
    "AGENTS.md",
    "CLAUDE.md",
    "GEMINI.md",
)


def matches(path: str, pattern: str) -> bool:
    """Match a path by a file name, a folder or an fnmatch pattern; `**/x` means x at any depth."""
    return any(
        covers(each, path) for each in (pattern, pattern.removesuffix("/**"), pattern.removeprefix("**/"))
    )


def protected(changed: Sequence[str], more: Sequence[str], tasks_dir: str) -> tuple[str, ...]:
    """Name changed paths that an agent may not change; the bot's own folder is written by the host alone."""
    patterns = (*PROTECTED, *more, tasks_dir)
    return tuple(path for path in changed if any(matches(path, pattern) for pattern in patterns))


def outside(changed: Sequence[str], scope: Sequence[str]) -> tuple[str, ...]:
    """Name changed paths that no entry of the scope covers."""
    return tuple(path for path in changed if not in_scope(scope, path))


def new_secrets(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[tuple[str, int, str], ...]:
    """Find what looks like a secret on lines that the base does not have: path, line, kind."""
    found = []
    for path, data in sorted(after.items()):
        old = set(before.get(path, b"").decode(errors="replace").splitlines())
        for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
            if line not in old:
                found += [(path, number, secret.kind) for secret in find_secrets(line)]
    return tuple(found)
