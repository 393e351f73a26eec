"""Owns judging settings and backlog files of a clone or of anywhere: which there are, which kind each is, what is wrong."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bot import process
from bot.core import backlog, config, yaml_tree
from bot.core.backlog import Problem
from bot.core.values import Role
from bot.errors import UserError

Kind = Literal["settings", "backlog"]

BACKLOG_NAMES = ("BACKLOG.yaml", "BACKLOG.yml")
SETTINGS_NAMES = (Path(config.PATH).name, "gitwright.yaml")
MOST_NAMES = 256 << 20  # bytes of a clone's file names
_ENV = ("PATH", "HOME", "XDG_CONFIG_HOME", "GIT_CEILING_DIRECTORIES")


@dataclass(frozen=True, slots=True)
class Validated:
    """One file with all that is wrong with it, in the order of its lines."""

    path: Path
    kind: Kind
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> int:
        return sum(problem.severity == "error" for problem in self.problems)

    @property
    def warnings(self) -> int:
        return len(self.problems) - self.errors


async def find_files(folder: Path) -> list[Path]:
    """List the settings and backlog files of the clone around a folder; UserError outside of one.

    A shallow clone, as CI makes it, will do; what is ignored is not listed.
    """
    root = await _root(folder)
    if root is None:
        raise UserError(f"`{folder}` is in no git clone: name the files to validate.")
    found = [root / path for path in await _listed(root)]
    settings = [root / ".github" / name for name in SETTINGS_NAMES]
    return [path for path in found if path in settings or path.name in BACKLOG_NAMES]


async def validate(paths: Sequence[Path], commands: Mapping[str, Role]) -> list[Validated]:
    """Judge files; `commands` are those whose roles settings can name, with the least that each needs."""
    trees: dict[Path, Collection[str]] = {}
    found = []
    for path in paths:
        folder = path.absolute().parent
        if folder not in trees:
            root = await _root(folder)
            trees[folder] = await _listed(root) if root else ()
        found.append(_judged(path, trees[folder], commands))
    return found


def _judged(path: Path, tree: Collection[str], commands: Mapping[str, Role]) -> Validated:
    raw = path.read_bytes()
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = Problem(line, 1, "SCHEMA", "The file is not UTF-8", "Save it as UTF-8.")
        return Validated(path, _kind_of(path, ""), (problem,))
    kind = _kind_of(path, text)
    if kind == "backlog":
        return Validated(path, kind, backlog.load(text, tree).problems)
    _, errors = config.parse(text)
    judged = [*errors, *config.warnings(text, commands)]
    problems = [Problem(p.line, p.column, p.code, p.message, p.hint, "", p.severity) for p in judged]
    if path.parent.name == ".github" and path.name != SETTINGS_NAMES[0]:
        message = f"Gitwright reads `{config.PATH}` and no other file"
        hint = f"Rename it to `{SETTINGS_NAMES[0]}`."
        problems.append(Problem(1, 1, "WRONG_NAME", message, hint, "", "warning"))
    return Validated(path, kind, tuple(sorted(problems)))


def _kind_of(path: Path, text: str) -> Kind:
    """Tell by its name what a file is, and by its keys where its name says nothing."""
    if path.name in BACKLOG_NAMES:
        return "backlog"
    if path.name in SETTINGS_NAMES:
        return "settings"
    root, _ = yaml_tree.read(text)
    keys = {key.text for key, _ in root.entries} if root is not None else set()
    return "backlog" if keys & {"track", "tasks", "version"} else "settings"


async def _root(folder: Path) -> Path | None:
    """Give the top of the clone around a folder; None outside of one."""
    command = ["git", "rev-parse", "--path-format=absolute", "--show-toplevel"]
    done = await process.run(command, env=process.inherited(*_ENV), timeout=30, cwd=folder)
    return Path(os.fsdecode(done.stdout).rstrip("\n")) if done.code == 0 and done.stdout.strip() else None


async def _listed(root: Path) -> list[str]:
    """List the clone's files, tracked or not, but for what is ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = await process.run(command, env=process.inherited(*_ENV), timeout=60, cwd=root, cap=MOST_NAMES)
    if done.code != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise UserError(f"git cannot list the files of `{root}`: {said[-500:]}")
    names = {os.fsdecode(name) for name in done.stdout.split(b"\0") if name}
    return sorted(name for name in names if (root / name).is_file())
