"""Owns what installed dependencies hang on: the files that count, the key they make, and what a set-up showed.

counted(files, setup, texts) -> the files whose contents decide; key(...) -> str; changed(paths) -> manifests;
wanted(output) -> the modules that a test run lacked. A *layer* is what a set-up wrote; it is used again for the same key.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from hashlib import sha256

from bot.core import by_value, ecosystems, tables
from bot.core.policy_rules import FIXTURES
from bot.core.values import TreeFile

FORMAT = 1  # of a layer; another one makes every key another

# Dependency manifests, lock files, and what decides how a package builds itself; by file name, at any depth.
_OTHERS = "build.py meson.build CMakeLists.txt pubspec.yaml pubspec.lock Package.swift Package.resolved flake.nix flake.lock"
MANIFESTS = (*ecosystems.MANIFESTS.split(), *_OTHERS.split())
_NAMED = re.compile("|".join(map(translate, MANIFESTS)))
# What a package in place may have been built from: a changed one needs building again.
_NATIVE = (".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".pyx", ".pxd", ".rs", ".f90", ".swig")
_LIFE_CYCLE = ("preinstall", "install", "postinstall", "prepare", "prepublish")  # scripts that npm runs

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_OPERATOR = re.compile(r"[|&;()]+")
_PYTHON = re.compile(r"python[0-9.]*|py")
_PIP = re.compile(r"pip[0-9.]*")
# Beginnings of commands that read manifests and write dependencies, and nothing else of the repository.
_PLAIN = """
set, export, cd, true, :, echo, mkdir, uv sync, uv venv, poetry install, poetry config, pdm install, pdm sync,
pipenv install, pipenv sync, npm ci, npm install, npm i, yarn, yarn install, pnpm install, pnpm i, corepack enable, cargo fetch,
go mod download, bundle install, bundle config, gem install, composer install, mix deps.get
"""
_KNOWN = tuple(tuple(start.split()) for start in _PLAIN.replace("\n", "").split(","))
_ALONE = frozenset({("yarn",)})  # with other words behind it is a script of the repository
_NODE = frozenset({"npm", "yarn", "pnpm"})
_PYTHON_TOOLS = re.compile(r"\b(pip[0-9.]*|uv|poetry|pdm|pipenv)\b")
_NOT_IN_PLACE = re.compile(r"no[-_]editable", re.IGNORECASE)
_TELLING = frozenset({"package.json", "pyproject.toml", "Pipfile"})
_LISTS = (".txt", ".in", ".list")  # of requirements
_OTHER_LISTS = frozenset({"MANIFEST.in", "CMakeLists.txt"})  # of the package's own files
# What is read of a commit: reading TOML takes a second for each megabyte or two, and an agent may have written it.
_MOST_READ = 500  # manifests
_MOST_BYTES = 1 << 22  # of them together


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """How a repository was set up; `wrong` says why it could not be, with the end of what was printed in `output`."""

    command: str
    detected: bool = False
    again: bool = False  # taken from an earlier one
    seconds: float = 0.0
    bytes: int = 0
    refused: tuple[str, ...] = ()  # hosts that it wanted to reach
    put_back: tuple[str, ...] = ()  # files of the repository that it changed
    dropped: tuple[str, ...] = ()  # what it wrote and nobody may have
    wrong: str = ""
    output: str = ""


def is_manifest(path: str) -> bool:
    """Tell whether a file decides which packages are installed, or how the repository itself is."""
    if ecosystems.vendored(path):
        return False
    return bool(_NAMED.match(_name(path)) or ecosystems.listing(path))


def changed(paths: Iterable[str]) -> tuple[str, ...]:
    """Give those of changed paths that are dependency manifests."""
    return tuple(path for path in paths if is_manifest(path))


def telling(files: Sequence[TreeFile], setup: str) -> tuple[str, ...]:
    """Name the files whose texts `counted` needs: manifests that say by which scripts, and from where, is installed.

    None where they are too many or too long to be read: what is missing there may say anything.
    """
    found = _telling(files, _named(_commands(setup)))
    bounded = len(found) <= _MOST_READ and sum(file.size for file in found) <= _MOST_BYTES
    return tuple(file.path for file in found) if bounded else ()


def counted(
    files: Sequence[TreeFile], setup: str, texts: Mapping[str, str], tasks_dir: str, *, ours: bool = False
) -> tuple[TreeFile, ...]:
    """Give the files that decide what a set-up writes: manifests, and what it names; all where nobody can tell.

    `texts` are those of `telling`; `ours` says that the command was detected and not written by people.
    """
    commands = _commands(setup)
    named = _named(commands)
    python = _PYTHON_TOOLS.search(setup) is not None
    if (
        not (ours or all(map(_known, commands)))
        or any(file.path not in texts for file in _telling(files, named))
        or any(
            _copies(path, text, named, python=python, node=_names_node(commands))
            for path, text in texts.items()
        )
    ):
        return tuple(file for file in files if not file.path.startswith(f"{tasks_dir}/"))
    natives = _NATIVE if python else ()
    return tuple(
        file
        for file in files
        if is_manifest(file.path) or _name(file.path) in named or (natives and file.path.endswith(natives))
    )


def _copies(path: str, text: str, named: frozenset[str], *, python: bool, node: bool) -> bool:
    """Tell whether other files of the repository come to lie in what is installed, or have a say in it."""
    if _name(path) == "package.json":
        return node and (_has_life_cycle(text) or by_value.manifest(path, text))
    further = () if path.endswith(".toml") else by_value.listed(text)
    unseen = any(not is_manifest(each) and _name(each) not in named for each in further)
    return python and (unseen or by_value.manifest(path, text))


def _telling(files: Sequence[TreeFile], named: frozenset[str]) -> list[TreeFile]:
    return [file for file in files if file.mode.startswith("100") and _is_telling(file.path, named)]


def _is_telling(path: str, named: frozenset[str]) -> bool:
    name = _name(path)
    if name in _OTHER_LISTS or not (name in _TELLING or name.endswith(_LISTS)):
        return False
    if name in named and name.endswith(_LISTS):
        return True
    return is_manifest(path) and FIXTURES.isdisjoint(path.split("/")[:-1])  # data of tests installs nothing


def _named(commands: Sequence[Sequence[str]]) -> frozenset[str]:
    """Give the names of files that commands name, without their folders: a `cd` may have gone before."""
    return frozenset(_name(word.rstrip("/")) for words in commands for word in words)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _names_node(commands: Sequence[Sequence[str]]) -> bool:
    return any(_NODE.intersection(words) for words in commands)


def key(setup: str, files: Sequence[TreeFile], machine: str) -> str:
    """Name what a set-up writes, by all that decides it; git's names of contents stand for the contents."""
    rows = sorted((file.path, file.mode, file.sha) for file in files)
    return sha256(json.dumps([FORMAT, machine, setup, rows]).encode()).hexdigest()


def own_key(shared: str, sha: str) -> str:
    """Name what a set-up of one commit alone writes: no other commit ever gets it."""
    return sha256(f"{shared} {sha}".encode()).hexdigest()


def wanted(output: str) -> frozenset[str]:
    """Name the modules that a test run lacked; `*` stands for packages that it does not name."""
    names = {found.split(".")[0] for found in _MODULE.findall(output)}
    return frozenset({*names, "*"} if _LACKING.search(output) else names)


_MODULE = re.compile(r"No module named '?([A-Za-z_][A-Za-z0-9_.]*)")
_LACKING = re.compile(
    r"Cannot find (?:module|package) |ERR_MODULE_NOT_FOUND|: not found$|command not found"
    r"|failed to (?:download|get|fetch) |[Cc]ould not resolve (?:host|dependencies)|no required module provides"
    r"|dial tcp|Could not find \S+ in (?:any of the sources|locally installed gems)|Bundler::GemNotFound"
    r"|vendor/autoload\.php|Unknown host|can't find crate|no matching package",
    re.MULTILINE,
)


def _commands(setup: str) -> list[list[str]]:
    """Split a script into its simple commands; one that cannot be read is a command that nobody knows."""
    lexer = shlex.shlex(setup.replace("\n", ";"), posix=True, punctuation_chars="|&;()")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:
        return [["?"]]
    found: list[list[str]] = [[]]
    for word in words:
        if _OPERATOR.fullmatch(word):
            found.append([])
        elif found[-1] or not _ASSIGNMENT.fullmatch(word):
            found[-1].append(word)
    return [each for each in found if each]


def _known(words: Sequence[str]) -> bool:
    """Tell whether a command installs what manifests name, and reads nothing else of the repository."""
    if any(mark in word for word in words for mark in ("`", "$(", "<")) or any(
        map(_NOT_IN_PLACE.search, words)
    ):
        return False
    if _PYTHON.fullmatch(words[0]) and words[1:2] == ["-m"]:
        words = words[2:]
    if words[:1] == ["venv"] or (words[0] in {".", "source"} and words[-1].endswith("/bin/activate")):
        return True
    if words[:2] == ["uv", "pip"]:
        words = words[1:]
    if words and _PIP.fullmatch(words[0]):
        return words[1:2] == ["install"] and not by_value.pip(words[2:])
    return any(tuple(words[: len(start)]) == start for start in _KNOWN if start not in _ALONE) or (
        tuple(words) in _ALONE
    )


def _has_life_cycle(package_json: str) -> bool:
    about = tables.read_json(package_json)
    scripts = None if about is None else about.get("scripts") or {}
    if not isinstance(scripts, dict):
        return True  # whoever cannot be read may run anything
    return any(name in scripts for name in _LIFE_CYCLE)
