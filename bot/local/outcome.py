"""Owns what `implement` reports at its end: branches in the order to merge them, conflicts among them, what failed and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from bot.core.track import TaskTrack, Track, TrackState
from bot.core.values import Usage
from bot.local.bases import Bases
from bot.local.place import Room


@dataclass(frozen=True, slots=True)
class Branch:
    """A finished task's branch, as it was found good."""

    task: str
    name: str
    sha: str
    merged: bool  # into the branch that is checked out


@dataclass(frozen=True, slots=True)
class Clash:
    """Two finished branches that cannot both be merged without resolving something."""

    one: str
    other: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    state: TrackState
    problem: str
    tasks: tuple[TaskTrack, ...]
    branches: tuple[Branch, ...]  # in the order to merge them
    clashes: tuple[Clash, ...]
    kept: Mapping[str, str]  # branches of tasks that are not done, by task
    troubles: Mapping[str, str]  # why a branch could not be merged, by task
    usage: Usage
    runs: int

    @property
    def good(self) -> bool:
        return self.state == "done" and not self.troubles


async def outcome(room: Room, track: Track, bases: Bases, troubles: Mapping[str, str]) -> Outcome:
    """Read where everything stands; conflicts are forecast in the mirror."""
    head = await room.wanted.clone.commit(None)
    await room.fetch(head)
    branches, kept = [], {}
    for task in in_order(track):
        sha, there = bases.head(task), bool(task.branch and await room.mirror.resolve(task.branch))
        if sha is not None:
            merged = await room.mirror.merge_base(head, sha) == sha
            branches += [Branch(task.id, task.branch, sha, merged)] if merged or there else []
        elif there:
            kept[task.id] = task.branch
    clashes = []
    for one, other in combinations([branch for branch in branches if not branch.merged], 2):
        _, paths = await room.mirror.merge_tree(one.sha, other.sha)
        files = tuple(path for path in paths if not path.startswith(f"{track.config.tasks_dir}/"))
        if files:
            clashes.append(Clash(one.name, other.name, files))
    return Outcome(
        track.state,
        track.problem,
        track.tasks,
        tuple(branches),
        tuple(clashes),
        kept,
        troubles,
        track.usage,
        track.runs,
    )


def in_order(track: Track) -> list[TaskTrack]:
    """Order tasks so that each comes after what it needs, otherwise as in the file."""
    left, placed = list(track.tasks), list[TaskTrack]()
    while left:
        open_ = {task.id for task in left}
        free = next((task for task in left if not set(task.depends_on) & open_), left[0])
        placed.append(free)
        left.remove(free)
    return placed
