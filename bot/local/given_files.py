"""Owns the files that `implement` is given: read and checked, and put where branches can carry them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from bot.core import backlog as backlog_file
from bot.core.backlog import Backlog, Problem
from bot.core.given import Finished
from bot.core.ids import LOCAL_TRACK_ID, backlog_branch, task_branch
from bot.core.plan_file import read_plan
from bot.core.track import SETTLED, Frozen
from bot.core.values import Actor, Identity, Issue
from bot.errors import UserError
from bot.local.place import Room
from bot.local.progress import Display
from handlers.freezing import Heard, freeze

_LIMIT = 4 << 20  # bytes of all files together


@dataclass(frozen=True, slots=True)
class Given:
    """A backlog with what lies beside it; `files` by repository path."""

    backlog: Backlog
    files: Mapping[str, bytes]
    frozen: Frozen
    problems: tuple[Problem, ...] = ()


def read_given(path: Path, folder: str) -> tuple[Given | None, tuple[Problem, ...]]:
    """Read the backlog, its plan and its specs; errors in the backlog are given back."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"`{path}` cannot be read as UTF-8 text: {error}") from error
    loaded = backlog_file.load(text)
    if loaded.backlog is None:
        return None, loaded.problems
    track = loaded.backlog.track
    if len(track) > 60 or not LOCAL_TRACK_ID.fullmatch(track) or track.endswith(".lock"):
        hint = "At most 60 letters, digits, `-`, and single `.` or `_` between them."
        line = next((n for n, row in enumerate(text.splitlines(), 1) if row.startswith("track:")), 1)
        return None, (Problem(line, 1, "SCHEMA", f"`track`: `{track}` cannot name branches", hint),)
    if not loaded.backlog.tasks:
        return None, (
            Problem(1, 1, "SCHEMA", "There is no task in the file", "Write at least one under `tasks:`."),
        )
    files = {f"{folder}/BACKLOG.yaml": raw}
    beside = [
        path.with_name("PLAN.md"),
        *(path.parent / "specs" / f"{t.id}.md" for t in loaded.backlog.tasks),
    ]
    for file in beside:
        if file.is_file() and not file.is_symlink():
            files[f"{folder}/{file.relative_to(path.parent).as_posix()}"] = file.read_bytes()
    if sum(len(data) for data in files.values()) > _LIMIT:
        raise UserError(f"The files in `{path.parent}` are larger than {_LIMIT >> 20} MiB together.")
    plan = files.get(f"{folder}/PLAN.md", b"").decode(errors="replace")
    return Given(loaded.backlog, files, _frozen(loaded.backlog, plan), loaded.problems), loaded.problems


def _frozen(backlog: Backlog, plan: str) -> Frozen:
    """Take the text that was planned from the plan; without one the goal has to do."""
    found, _ = read_plan(plan) if plan else (None, ())
    if found is not None:
        return found.frozen
    return freeze(Issue(0, backlog.goal or backlog.track, "", "open", Actor(0, "you")), Heard(), "you")


async def committed(room: Room, given: Given, start: str, author: Identity, when: datetime) -> str:
    """Give a commit on top of `start` that holds the files; `start` itself where it does already."""
    there = await room.mirror.read_many(start, list(given.files))
    changed = {path: data for path, data in given.files.items() if there.get(path) != data}
    if not changed:
        return start
    message = f"Plan {given.backlog.track}"
    sha = await room.mirror.commit_files(start, changed, message, author, when)
    await room.mirror.anchor(f"backlog/{given.backlog.track}", sha)
    return sha


async def onto_branch(
    room: Room, given: Given, base: str, author: Identity, when: datetime, display: Display
) -> tuple[Room, str]:
    """Put the files onto the track's backlog branch, which stands for the default branch while nothing is merged.

    Until a task has begun it is made anew from `base`; after that only the files move on, and another base is told.
    """
    config, _ = await room.config()
    branch = backlog_branch(config.branch_prefix, given.backlog.track)
    there = await room.mirror.resolve(branch)
    track = await room.track(given.backlog.track)
    begun = (track is not None and any(task.attempt for task in track.tasks)) or bool(
        await _first_attempts(room, given, config.branch_prefix)
    )
    if there and begun and (track is None or any(task.state not in SETTLED for task in track.tasks)):
        changed = [path for path, _, _ in await room.mirror.diff_stat(there, base)]
        if any(not path.startswith(f"{room.wanted.folder}/") for path in changed):
            display.tell(
                f"work has begun, so it goes on from {branch}, as it was there; {base[:12]} counts for new tracks only"
            )
    sha = await committed(room, given, there if there and begun else base, author, when)
    if sha != there:
        async with room.forge.git_access(room.repo, write=True) as access:
            await room.mirror.push(access, sha, branch, there)
        await room.fetch()
    return replace(room, repo=replace(room.repo, default_branch=branch)), sha


async def onto_current(
    room: Room, given: Given, branch: str, author: Identity, when: datetime
) -> tuple[Room, str]:
    """Commit the files to the branch that is checked out, as merging a backlog does; nothing else is touched."""
    clone = room.wanted.clone
    staged = [path for path in await clone.staged() if path not in given.files]
    if staged:
        raise UserError(
            f"--merge needs a clean index, and {', '.join(staged[:5])} is staged. Commit it or unstage it, "
            "then run the same command again."
        )
    head = await clone.commit(None)
    sha = await committed(room, given, head, author, when)
    if sha != head:
        await clone.bring(room.mirror.git_dir, f"refs/gitwright/backlog/{given.backlog.track}")
        await clone.record(sha, head, list(given.files))
        await room.fetch()
    return replace(room, repo=replace(room.repo, default_branch=branch)), sha


async def _first_attempts(room: Room, given: Given, prefix: str) -> list[str]:
    """List the tasks of which there is a branch, whatever is remembered."""
    track = given.backlog.track
    return [
        task.id
        for task in given.backlog.tasks
        if await room.mirror.resolve(task_branch(prefix, track, task.id, 1)) is not None
    ]


async def finished_branches(room: Room, given: Given) -> tuple[Finished, ...]:
    """Find the newest finished branch of each task: made by the host, and its own backlog says so."""
    found = []
    config, _ = await room.config()
    for task in given.backlog.tasks:
        attempt, newest = 1, ""
        while sha := await room.mirror.resolve(
            task_branch(config.branch_prefix, given.backlog.track, task.id, attempt)
        ):
            newest, attempt = sha, attempt + 1
        if not newest or not await _says_done(room, newest, task.id):
            continue
        branch = task_branch(config.branch_prefix, given.backlog.track, task.id, attempt - 1)
        pull = await room.forge.open_pull(
            room.repo, head=branch, base=room.repo.default_branch, title=f"{task.id}: {task.title}", body=""
        )
        room.forge.merged(pull.number, newest, newest)
        found.append(
            Finished(task=task.id, attempt=attempt - 1, branch=branch, head_sha=newest, pull=pull.number)
        )
    return tuple(found)


async def _says_done(room: Room, sha: str, task: str) -> bool:
    raw = await room.mirror.read(sha, f"{room.wanted.folder}/BACKLOG.yaml")
    loaded = backlog_file.load((raw or b"").decode(errors="replace"))
    written = loaded.backlog.task(task) if loaded.backlog else None
    return written is not None and written.status == "done"
