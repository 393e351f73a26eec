"""Owns what `implement` reports at its end: branches in the order to merge them, conflicts among them, what failed and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from bot.core.track import TaskTrack, Track, TrackState
from bot.core.values import Usage
from bot.local.backlog import spent
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
    """A finished branch, and another or what is checked out, that cannot be merged without resolving something."""

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
    in_the_way: tuple[
        str, ...
    ]  # files and folders of the working tree that git would not let a merge overwrite
    kept: Mapping[str, str]  # branches of tasks that are not done, by task
    troubles: Mapping[str, str]  # why a branch could not be merged, by task
    usage: Usage  # with the backlog's
    runs: int

    @property
    def good(self) -> bool:
        """Whether nothing is left to do; a task whose line was set back to todo is."""
        undone = any(task.state == "reverted" for task in self.tasks)
        return self.state == "done" and not self.troubles and not undone


async def outcome(
    room: Room, track: Track, bases: Bases, given: Mapping[str, bytes], troubles: Mapping[str, str]
) -> Outcome:
    """Read where everything stands; conflicts are forecast in the mirror. `given` is what lies in the working tree."""
    clone = room.wanted.clone
    head, name = await clone.commit(None), await clone.branch() or "HEAD"
    await room.fetch(head)
    branches, kept = [], {}
    for task in in_order(track):
        sha, there = bases.head(task), bool(task.branch and await room.mirror.resolve(task.branch))
        if sha is not None:
            merged = await room.mirror.merge_base(head, sha) == sha
            branches += [Branch(task.id, task.branch, sha, merged)] if merged or there else []
        elif there:
            kept[task.id] = task.branch
    clashes, left = [], [branch for branch in branches if not branch.merged]
    for branch in left:
        _, paths = await room.mirror.merge_tree(head, branch.sha)
        if paths:
            clashes.append(Clash(name, branch.name, tuple(paths)))
    for one, other in combinations(left, 2):
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
        await _in_the_way(room, track, head, given) if left else (),
        kept,
        troubles,
        track.usage + await spent(room),
        track.runs,
    )


async def _in_the_way(room: Room, track: Track, head: str, given: Mapping[str, bytes]) -> tuple[str, ...]:
    """List what was given and is not committed as it is: every branch carries it as well."""
    committed = await room.mirror.read_many(head, list(given))
    specs = f"{track.folder}/specs"
    root = room.wanted.clone.root
    paths = [path for path, data in given.items() if committed.get(path) != data and (root / path).exists()]
    return tuple(dict.fromkeys(specs if path.startswith(f"{specs}/") else path for path in paths))


def in_order(track: Track) -> list[TaskTrack]:
    """Order tasks so that each comes after what it needs, otherwise as in the file."""
    left, placed = list(track.tasks), list[TaskTrack]()
    while left:
        open_ = {task.id for task in left}
        free = next((task for task in left if not set(task.depends_on) & open_), left[0])
        placed.append(free)
        left.remove(free)
    return placed
