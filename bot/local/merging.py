"""Owns merging a finished branch into the branch that is checked out: in memory first, then one step forward."""

from __future__ import annotations

from dataclasses import dataclass

from bot.core import backlog as backlog_file
from bot.core.track import TaskTrack, Track
from bot.errors import UserError
from bot.jobs.ground import merged as merged_in_memory
from bot.local.place import Room


@dataclass(frozen=True, slots=True)
class Merged:
    """How a merge went: `sha` is the new head of the branch; empty where it was not moved."""

    tip: str
    sha: str = ""
    conflicts: tuple[str, ...] = ()


class Merger:
    """Merges branches one after another; `troubles` says of each task why git did not let it."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.troubles: dict[str, str] = {}

    async def merge(self, track: Track, task: TaskTrack, head: str) -> Merged:
        """Merge a branch whose head is `head`; a merge that a killed run has made already is found."""
        room, clone = self._room, self._room.wanted.clone
        if task.id in self.troubles:
            return Merged("")
        tip = await clone.commit(None)
        await room.fetch()
        if await room.mirror.merge_base(tip, head) == head:
            return Merged(tip, tip)
        message, when = f"Merge branch '{task.branch}'", room.bot.clock.now()
        sha, _ = await room.bot.worktrees.merge(room.mirror, tip, head, message, room.author, when)
        if sha is None:
            tree, conflicts = await merged_in_memory(room.mirror, track, tip, head)
            if conflicts:
                return Merged(tip, conflicts=conflicts)
            tree = await self._with_line(track, task, tree, tip)
            sha = await room.mirror.commit_tree(tree, (tip, head), message, room.author, when)
        name = f"merges/{track.id}/{task.id}"
        await room.mirror.anchor(name, sha)
        await clone.bring(room.mirror.git_dir, f"refs/gitwright/{name}")
        try:
            await self._still_there(tip)
            await clone.forward(sha)
        except UserError as error:
            self.troubles[task.id] = str(error)
            return Merged(tip)
        await room.fetch()
        return Merged(tip, sha)

    async def _with_line(self, track: Track, task: TaskTrack, tree: str, tip: str) -> str:
        """Put the tip's backlog with this task's line into a merge: the host's file is never text-merged."""
        mirror, path = self._room.mirror, f"{track.folder}/BACKLOG.yaml"
        text = (await mirror.read(tip, path) or b"").decode(errors="replace")
        try:
            return await mirror.write_tree(
                tree, {path: backlog_file.set_status(text, task.id, "done").encode()}
            )
        except UserError:  # a person took the task out of the file
            return tree

    async def _still_there(self, tip: str) -> None:
        clone = self._room.wanted.clone
        staged = await clone.staged()
        if await clone.branch() != self._room.repo.default_branch or await clone.commit(None) != tip:
            raise UserError(
                "another branch or commit was checked out meanwhile, so nothing was merged into it"
            )
        if staged:
            raise UserError(f"--merge needs a clean index, and {', '.join(staged[:5])} was staged meanwhile")
