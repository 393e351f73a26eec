"""Owns what is done about runs and pull requests from outside: stopping, noting, closing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot import points
from bot.core.actions import CancelRuns, ClosePull, NoteRun, ReopenPull
from bot.core.events import PullBack
from bot.core.track import Track
from bot.engine.store import Store
from bot.errors import NotFoundError
from bot.jobs.notes import Notes
from bot.ports import Engine, Forge

# What a stop leaves running: telling people, and what ends by itself at once.
STOPPED = frozenset(
    {"make_plan", "propose_backlog", "check_health", "run_task", "assess_task", "rebase_task"}
)


@dataclass(frozen=True, slots=True)
class CancelRunsJob:
    """Stops jobs with their whole process trees; sessions and worktrees are deleted on their way out."""

    store: Store
    engine: Callable[[], Engine]

    async def __call__(self, track: Track, action: CancelRuns) -> None:
        open_ = await self.store.open_actions(track.key)
        ordered = {"tasks": list(action.tasks), "kind": action.kind}
        # Only what is older: people may have begun the same again meanwhile. Where the same was ordered twice, the
        # newer order is as good a limit.
        limit = max((row.seq for row in open_ if row.action == ordered), default=0)
        rows = [
            row
            for row in open_
            if row.seq < limit
            and row.kind in STOPPED
            and (not action.tasks or row.action.get("task") in action.tasks)
        ]
        # First ours, then the engine's: a job that ends in between finds that its result is not wanted.
        await self.store.cancel_actions([row.id for row in rows])
        await self.engine().cancel([row.job_id for row in rows])


@dataclass(frozen=True, slots=True)
class ClosePullJob:
    """Closes a pull request after saying why; one that people closed or merged meanwhile stays as it is."""

    forge: Forge

    async def __call__(self, track: Track, action: ClosePull) -> None:
        try:
            pull = await self.forge.pull(track.repo, action.number)
        except NotFoundError:
            return
        if pull.state == "open":
            await self.forge.create_comment(track.repo, action.number, action.body)
            await self.forge.update_pull(track.repo, action.number, state="closed")
            points.reached("pull-replaced")


@dataclass(frozen=True, slots=True)
class ReopenPullJob:
    """Opens again what a stop closed; where that cannot be, its task stays held and people are told."""

    forge: Forge

    async def __call__(self, track: Track, action: ReopenPull) -> PullBack:
        if (await self.forge.pull(track.repo, action.number)).state != "open":
            await self.forge.update_pull(track.repo, action.number, state="open")
        return PullBack(pull=action.number)


@dataclass(frozen=True, slots=True)
class NoteRunJob:
    """Lays a note where the runs of a task look for it, whether one has begun or waits, or begins again."""

    store: Store

    async def __call__(self, track: Track, action: NoteRun) -> None:
        task = track.task(action.task)
        if task is None:
            return
        await Notes(self.store, track, task).add(action.key, action.note)
