"""Owns the checks of the machine: programs and their versions, the data folder, the disk, the sandbox."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
from pathlib import Path

from bot import process, sandbox
from bot.core import health
from bot.core.health import InstrumentationChecker, Probes
from bot.doctor.check import Check, Finding, Level, ok
from bot.doctor.world import World
from bot.jobs.table import tool_path
from bot.sandbox.advice import advise
from bot.sandbox.evidence import Evidence, gather

MIN_PYTHON = (3, 11)
MIN_SQLITE = (3, 40, 1)
GOOD_SQLITE = (3, 42)  # before, it lacks a clock function of the engine's, which the bot then brings along
_LEVELS: dict[health.Level, Level] = {"ok": "ok", "degraded": "warning", "blocking": "failed"}
_STRENGTH = ("none", "medium", "strong")
_SANDBOX_PATIENCE = 60.0  # seconds: canaries run in it


def as_doctor(finding: health.Finding) -> Finding:
    """Take over what the health check before planning would say."""
    step = finding.remedy if finding.level != "ok" else ""
    return Finding(_LEVELS[finding.level], finding.text, step)


def judge_python(version: tuple[int, int, int]) -> Finding:
    """Judge the version of Python."""
    shown = ".".join(map(str, version))
    if version[:2] >= MIN_PYTHON:
        return ok(f"Python is {shown}.")
    return Finding("failed", f"Python 3.11 or later is needed; this is {shown}.", "Install a newer Python.")


def judge_sqlite(version: tuple[int, ...]) -> Finding:
    """Judge the version of the SQLite library that Python brings."""
    shown = ".".join(map(str, version))
    if version < MIN_SQLITE:
        text = f"SQLite 3.40.1 or later is needed; this is {shown}."
        return Finding("failed", text, "Install a Python with a newer SQLite, or set GITWRIGHT_DATABASE_URL.")
    if version < GOOD_SQLITE:
        text = f"SQLite is {shown}; it works, with a clock function that the bot brings along."
        return Finding("warning", text, "With the next upgrade of the machine take SQLite 3.42 or later.")
    return ok(f"SQLite is {shown}.")


def judge_sandbox(required: str, level: str, kind: str, seen: Evidence) -> Finding:
    """Judge the level that a machine reaches, with which kind of boxes, against the one that the operator requires."""
    if required == "none":
        text = "Agents and tests run without a sandbox, with the bot's own rights (GITWRIGHT_SANDBOX=none)."
        if level != "none":
            return Finding(
                "warning", text, f"This machine reaches `{level}` ({kind}): take the setting away."
            )
        found = advise("medium", level, seen)
        return Finding("warning", f"{text} For one it misses {found.missing}", found.fix, seen.problems)
    if _STRENGTH.index(level) >= _STRENGTH.index(required):
        return ok(f"Level `{level}` holds ({kind}); `{required}` is required.")
    found = advise(required, level, seen)
    text = f"Only level `{level}` is reached" if level != "none" else "No sandbox holds here"
    return Finding(
        "failed", f"{text}; `{required}` is required. Missing: {found.missing}", found.fix, seen.problems
    )


def judge_folder(path: Path, mode: int | None, writable: bool) -> Finding:
    """Judge the data folder; `mode` None means that it does not exist yet."""
    if not writable:
        text = f"`{path}` cannot be written."
        return Finding("failed", text, "Give the folder to the bot's user, or set GITWRIGHT_DATA_DIR.")
    if mode is None:
        return ok(f"`{path}` is made at the first start.")
    if mode & 0o077:
        text = f"Others of this machine may look into `{path}` (mode {mode:04o})."
        return Finding("warning", text, f"Run `chmod 700 {path}`.")
    return ok(f"`{path}` is writable, and this user's alone.")


async def _python(_world: World) -> Finding:
    return judge_python(sys.version_info[:3])


async def _sqlite(_world: World) -> Finding:
    return judge_sqlite(sqlite3.sqlite_version_info)


async def _git(_world: World) -> Finding:
    try:
        done = await process.run(["git", "--version"], env=process.inherited("PATH"), timeout=10)
        said = done.stdout.decode(errors="replace")
    except process.ProcessError as error:
        said = str(error)
    return as_doctor(InstrumentationChecker("work").findings(Probes(git_version=said))[0])


async def _folder(world: World) -> Finding:
    path = world.configured().data_dir.absolute()
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        mode = None
    except (NotADirectoryError, PermissionError):
        return judge_folder(path, None, writable=False)
    there = _existing(path)
    fine = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return judge_folder(path, mode, writable=fine and not _read_only(there))


def _read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _existing(path: Path) -> Path:
    """Give the folder itself, or the nearest one above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists())


async def _lock_folder(world: World) -> tuple[str, ...]:
    """sets the folder's mode to 0700"""
    path = world.configured().data_dir.absolute()
    if not path.is_dir():
        return ()
    path.chmod(0o700)
    return (f"set the mode of `{path}` to 0700",)


async def _disk(world: World) -> Finding:
    free = shutil.disk_usage(_existing(world.configured().data_dir.absolute())).free
    return as_doctor(InstrumentationChecker("work").findings(Probes(disk_free=free))[0])


async def _sandbox(world: World) -> Finding:
    settings = world.configured()
    containers = sandbox.Containers.of(
        settings.container, settings.container_image, settings.container_runtime
    )
    path = world.environ.get("PATH", os.defpath)
    probed = await sandbox.probe(containers, hidden=settings.hidden, path=tool_path(settings, path))
    seen = gather(probed.problems, containers.name if containers else "bwrap")
    return judge_sandbox(settings.sandbox, probed.level, probed.sandbox.name, seen)


CHECKS = (
    Check(name="machine.python", asks="Is Python new enough?", look=_python),
    Check(name="machine.git", asks="Is git there, and new enough?", look=_git),
    Check(name="machine.sqlite", asks="Is SQLite new enough?", look=_sqlite),
    Check(
        name="machine.data",
        asks="Is DATA_DIR writable, and closed to others?",
        look=_folder,
        mend=_lock_folder,
    ),
    Check(name="machine.disk", asks="Is there room for worktrees?", look=_disk),
    Check(
        name="machine.sandbox",
        asks="Does a sandbox of the required level hold here?",
        look=_sandbox,
        patience=_SANDBOX_PATIENCE,
    ),
)
