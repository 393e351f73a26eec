"""Owns leases: paths of the repository that one task works on until its pull request is merged or closed.

held(track) is what a track's tasks hold now; in_the_way(track, task, paths) is whose lease keeps a task from them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.core.scopes import overlaps

if TYPE_CHECKING:  # a track remembers leases of others, so it imports this
    from bot.core.track import TaskTrack, Track

# A task in one of these states is being worked on, or its work waits to be merged.
HOLDING = frozenset({"running", "checking", "in_review"})


@dataclass(frozen=True, slots=True)
class Lease:
    """Paths, folders or patterns held by `holder`, which is written `track/task`."""

    holder: str
    paths: tuple[str, ...]


def holds(task: TaskTrack) -> bool:
    """Tell whether a task holds its paths: it is worked on, waits to be pushed, or its pull request can be merged."""
    return task.state in HOLDING or task.asks or (task.state == "blocked" and task.pull is not None)


def held(track: Track) -> tuple[Lease, ...]:
    """Give what the track's tasks hold: their scopes, and files outside them that an attempt changed."""
    if track.ended:
        return ()
    return tuple(
        Lease(f"{track.id}/{task.id}", tuple(dict.fromkeys((*task.scope, *task.leased))))
        for task in track.tasks
        if holds(task)
    )


def in_the_way(track: Track, task: str, paths: Iterable[str], files: Collection[str] = ()) -> Lease | None:
    """Give the lease of another task, of this track or another one, that covers some of these paths."""
    wanted, own = tuple(paths), f"{track.id}/{task}"
    if track.config.overlap == "allow":
        return None
    others = (lease for lease in (*held(track), *track.foreign) if lease.holder != own)
    return next((lease for lease in others if overlaps(lease.paths, wanted, files)), None)


def waits_for_others(track: Track) -> bool:
    """Tell whether a task waits for paths that another track holds, so that it must hear when they are given back."""
    if track.ended or track.config.overlap == "allow":
        return False
    return any(
        task.state == "waiting" and any(overlaps(lease.paths, task.scope) for lease in track.foreign)
        for task in track.tasks
    )
