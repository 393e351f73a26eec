"""Owns which languages a repository installs packages of, by its manifests and its `setup`, and whose registry a host is.

used(paths, setup) -> names of ECOSYSTEMS; advice(hosts) -> what a person does about registries that were refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate

from bot.core.sanitize import code

_SHOWN = 3  # registries that people are told of


@dataclass(frozen=True, slots=True)
class Ecosystem:
    """A language with the registries that everybody uses, and how it shows; lists are parted by blanks."""

    hosts: str
    manifests: str  # names of files that decide which packages are installed
    tools: str  # programs that install them, or run what does
    signs: str = ""  # names of other files that show it
    sources: str = ""  # endings of its sources


ECOSYSTEMS: Mapping[str, Ecosystem] = {
    "Python": Ecosystem(
        "pypi.org files.pythonhosted.org",
        "requirements*.txt requirements*.in *-requirements.txt *_requirements.txt constraints*.txt pyproject.toml setup.py "
        "setup.cfg uv.lock uv.toml poetry.lock pdm.lock Pipfile Pipfile.lock pylock*.toml environment*.yml environment*.yaml "
        ".python-version MANIFEST.in hatch_build.py",
        "pip pip3 pipx uv uvx poetry pdm pipenv hatch tox nox virtualenv python python3 py",
        "tox.ini noxfile.py pytest.ini",
        ".py",
    ),
    "JavaScript": Ecosystem(
        "registry.npmjs.org registry.yarnpkg.com",
        "package.json package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml pnpm-workspace.yaml bun.lock bun.lockb "
        ".npmrc .yarnrc .yarnrc.yml .pnpmfile.cjs .nvmrc .node-version deno.json deno.jsonc deno.lock",
        "npm npx yarn pnpm pnpx corepack bun bunx node deno",
        sources=".js .mjs .cjs .ts .jsx .tsx",
    ),
    "Rust": Ecosystem(
        "index.crates.io static.crates.io crates.io",
        "Cargo.toml Cargo.lock rust-toolchain rust-toolchain.toml build.rs",
        "cargo rustup maturin",
        sources=".rs",
    ),
    "Go": Ecosystem(
        "proxy.golang.org sum.golang.org", "go.mod go.sum go.work go.work.sum", "go", sources=".go"
    ),
    "Ruby": Ecosystem(
        "rubygems.org index.rubygems.org",
        "Gemfile Gemfile.lock gems.rb gems.locked *.gemspec .ruby-version",
        "gem bundle bundler rake",
        sources=".rb",
    ),
    "PHP": Ecosystem("repo.packagist.org", "composer.json composer.lock", "composer", sources=".php"),
    "Java": Ecosystem(
        "repo.maven.apache.org repo1.maven.org plugins.gradle.org plugins-artifacts.gradle.org",
        "pom.xml build.gradle build.gradle.kts settings.gradle settings.gradle.kts gradle.lockfile libs.versions.toml "
        "gradle-wrapper.properties deps.edn project.clj",
        "mvn mvnw gradle gradlew sbt lein clojure",
        "build.sbt",
        ".java .kt .scala .clj",
    ),
    ".NET": Ecosystem(
        "api.nuget.org",
        "*.csproj *.fsproj packages.lock.json Directory.Packages.props",
        "dotnet nuget",
        "*.sln",
        ".cs .fs",
    ),
    "Elixir": Ecosystem(
        "repo.hex.pm builds.hex.pm", "mix.exs mix.lock", "mix rebar3", "rebar.config", ".ex .exs .erl"
    ),
}
MANIFESTS = " ".join(each.manifests for each in ECOSYSTEMS.values())
_SHOWS = {
    name: re.compile("|".join(map(translate, f"{each.manifests} {each.signs}".split())))
    for name, each in ECOSYSTEMS.items()
}
_HOSTS = {host: name for name, each in ECOSYSTEMS.items() for host in each.hosts.split()}
_VENDORED = frozenset({"node_modules", "vendor", "third_party", "site-packages", ".venv", "venv"})
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_IN_FOLDER = re.compile(r"(?:.*/)?requirements/[^/]+\.(?:txt|in)")


def vendored(path: str) -> bool:
    """Tell whether a file is a copy of somebody else's."""
    return not _VENDORED.isdisjoint(path.split("/")[:-1])


def listing(path: str) -> bool:
    """Tell whether a file is one of a folder of requirements."""
    return _IN_FOLDER.fullmatch(path) is not None


def hosts(languages: Iterable[str]) -> tuple[str, ...]:
    """Give the registries of languages that ECOSYSTEMS has."""
    return tuple(host for name in sorted(languages) for host in ECOSYSTEMS[name].hosts.split())


def used(paths: Sequence[str], setup: str) -> frozenset[str]:
    """Name the languages of the manifests and of the tools in a command, "" where it was detected.

    Those of the sources count as well where neither tells, or where somebody's own command names no tool: a script may
    install what no manifest shows. A word of a comment in it counts: this is how people name what a script installs.
    """
    own = [path for path in paths if not vendored(path)]
    names = {path.rpartition("/")[2] for path in own}
    words = set(_WORD.findall(setup))
    named = {name for name, each in ECOSYSTEMS.items() if not words.isdisjoint(each.tools.split())}
    found = named | {name for name, shows in _SHOWS.items() if any(map(shows.match, names))}
    if any(map(listing, own)):
        found.add("Python")
    if not found or (setup and not named):
        endings = {f".{name.rpartition('.')[2]}" for name in names}
        found |= {name for name, each in ECOSYSTEMS.items() if not endings.isdisjoint(each.sources.split())}
    return frozenset(found)


def advice(refused: Iterable[str]) -> str:
    """Say how refused registries are opened to a set-up; empty where none of these hosts is one."""
    closed: dict[str, str] = {}
    for host in refused:
        if language := _HOSTS.get(host):
            closed.setdefault(language, host)
    said = [
        f"{code(host)} is a registry of {language}: it opens where the default branch has a manifest of {language}, or where "
        f"`setup` names one of its tools, if only in a comment (`# {ECOSYSTEMS[language].tools.split()[0]}`)"
        for language, host in [*closed.items()][:_SHOWN]
    ]
    return "; ".join(said)
