"""Owns when a command means something: in which states of a track, said once for all commands."""

from __future__ import annotations

from bot.core.track import HELD, SETTLED, STUCK, TaskTrack, Track


def reviewing(track: Track | None) -> bool:
    """The backlog waits in its pull request."""
    return track is not None and track.state == "review" and track.backlog_pull is not None


def at_work(track: Track | None) -> bool:
    """Tasks are under way, or stuck; nobody paused them."""
    return (
        track is not None
        and track.state in {"working", "blocked"}
        and any(task.state not in SETTLED for task in track.tasks)
    )


def with_tasks(track: Track | None) -> bool:
    """There are tasks to decide about, paused or not."""
    return track is not None and not track.ended and any(task.state not in SETTLED for task in track.tasks)


def under_way(track: Track | None) -> bool:
    """The track has begun and has not ended."""
    return track is not None and not track.ended


def going_on(track: Track | None) -> bool:
    """The track is neither ended nor held."""
    return track is not None and not track.ended and track.state not in HELD


def paused(track: Track | None) -> bool:
    return track is not None and track.state in HELD and not track.gone


def stuck(task: TaskTrack) -> bool:
    """The task goes on only where a person says so."""
    return task.state in STUCK
