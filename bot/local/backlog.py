"""Owns `backlog` in a clone: PLAN.md becomes BACKLOG.yaml and specs beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from bot.core import backlog as backlog_file
from bot.core.actions import ProposeBacklog
from bot.core.backlog import Loaded
from bot.core.events import EVENTS
from bot.core.given import FilesGiven
from bot.core.plan_file import PlanFile, PlanProblem, read_plan
from bot.core.track import Track
from bot.core.values import Usage
from bot.errors import UserError
from bot.jobs.backlog import Drafted
from bot.local.clone import Clone
from bot.local.place import Room, Wanted, folder_of, room
from bot.local.plan import usage_json
from bot.local.progress import Display
from bot.local.watch import LOOK, Watch
from bot.local.written import unedited, write

_COUNT, _USAGE = "local:backlog:count", "local:backlog:usage"
_USAGES: TypeAdapter[Usage] = TypeAdapter(Usage)


@dataclass(frozen=True, slots=True)
class BacklogOrder:
    clone: Clone
    plan_file: Path
    track: str
    base: str | None = None
    script: Path | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Backlogged:
    """What came of it: the file as it is read back; `problems` of the plan where that cannot be read."""

    path: Path
    loaded: Loaded | None = None
    plan_problems: tuple[PlanProblem, ...] = ()
    notes: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)

    @property
    def good(self) -> bool:
        return self.loaded is not None and self.loaded.backlog is not None


async def backlog(order: BacklogOrder, display: Display) -> Backlogged:
    """Turn the plan's `json` block into a backlog; files that a person edited are kept unless `force`."""
    folder = folder_of(order.clone, order.plan_file)
    path = order.clone.root / folder / "BACKLOG.yaml"
    found, problems = read_plan(_text(order.plan_file))
    if found is None:
        return Backlogged(path, plan_problems=problems)
    if not found.plan.tasks:
        raise UserError(
            f"`{order.plan_file}` has no task: move those that you want from `minority` to `tasks`."
        )
    base = await order.clone.resolve(order.base or found.plan.base_sha or "HEAD")
    notes: list[str] = []
    if base is None and order.base is None:
        base = await order.clone.commit(None)
        notes.append(
            f"{found.plan.base_sha[:12]}, where it was planned, is not in this clone; it starts at HEAD"
        )
    base = base or await order.clone.commit(order.base)
    async with room(Wanted(order.clone, order.track, folder, base, order.script)) as place:
        await unedited(place, [path], force=order.force)
        await place.fetch(base)
        drafted, track = await _drafted(place, order, found, base, display)
        if drafted is None:
            raise UserError(
                track.problem or "The backlog could not be written; see .git/gitwright/gitwright.log."
            )
        files = {
            order.clone.root / name: data
            for name, data in drafted.files.items()
            if not name.endswith("/PLAN.md")
        }
        await write(place, files, force=order.force)
        loaded = backlog_file.load(path.read_text("utf-8"), [f.path for f in await place.mirror.files(base)])
    return Backlogged(path, loaded, (), (*notes, *drafted.notes), drafted.usage)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"`{path}` cannot be read as UTF-8 text: {error}") from error


async def _drafted(
    place: Room, order: BacklogOrder, found: PlanFile, base: str, display: Display
) -> tuple[Drafted | None, Track]:
    """Have the engine draft the files; begun before and killed, it goes on."""
    made: list[Drafted] = []

    async def draft(track: Track, _action: ProposeBacklog) -> None:
        drafted = await place.proposing.draft(track, place.mirror)
        await store.put_id(_USAGE, _USAGES.dump_json(await spent(place) + drafted.usage).decode())
        made.append(drafted)

    place.bot.jobs[ProposeBacklog] = draft
    store, watch = place.bot.store, Watch(place, order.track, display)
    before = await watch.load()
    if before is not None and before.tasks:
        raise UserError(
            f"Work on `{order.track}` has begun. Edit BACKLOG.yaml and run `gitwright implement` again, or choose "
            "another --track-id."
        )
    await watch.skip()
    await watch.tell_settings()
    await place.bot.start()
    count = int(await store.get_id(_COUNT) or 0) + 1
    await store.put_id(_COUNT, str(count))
    given = FilesGiven(
        repo=place.repo,
        track=order.track,
        step="backlog",
        frozen=found.frozen,
        plan=found.plan,
        base_sha=base,
    )
    await store.add_event(watch.key, f"backlog/{count}", EVENTS.dump_python(given, mode="json"))
    while True:
        rests = await watch.at_rest()
        track = await watch.load()
        if track is not None:
            watch.tell(track)
            if rests:
                return (made[-1] if made else None), track
        display.step(0, 1, f"writes the backlog of {len(found.plan.tasks)} planned tasks")
        await asyncio.sleep(LOOK)


async def spent(place: Room) -> Usage:
    """Give what the backlog of this track has cost, all calls of the command together."""
    noted = await place.bot.store.get_id(_USAGE)
    return _USAGES.validate_json(noted) if noted else Usage()


def backlog_json(found: Backlogged, order: BacklogOrder) -> Mapping[str, object]:
    """Give what `--json` prints."""
    loaded = found.loaded
    tasks = loaded.backlog.tasks if loaded and loaded.backlog else ()
    return {
        "command": "backlog",
        "status": "written" if found.good else "invalid",
        "track": order.track,
        "backlog_file": found.path.relative_to(order.clone.root).as_posix() if loaded else None,
        "tasks": [
            {
                "id": task.id,
                "title": task.title,
                "kind": task.kind,
                "depends_on": list(task.depends_on),
                "paths": list(task.scope.paths),
                "votes": task.votes,
            }
            for task in tasks
        ],
        "problems": [
            {"file": order.plan_file.name, **problem_json(p), "severity": "error"}
            for p in found.plan_problems
        ]
        + [
            {"file": "BACKLOG.yaml", **problem_json(p), "severity": p.severity, "task": p.task}
            for p in (loaded.problems if loaded else ())
        ],
        "notes": list(found.notes),
        "usage": usage_json(found.usage),
    }


def problem_json(problem: PlanProblem | backlog_file.Problem) -> dict[str, object]:
    return {
        "line": problem.line,
        "column": problem.column,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
    }
