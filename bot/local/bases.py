"""Owns what a task starts from while nothing is merged: the backlog's branch, with the branches that it needs merged in.

So a branch holds what its task needs and nothing of its siblings, and people may merge in any order that the
dependencies allow. Everything is computed in the mirror; the same branches give the same commit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from bot.core import backlog as backlog_file
from bot.core.actions import AssessTask, RebaseTask, RunTask
from bot.core.events import OwnEvent, TaskFailed
from bot.core.track import TaskTrack, Track
from bot.core.values import Identity
from bot.errors import UserError
from bot.forges.local import LocalForge
from bot.jobs.ground import tip_of
from bot.perform import Job
from bot.ports import Mirror

A = TypeVar("A", RunTask, AssessTask, RebaseTask)
STEPS: tuple[type[RunTask] | type[AssessTask] | type[RebaseTask], ...] = (RunTask, AssessTask, RebaseTask)


class UnmergeableError(UserError):
    """The branches that a task needs conflict with one another."""


@dataclass(frozen=True, slots=True)
class Bases:
    """Finds the commit that stands for the default branch in a task's eyes."""

    forge: LocalForge
    mirror: Mirror
    author: Identity

    async def of(self, track: Track, task: TaskTrack) -> str:
        """Merge the finished branches that a task needs; UnmergeableError names what conflicts."""
        sha = await tip_of(self.mirror, track)
        text = (await self.mirror.read(sha, f"{track.folder}/BACKLOG.yaml") or b"").decode()
        for need in self._needs(track, task):
            head = self.head(need)
            text = backlog_file.set_status(text, need.id, "done") if head else text
            if head is not None and need.id in task.depends_on:
                sha = await self._merged(track, task, need, sha, head, text)
        await self.mirror.anchor(f"bases/{track.id}/{task.id}", sha)
        return sha

    def head(self, task: TaskTrack) -> str | None:
        """Give the head of a finished branch as it was when it was found good."""
        found = next((pull for pull in self.forge.records.pulls if pull.number == task.pull), None)
        return found.head_sha if found is not None and found.merge_sha is not None else None

    def _needs(self, track: Track, task: TaskTrack) -> list[TaskTrack]:
        """List all that a task needs, directly or not, each after what it needs itself."""
        found: dict[str, TaskTrack] = {}

        def visit(one: TaskTrack) -> None:
            for id_ in one.depends_on:
                need = track.task(id_)
                if need is not None and id_ not in found:
                    visit(need)
                    found[id_] = need

        visit(task)
        return list(found.values())

    async def _merged(
        self, track: Track, task: TaskTrack, need: TaskTrack, ours: str, theirs: str, text: str
    ) -> str:
        common = await self.mirror.merge_base(ours, theirs)
        if common in {ours, theirs}:
            return theirs if common == ours else ours
        tree, conflicts = await self.mirror.merge_tree(ours, theirs)
        path = f"{track.folder}/BACKLOG.yaml"
        real = [each for each in conflicts if each != path]
        if real:
            raise UnmergeableError(
                f"the branches that it needs conflict with one another in {', '.join(real[:5])}: let one of their "
                "tasks depend on the other, or merge them yourself"
            )
        # The host's file is never text-merged: the backlog's bytes with the lines of all that is done.
        tree = await self.mirror.write_tree(tree, {path: text.encode()})
        when = datetime.fromisoformat(track.started_at.replace("Z", "+00:00"))
        message = f"Merge {need.branch} for {task.id} of {track.id}"
        return await self.mirror.commit_tree(tree, (ours, theirs), message, self.author, when)


def based(job: Job, bases: Bases) -> Callable[[Track, A], Awaitable[OwnEvent | None]]:
    """Let a job see a task's own base as the default branch."""

    async def run(track: Track, action: A) -> OwnEvent | None:
        task = track.task(action.task)
        if task is None:
            return None
        try:
            base = await bases.of(track, task)
        except UnmergeableError as error:
            run = action.run if isinstance(action, RunTask) else task.run
            return TaskFailed(task=task.id, attempt=action.attempt, run=run, reason="base", text=str(error))
        return await job(replace(track, repo=replace(track.repo, default_branch=base)), action)

    return run
