"""Owns the rule of the last zone: a push runs the repository's CI, so whether a person is asked before, and what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.scopes import covers

SHORT = 12  # characters of a commit's sha that people are shown
NAMED = 20  # paths that are remembered of a list; the others are counted
SHOWN = 6_000  # characters of a diff in a comment

# What builds and test runners start from, so that a change of them is run by CI before anybody looks. What CI itself
# starts from is protected and never gets here (bot/core/policy.py).
_ENTRY = """
Makefile makefile GNUmakefile justfile Taskfile.yml Dockerfile *.Dockerfile compose.yaml docker-compose.yml
package.json package-lock.json pnpm-lock.yaml yarn.lock *.config.js *.config.mjs *.config.cjs *.config.ts
pyproject.toml setup.py setup.cfg tox.ini noxfile.py pytest.ini conftest.py requirements*.txt uv.lock poetry.lock
Cargo.toml Cargo.lock build.rs go.mod go.sum pom.xml build.gradle build.gradle.kts settings.gradle
settings.gradle.kts gradlew gradle.properties mvnw CMakeLists.txt meson.build Gemfile Gemfile.lock Rakefile
*.gemspec composer.json mix.exs *.sh *.bat *.ps1
"""
ENTRY = tuple(_ENTRY.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAsk:
    """Finished and verified work that is not pushed yet; an OK is for this very commit."""

    sha: str
    files: int
    plus: int
    minus: int
    outside: tuple[str, ...] = ()  # files outside the task's scope
    entry: tuple[str, ...] = ()  # changed files that builds and tests start from
    tests: str = ""  # what verified it
    refused: str = ""  # the rule of the branch by which the forge refused it; "": it was not pushed yet

    @property
    def short(self) -> str:
        return self.sha[:SHORT]


def wanted(mode: str, *, private: bool, local: bool) -> bool:
    """Tell whether a person is asked before a push: `ask`, or `auto` on a public repository; never in a local clone."""
    return not local and (mode == "ask" or (mode == "auto" and not private))


def entry_files(changed: Sequence[str]) -> tuple[str, ...]:
    """Name the changed files that builds and tests start from, at any depth."""
    return tuple(path for path in changed if any(covers(each, path.rpartition("/")[2]) for each in ENTRY))


def fits(ask: PushAsk, sha: str) -> bool:
    """Tell whether the beginning of a sha, as a person wrote it, means this commit."""
    return len(sha) >= 7 and ask.sha.startswith(sha.lower())
