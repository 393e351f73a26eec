"""Owns what a change may touch: protected paths, secrets, and what lies outside a task's scope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bot.core.sanitize import find_secrets
from bot.core.scopes import in_scope

# Services that test what is pushed to a repository on the forge. `**/` where they can be told to read another folder.
_OTHER_CI = """
.circleci/** .buildkite/** .semaphore/** .teamcity/** .woodpecker/** .azure-pipelines/** .codefresh/** .tekton/**
.travis.yml .drone.* .cirrus.* .woodpecker.y*ml .appveyor.yml appveyor.yml codefresh.yml codemagic.yaml bitrise.yml
wercker.yml .zuul.yaml zuul.yaml .zuul.d/** zuul.d/** .packit.y*ml **/Jenkinsfile **/Jenkinsfile.* **/*.jenkinsfile
**/azure-pipelines*.y*ml **/cloudbuild*.y*ml **/buildspec*.y*ml
"""
OTHER_CI = tuple(_OTHER_CI.split())

# What else runs before anybody looks, perhaps with secrets, or tells tools what to run and whence to take it.
_STARTS = """
.github/** CODEOWNERS docs/CODEOWNERS
.gitlab/** **/*.gitlab-ci.y*ml .gitea/** .forgejo/** bitbucket-pipelines.yml .build.yml .builds/**
**/.gitattributes .gitmodules .lfsconfig
**/.husky/** **/.githooks/** **/.pre-commit-config.yaml .overcommit.yml
**/lefthook.y*ml **/lefthook.toml **/lefthook.json **/lefthook-local.* **/.lefthook*.* .lefthook/**
**/.npmrc **/.yarnrc **/.yarnrc.yml **/.pnpmfile.cjs **/.pypirc **/pip.conf **/.cargo/config **/.cargo/config.toml
**/.bundle/** **/[Nn]u[Gg]et.[Cc]onfig
**/AGENTS.md **/AGENTS.override.md **/CLAUDE.md **/CLAUDE.local.md **/GEMINI.md **/.mcp.json **/.claude/**
**/.codex/** **/.gemini/** **/.opencode/** **/opencode.json **/opencode.jsonc **/.cursor/** **/.cursorrules
"""
PROTECTED = (*OTHER_CI, *_STARTS.split())


def matches(path: str, pattern: str) -> bool:
    """Match a path by a file name, a folder or an fnmatch pattern; `**/x` means x at any depth."""
    folder = pattern.removesuffix("/**")  # itself, where a symlink or a file takes its place
    return in_scope(
        {each for entry in (pattern, folder) for each in (entry, entry.removeprefix("**/"))}, path
    )


def protected(changed: Sequence[str], more: Sequence[str], tasks_dir: str) -> tuple[str, ...]:
    """Name changed paths that an agent may not change; the bot's own folder is written by the host alone."""
    patterns = (*PROTECTED, *more, tasks_dir)
    return tuple(path for path in changed if any(matches(path, pattern) for pattern in patterns))


def other_ci(tree: Iterable[str]) -> tuple[str, ...]:
    """Name the CI of other vendors that a tree shows at its root, by file or folder; what lies deeper may be a copy."""
    top = sorted({path.partition("/")[0] for path in tree})
    return tuple(name for name in top if any(matches(name, pattern) for pattern in OTHER_CI))


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
