"""Owns `implement` in a clone: the engine works on the backlog, and this acts where a person would on a forge."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from bot.core.backlog import Problem
from bot.core.events import EVENTS, ChecksDue, Event, PullClosed, Pushed
from bot.core.given import FilesGiven
from bot.core.health import Finding
from bot.core.track import TaskTrack, Track
from bot.core.values import Actor
from bot.errors import UserError
from bot.local.bases import STEPS, Bases, based
from bot.local.clone import Clone
from bot.local.given_files import Given, finished_branches, onto_branch, onto_current, read_given
from bot.local.merging import Merger
from bot.local.outcome import Outcome, in_order, outcome
from bot.local.place import Room, Wanted, folder_of, room
from bot.local.progress import Display
from bot.local.watch import LOOK, Watch

YOU = Actor(0, "you")
_COUNT = "local:work:count"


@dataclass(frozen=True, slots=True)
class ImplementOrder:
    clone: Clone
    backlog_file: Path
    base: str | None = None
    script: Path | None = None
    merge: bool = False


@dataclass(frozen=True, slots=True)
class Implemented:
    """What came of it; `outcome` None: the file has errors."""

    track: str
    problems: tuple[Problem, ...] = ()
    findings: tuple[Finding, ...] = ()
    outcome: Outcome | None = None


async def implement(order: ImplementOrder, display: Display) -> Implemented:
    """Work on every task of the backlog until nothing more can be done; begun before and killed, it goes on."""
    folder = folder_of(order.clone, order.backlog_file)
    given, problems = read_given(order.clone.root / folder / order.backlog_file.name, folder)
    if given is None:
        return Implemented("", problems)
    base = await order.clone.commit(order.base)
    branch = await order.clone.branch()
    if order.merge and branch is None:
        raise UserError(
            "--merge merges into the branch that is checked out, and HEAD is detached. Check one out first."
        )
    track = given.backlog.track
    async with room(Wanted(order.clone, track, folder, base, order.script, order.merge)) as place:
        await place.fetch(base)
        when = place.bot.clock.now()
        if branch is not None and order.merge:
            place, sha = await onto_current(place, given, branch, place.author, when)
        else:
            place, sha = await onto_branch(place, given, base, place.author, when, display)
        driver = _Driver(place, given, display)
        ended = await driver.drive(sha)
        if order.merge:
            await driver.merge_rest(ended)
        found = await outcome(place, ended, driver.bases, given.files, driver.merger.troubles)
    return Implemented(track, problems, ended.findings, found)


class _Driver:
    """Looks at the track over and over, and does what a maintainer does: merges what is good."""

    def __init__(self, place: Room, given: Given, display: Display) -> None:
        self._place = place
        self._given = given
        self._display = display
        self._watch = Watch(place, given.backlog.track, display)
        self._asked: set[str] = set()
        self.merger = Merger(place)
        self.bases = Bases(place.forge, place.mirror, place.author)
        if not place.wanted.merging:
            for step in STEPS:
                place.bot.jobs[step] = based(place.bot.jobs[step], self.bases)

    async def drive(self, sha: str) -> Track:
        """Hand the backlog over and act until all is at rest and nothing is left to do."""
        store = self._place.bot.store
        await self._watch.skip()
        await self._watch.tell_settings()
        await self._place.bot.start()
        count = int(await store.get_id(_COUNT) or 0) + 1
        await store.put_id(_COUNT, str(count))
        if count > 1:
            self._display.tell("goes on with what was begun before")
        anew = await self._watch.load() is None
        given = FilesGiven(
            repo=self._place.repo,
            track=self._given.backlog.track,
            step="work",
            frozen=self._given.frozen,
            sha=sha,
            finished=await finished_branches(self._place, self._given) if anew else (),
        )
        await self._add(f"work/{count}", given)
        while True:
            rests = await self._watch.at_rest()
            track = await self._watch.load()
            if track is not None:
                self._watch.tell(track)
                self._display.step(*_far(track))
                await self._watch.tell_waits()
                acted = await self._act(track)
                if rests and not acted:
                    return track
            await asyncio.sleep(LOOK)

    async def merge_rest(self, track: Track) -> None:
        """Merge what an earlier call without --merge has finished; there is no run left that could mend a conflict."""
        for task in in_order(track):
            head = self.bases.head(task)
            if head is None or await self._place.mirror.resolve(head) is None:
                continue
            merged = await self.merger.merge(track, task, head)
            if merged.conflicts:
                names = ", ".join(merged.conflicts[:5])
                self.merger.troubles[task.id] = (
                    f"it conflicts with `{self._place.repo.default_branch}` in {names}; merge {task.branch} yourself"
                )

    async def _act(self, track: Track) -> bool:
        """Do the next thing that only a person would do; whether there was one."""
        for task in track.tasks:
            if task.state == "checking" and task.head_sha and await self._look(track, task):
                return True
        for task in in_order(track):
            if task.state != "in_review" or task.pull is None or not task.head_sha:
                continue
            if await self._finish(track, task, task.pull, task.head_sha):
                return True
        return False

    async def _look(self, track: Track, task: TaskTrack, why: str = "") -> bool:
        """Have the state of a branch read now, once; on a forge somebody announces it."""
        id_ = f"look/{task.id}/{task.run}/{task.head_sha}/{why}"
        if id_ in self._asked:
            return False
        self._asked.add(id_)
        await self._add(
            f"{id_}/{len(track.history)}", ChecksDue(task=task.id, head_sha=task.head_sha or "", waited=0)
        )
        return True

    async def _finish(self, track: Track, task: TaskTrack, pull: int, head: str) -> bool:
        """Merge a branch, or without --merge let what waits for it go on from it."""
        merge_sha = head
        if self._place.wanted.merging:
            merged = await self.merger.merge(track, task, head)
            if merged.conflicts:
                return await self._look(track, task, merged.tip)
            if not merged.sha:
                return False
            merge_sha = merged.sha
        self._place.forge.merged(pull, head, merge_sha)
        repo = self._place.repo
        closed = PullClosed(
            repo=repo,
            number=pull,
            head_branch=task.branch,
            head_sha=head,
            base_branch=repo.default_branch,
            merged=True,
            merge_sha=merge_sha,
            actor=YOU,
        )
        await self._add(f"closed/{pull}/{merge_sha}", closed)
        if self._place.wanted.merging:
            pushed = Pushed(repo=repo, branch=repo.default_branch, before=None, after=merge_sha, actor=YOU)
            await self._add(f"pushed/{merge_sha}", pushed)
        return True

    async def _add(self, id_: str, event: Event) -> None:
        await self._place.bot.store.add_event(
            self._watch.key, f"local/{id_}", EVENTS.dump_python(event, mode="json")
        )


def _far(track: Track) -> tuple[int, int, str]:
    done = sum(task.state in {"done", "dropped"} for task in track.tasks)
    busy = [task.id for task in track.tasks if task.state in {"running", "checking"}]
    doing = (
        f"works on {', '.join(busy)}"
        if busy
        else "looks whether work can succeed here"
        if not track.healthy
        else ""
    )
    return done, len(track.tasks), doing
