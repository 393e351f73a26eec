"""Owns setting a repository up: the commands where none are written, what goes before them, and what they made ready.

detect(texts) -> Detected | None; script(setup) -> what a shell runs; during(home), after(home, work, ready, path) -> environment.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bot.core import tables

NO_SETUP = "none"  # `setup: none`: nothing is run, and nothing detected
READ = ("pyproject.toml", "package.json", "Cargo.lock", "Cargo.toml", "go.mod")  # whose text detection needs
VENV = "venv"  # below the home: outside of the checkout, so that nobody commits it
PROGRAMS_AT_HOME = (f"{VENV}/bin", ".local/bin", ".cargo/bin", "go/bin")
PROGRAMS_AT_WORK = (".venv/bin", "node_modules/.bin", "vendor/bin")
# Where a box with walls shows the checkout and the home, whatever they are outside: what is set up holds these paths.
WORK, HOME = "/workspace", "/home/agent"
# Where a box has its programs whatever the host has: those of a container stand nowhere else.
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
AGENTS_FOLDER = "gitwright"  # below the home: what an agent is started with, and all that it keeps
_LEFT_OUT_OF_HOME = f"""
{AGENTS_FOLDER}
.cache/pip .cache/yarn .npm/_logs .bash_history .wget-hsts
.gitconfig .config/git .ssh .netrc .gnupg .bashrc .bash_profile .profile .zshrc .zshenv
.claude .claude.json .codex .gemini .opencode .config/opencode .local/share/opencode .mcp.json AGENTS.md CLAUDE.md GEMINI.md
"""
# Nobody needs these of a set-up's home: downloads that were unpacked. Nor may a package's script leave behind what steers
# agents, git or shells.
LEFT_OUT_OF_HOME = frozenset(_LEFT_OUT_OF_HOME.split())
_EXTRAS = ("test", "tests", "testing", "dev", "develop")
_MOST_REQUIREMENTS = 300
_PYTHON = re.compile(r"(?<![\w./-])(pip[0-9.]*|uv|poetry|pdm|pipenv|virtualenv)(?![\w-])")
_REQUIREMENTS = re.compile(
    r"requirements\.txt|(?:requirements[-_.](?:dev|test|tests|testing)|(?:dev|test|tests)[-_]requirements)\.txt"
    r"|requirements/(?:base|main|dev|test|tests|testing)\.txt"
)
_MAKE_VENV = f"""\
if [ ! -x "$HOME/{VENV}/bin/python" ]; then
  python3 -m venv "$HOME/{VENV}" || uv venv --quiet --seed "$HOME/{VENV}" || exit 1
fi
"""


@dataclass(frozen=True, slots=True)
class Detected:
    """A set-up that nobody wrote; where `bare`, nothing is declared and only a missing test runner is worth it."""

    command: str
    bare: bool = False


def detect(files: Collection[str], texts: Mapping[str, str]) -> Detected | None:
    """Find what installs the dependencies of a repository, by the files at its root, lock files first.

    `texts` are those of READ that are there; None where there is nothing to install.
    """
    tree = set(files)
    python = _python(tree, tables.from_toml(texts.get("pyproject.toml", "")))
    others = [line for part in (_node, _rust, _go, _rest) for line in part(tree, texts)]
    if python is None and not others:
        if {"pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini"} & tree:
            return Detected(_ENSURE_PYTEST, bare=True)
        return None
    return Detected("\n".join([*(python or ()), *others]))


def script(setup: str) -> str:
    """Give what a shell runs: where Python packages are installed, a virtual environment is made for them before."""
    return f"set -e\n{_MAKE_VENV if _PYTHON.search(setup) else ''}{setup}\n"


def during(home: str, path: str) -> dict[str, str]:
    """Give the environment of a set-up."""
    return {
        **_places(home),
        "PATH": _path(f"{home}/{VENV}/bin", f"{home}/.local/bin", path),
        "VIRTUAL_ENV": f"{home}/{VENV}",
        "PIP_NO_INPUT": "1",
        "PIP_NO_CACHE_DIR": "1",
    }


def after(home: str, work: str, ready: Collection[str], path: str) -> dict[str, str]:
    """Give the environment in which what was set up is used, without network.

    `ready` are those of PROGRAMS_AT_HOME and PROGRAMS_AT_WORK that are there, as `home/...` and `work/...`.
    """
    first = [f"{home}/{name}" for name in PROGRAMS_AT_HOME if f"home/{name}" in ready]
    first += [f"{work}/{name}" for name in PROGRAMS_AT_WORK if f"work/{name}" in ready]
    found = {**_places(home), "PATH": _path(*first, path)}
    if f"home/{VENV}/bin" in ready:
        found["VIRTUAL_ENV"] = f"{home}/{VENV}"
    elif "work/.venv/bin" in ready:
        found["VIRTUAL_ENV"] = f"{work}/.venv"
    # What there is has to do: these say so at once instead of waiting for hosts that cannot be reached.
    quiet = {"UV_OFFLINE": "1", "UV_NO_SYNC": "1", "CARGO_NET_OFFLINE": "true", "PIP_RETRIES": "0"}
    return {**found, **quiet, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "npm_config_offline": "true"}


def _path(*parts: str) -> str:
    return ":".join(dict.fromkeys(":".join([*parts, _SYSTEM_PATH]).split(":")))


def _places(home: str) -> dict[str, str]:
    return {
        "UV_PROJECT_ENVIRONMENT": f"{home}/{VENV}",
        "UV_PYTHON_DOWNLOADS": "never",
        "BUNDLE_PATH": f"{home}/bundle",
    }


# --- detection -----------------------------------------------------------------------------------------

_ENSURE_PYTEST = "python -c 'import pytest' 2>/dev/null || python -m pip install -q pytest"


def _python(tree: set[str], project: Mapping[str, Any]) -> list[str] | None:
    if "uv.lock" in tree:
        more = "".join(f" --extra {name}" for name in _extras(project))
        uv = "command -v uv >/dev/null || python -m pip install -q uv"
        return [
            uv,
            f"uv sync --frozen{more}",
            "uv run --no-sync python -c 'import pytest' || uv pip install -q pytest",
        ]
    if "poetry.lock" in tree:
        own = '"$HOME/.poetry/bin/poetry"'
        lend = f'python3 -m venv "$HOME/.poetry" && "$HOME/.poetry/bin/pip" install -q poetry && ln -s {own} "$HOME/{VENV}/bin/poetry"'
        return [
            f"command -v poetry >/dev/null || {{ {lend}; }}",
            "poetry install --no-interaction",
            _ENSURE_PYTEST,
        ]
    found: list[str] = [f"-r {shlex.quote(path)}" for path in sorted(tree) if _REQUIREMENTS.fullmatch(path)]
    itself = "setup.py" in tree or "build-system" in project
    extras = _extras(project)
    if itself:
        found.append(f"-e {shlex.quote('.[' + ','.join(extras) + ']')}" if extras else "-e .")
    else:
        found += [shlex.quote(each) for each in _declared(project, extras)]
    found += [shlex.quote(each) for name in _EXTRAS for each in _group(project, name)]
    found = list(dict.fromkeys(found))[:_MOST_REQUIREMENTS]
    return [f"python -m pip install -q {' '.join(found)}", _ENSURE_PYTEST] if found else None


def _extras(project: Mapping[str, Any]) -> list[str]:
    declared = tables.table(tables.table(project, "project"), "optional-dependencies")
    return [name for name in _EXTRAS if name in declared]


def _declared(project: Mapping[str, Any], extras: Collection[str]) -> Iterator[str]:
    """Give what a project that is no package itself says it needs."""
    about = tables.table(project, "project")
    more = tables.table(about, "optional-dependencies")
    for each in [about.get("dependencies"), *(more.get(name) for name in extras)]:
        yield from _requirements(each)


def _group(project: Mapping[str, Any], name: str) -> Iterator[str]:
    """Give what a group names, and the groups that it takes in, each once."""
    groups, left, seen = tables.table(project, "dependency-groups"), [name], set[str]()
    while left:
        name = left.pop()
        entries = groups.get(name)
        if name in seen or not isinstance(entries, list):
            continue
        seen.add(name)
        yield from _requirements(entries)
        left += [str(entry.get("include-group", "")) for entry in entries if isinstance(entry, dict)]


def _requirements(value: object) -> Iterator[str]:
    for each in value if isinstance(value, list) else ():
        if (
            isinstance(each, str) and each[:1].isalnum()
        ):  # nothing that pip would take for an option or a path
            yield each


def _node(tree: set[str], texts: Mapping[str, str]) -> Iterator[str]:
    if "package.json" not in tree:
        return
    if "pnpm-lock.yaml" in tree:
        yield "pnpm install --frozen-lockfile"
    elif "yarn.lock" in tree:
        yield f"yarn install {'--immutable' if '.yarnrc.yml' in tree else '--frozen-lockfile'}"
    elif {"package-lock.json", "npm-shrinkwrap.json"} & tree:
        yield "npm ci"
    else:
        about = tables.from_json(texts.get("package.json", ""))
        if tables.table(about, "dependencies") or tables.table(about, "devDependencies"):
            yield "npm install --no-package-lock"


def _rust(tree: set[str], texts: Mapping[str, str]) -> Iterator[str]:
    if "Cargo.toml" in tree and "Cargo.lock" in tree:
        if "\nsource = " in texts.get("Cargo.lock", ""):
            yield "cargo fetch --locked"
    elif "Cargo.toml" in tree and re.search(
        r"^\[(.*\.)?(dev-)?dependencies", texts.get("Cargo.toml", ""), re.M
    ):
        yield "cargo fetch"


def _go(tree: set[str], texts: Mapping[str, str]) -> Iterator[str]:
    if "go.mod" in tree and re.search(r"^[ \t]*require\b", texts.get("go.mod", ""), re.M):
        yield "go mod download"


def _rest(tree: set[str], _texts: Mapping[str, str]) -> Iterator[str]:
    commands = {
        "Gemfile.lock": "BUNDLE_FROZEN=true bundle install",
        "composer.lock": "composer install --no-interaction --no-progress",
        "pom.xml": "mvn -q -B dependency:go-offline",
        "mix.lock": "mix deps.get",
    }
    yield from (command for name, command in commands.items() if name in tree)
