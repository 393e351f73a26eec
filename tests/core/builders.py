"""Builders of values for tests of the core: the defaults are a passing world, a test names only what differs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bot.core import backlog
from bot.core.backlog import Loaded
from bot.core.config import RepoConfig
from bot.core.ids import TrackId
from bot.core.track import Frozen, TaskTrack, Track
from bot.core.values import Actor, Check, Repo

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REPO = Repo(7, "acme", "greet", "main", True, 70)
DANA = Actor(3, "dana")
SHA = "a" * 40
GOOD = Loaded(
    backlog.Backlog.model_validate(
        {
            "version": 1,
            "track": "issue-12",
            "issue": 12,
            "base_sha": SHA,
            "goal": "Greet.",
            "tasks": [
                {"id": "T-1", "title": "One", "scope": {"paths": ["a.py"]}, "acceptance": ["It is."]},
                {
                    "id": "T-2",
                    "title": "Two",
                    "depends_on": ["T-1"],
                    "scope": {"paths": ["b.py"]},
                    "acceptance": ["It is."],
                },
            ],
        }
    ),
    (),
)


def a_task(id_: str = "T-1", **changes: Any) -> TaskTrack:
    return TaskTrack(
        **{"id": id_, "title": f"Do {id_}", "scope": (f"src/{id_}.py",), "acceptance": ("It is.",), **changes}
    )


def a_track(*tasks: TaskTrack, **changes: Any) -> Track:
    defaults: dict[str, Any] = {
        "id": TrackId("issue-12"),
        "repo": REPO,
        "issue": 12,
        "state": "working" if tasks else "planning",
        "frozen": Frozen(title="Greet", body="Say hello.", comments=(), sha256="0" * 64, by="dana"),
        "config": RepoConfig(),
        "started_at": "2026-11-22T11:00:00Z",
        "healthy": bool(tasks),
        "merged_sha": SHA if tasks else None,
        "backlog_branch": "agent/issue-12/backlog",
        "backlog_pull": 13 if tasks else None,
        "tasks": tasks,
    }
    return Track(**{**defaults, **changes})


def a_check(name: str = "ci", conclusion: str | None = "success", **changes: Any) -> Check:
    return Check(
        **{"name": name, "done": conclusion is not None, "conclusion": conclusion, "ours": False, **changes}
    )
