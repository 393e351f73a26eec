"""Values in a passing world, for tests of what decides and what performs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.core.config import RepoConfig
from bot.core.ids import TrackId
from bot.core.track import Frozen, TaskTrack, Track
from bot.core.values import Actor, Repo

REPO = Repo(7, "octo-org", "greet", "main", private=True, installation=1)
ADA = Actor(101, "ada")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class SettableClock:
    """Stands until it is moved."""

    time: datetime = NOON

    def now(self) -> datetime:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def a_track(**more: object) -> Track:
    """A track of issue 1 in planning."""
    frozen = Frozen(title="Say goodbye", body="Please.", comments=(), sha256="0" * 64, by="ada")
    base = {
        "id": TrackId("issue-1"),
        "repo": REPO,
        "issue": 1,
        "frozen": frozen,
        "config": RepoConfig(),
        "started_at": "2026-01-01T12:00:00Z",
    }
    return Track(**{**base, **more})  # type: ignore[arg-type]


def a_task(**more: object) -> TaskTrack:
    """A task whose pull request #3 waits for its checks."""
    base = {
        "id": "T-1",
        "title": "Say goodbye",
        "scope": ("src/bye.py",),
        "state": "checking",
        "attempt": 1,
        "run": 1,
        "branch": "agent/issue-1/T-1-a1",
        "pull": 3,
        "head_sha": "a" * 40,
    }
    return TaskTrack(**{**base, **more})  # type: ignore[arg-type]
