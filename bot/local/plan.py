"""Owns `plan` in a clone: the text of a file is planned as an issue's is, and PLAN.md is written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.core.actions import ProposeBacklog
from bot.core.events import EVENTS
from bot.core.given import FilesGiven
from bot.core.health import Finding
from bot.core.plan_text import plan_text
from bot.core.planning import MergedPlan
from bot.core.track import Frozen, Track
from bot.core.values import Actor, Issue, Usage
from bot.errors import UserError
from bot.local.clone import Clone
from bot.local.place import Room, Wanted, folder_of, room
from bot.local.progress import Display
from bot.local.watch import LOOK, Watch
from bot.local.written import unedited, write
from handlers.freezing import Heard, freeze

TRACK = "plan"
MAX_TEXT = 1 << 20  # bytes
_NO_AGREEMENT = (
    "The planners agree on nothing: no task was proposed by two of them. Move those that you want from `minority` to "
    "`tasks` in the file's `json` block, or say more exactly what is wanted and run the same command again with --force."
)
_GIVEN, _COUNT = "local:plan:given", "local:plan:count"


@dataclass(frozen=True, slots=True)
class PlanOrder:
    clone: Clone
    context_file: Path
    base: str | None = None
    script: Path | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """What came of it; `plan` None: `problem` says why there is none."""

    path: Path
    base_sha: str
    plan: MergedPlan | None
    usage: Usage
    findings: tuple[Finding, ...] = ()
    failures: tuple[str, ...] = ()
    problem: str = ""

    @property
    def good(self) -> bool:
        """Whether there is something to do; a plan of minority tasks alone waits for a person's choice."""
        return self.plan is not None and bool(self.plan.tasks)


async def plan(order: PlanOrder, display: Display) -> Planned:
    """Plan what the context file asks for and write tasks/PLAN.md; begun before and killed, it goes on."""
    frozen = read_context(order.context_file)
    base = await order.clone.commit(order.base)
    path = order.clone.root / "tasks" / "PLAN.md"
    wanted = Wanted(order.clone, "planning", folder_of(order.clone, path), base, order.script)
    async with room(wanted) as place:
        place.bot.jobs[ProposeBacklog] = _nothing
        await unedited(place, [path], force=order.force)
        await place.fetch(base)
        await place.bot.start()
        track = await _planned(place, frozen, base, display)
        if track.plan is None:
            await place.bot.store.put_id(_GIVEN, "")
            return Planned(path, base, None, track.usage, track.findings, track.plan_failures, track.problem)
        await write(place, {path: plan_text(TRACK, None, track.plan, frozen).encode()}, force=order.force)
        await place.bot.store.put_id(_GIVEN, "")
    problem = "" if track.plan.tasks else _NO_AGREEMENT
    return Planned(path, base, track.plan, track.usage, track.findings, track.plan_failures, problem)


async def _nothing(_track: Track, _action: ProposeBacklog) -> None:
    """A backlog is made by a command of its own."""


async def _planned(place: Room, frozen: Frozen, base: str, display: Display) -> Track:
    """Have the engine plan until nothing is left to do."""
    watch = Watch(place, TRACK, display)
    await watch.tell_settings()
    asked = f"{frozen.sha256} {base}"
    if await place.bot.store.get_id(_GIVEN) != asked or await watch.load() is None:
        await watch.skip()
        count = int(await place.bot.store.get_id(_COUNT) or 0) + 1
        await place.bot.store.put_id(_COUNT, str(count))
        given = FilesGiven(repo=place.repo, track=TRACK, step="plan", frozen=frozen, base_sha=base)
        await place.bot.store.add_event(watch.key, f"given/{count}", EVENTS.dump_python(given, mode="json"))
        await place.bot.store.put_id(_GIVEN, asked)
    else:
        display.tell("goes on with the plan that was begun before")
    while True:
        rests = (
            await watch.at_rest()
        )  # before the track is read: what ends in between is seen by the next look
        track = await watch.load()
        if track is not None:
            watch.tell(track)
            display.step(*_far(track))
            if rests:
                return track
        await asyncio.sleep(LOOK)


def _far(track: Track) -> tuple[int, int, str]:
    if track.plan is not None:
        return 3, 3, "planned"
    if track.findings:
        return 1, 3, "planning agents read the repository"
    return 0, 3, "looks whether planning can succeed here"


def read_context(path: Path) -> Frozen:
    """Freeze a file's text as an issue's is: its first line is the title, hidden text is removed."""
    try:
        if path.stat().st_size > MAX_TEXT:
            raise UserError(
                f"`{path}` is larger than {MAX_TEXT >> 10} KiB. Say what is wanted in fewer words."
            )
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"`{path}` cannot be read as UTF-8 text: {error}") from error
    title, _, body = text.partition("\n")
    title = title.lstrip("#").strip()
    if not title:
        raise UserError(f"`{path}` is empty. Its first line is the title, the rest says what is wanted.")
    return freeze(Issue(0, title, body.strip(), "open", Actor(0, "you")), Heard(), "you")


def plan_json(found: Planned, clone: Clone) -> Mapping[str, object]:
    """Give what `--json` prints."""
    merged = found.plan or MergedPlan()
    return {
        "command": "plan",
        "status": "planned" if found.good else "blocked",
        "plan_file": found.path.relative_to(clone.root).as_posix() if found.plan else None,
        "base_sha": found.base_sha,
        **merged.model_dump(mode="json", exclude={"base_sha"}),
        "findings": [
            {"code": f.code, "level": f.level, "text": f.text, "remedy": f.remedy} for f in found.findings
        ],
        "failures": list(found.failures),
        "problem": found.problem,
        "usage": usage_json(found.usage),
    }


def usage_json(usage: Usage) -> dict[str, float]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "requests": usage.requests,
        "usd": round(usage.usd, 6),
    }
