"""Owns the values that go into the store and come out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bot.core.leases import Lease
from bot.ports import JsonDict

ActionState = Literal["new", "submitted", "done", "failed", "cancelled"]
SessionKind = Literal["planner", "coder"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook as it came; `id` is the forge's delivery id, `body` the bytes that were signed."""

    id: str
    event: str
    headers: dict[str, str]
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class TrackEvent:
    """Something that one track must look at; the id makes adding it twice harmless."""

    track: str
    id: str
    event: JsonDict
    seq: int = field(default=0, compare=False)  # of the row it is stored in


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that could not be decided `tries` times, and when it is tried again."""

    event: str
    tries: int
    until: datetime


@dataclass(frozen=True, slots=True)
class StoredTrack:
    """A track as it was last committed; `version` counts its commits, from 1."""

    key: str
    version: int
    status: str
    open: bool
    state: JsonDict


@dataclass(frozen=True, slots=True)
class NewAction:
    """Work that a decision asks for; the id is derived from the decision, never random."""

    id: str
    kind: str
    action: JsonDict
    line: str | None = None  # that it waits in, where it is not the line of what was decided about


@dataclass(frozen=True, slots=True)
class NewTimer:
    """An event that a track will get at a time; setting an id again moves it."""

    id: str
    due_at: datetime
    event: JsonDict


@dataclass(frozen=True, slots=True)
class SeenLeases:
    """What the other tracks of a repository hold, and how often its leases had changed before that was read."""

    version: int
    leases: tuple[Lease, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """What one decision changes, in one transaction; `expected_version` 0 means that there is no row yet.

    `leases` is all that the track holds from now on. Taking paths, or beginning to wait (`waits`) for another
    track's, needs `leases_seen`, the version that was decided on. `freed` is the event for the tracks that wait,
    where this one gives paths back.
    """

    track: str
    event_id: str
    expected_version: int
    state: JsonDict | None
    status: str = ""
    open: bool = True
    keys: tuple[str, ...] = ()
    actions: tuple[NewAction, ...] = ()
    timers: tuple[NewTimer, ...] = ()
    drop_timers: tuple[str, ...] = ()
    drop_ids: tuple[str, ...] = ()
    leases: tuple[Lease, ...] = ()
    leases_seen: int = 0
    waits: bool = False
    freed: JsonDict | None = None


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An action on its way; `try_` counts from 1 and is part of the job's id."""

    seq: int
    id: str
    track: str
    kind: str
    action: JsonDict
    state: ActionState
    try_: int
    not_before: datetime | None
    error: str | None
    created_at: datetime
    done_at: datetime | None

    @property
    def job_id(self) -> str:
        return f"{self.id}:{self.try_}"


@dataclass(frozen=True, slots=True)
class Session:
    """An agent session: open until its deletion is proved."""

    id: str
    kind: SessionKind
    track: str
    task: str | None
    facts: JsonDict
    opened_at: datetime
    deleted_at: datetime | None = None
    proof: JsonDict | None = None


def repo_of(track_key: str) -> int:
    """Give the repository id of a track key `<repo_id>/<track id>`."""
    return int(track_key.partition("/")[0])
