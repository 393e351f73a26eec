"""Counts what a run left behind: worktrees, sessions, and tokens that still open something."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bot.demo.evidence import Evidence
from bot.demo.keeper import LIVES
from bot.demo.lives import Life, read_lives
from bot.demo.source import run_git
from bot.errors import GitError

STOPPING = 10.0  # seconds before a process ends in which it gives back what it held


def find_leaks(evidence: Evidence, now: datetime) -> list[str]:
    """Name each leftover but processes."""
    return [
        *find_leftovers(evidence.out / "bot"),
        *_sessions(evidence),
        *_tokens(evidence, read_lives(evidence.out / LIVES), now),
    ]


def find_leftovers(bot: Path) -> list[str]:
    """Name each worktree and each session's folder in the folder of a bot."""
    return [
        *_worktrees(bot),
        *_folders(bot / "tasks", "worktree"),
        *_folders(bot / "sessions", "session folder"),
    ]


def _worktrees(bot: Path) -> list[str]:
    """Ask git for linked worktrees of every bare repository of the bot, known by its HEAD and objects."""
    found = []
    for head in sorted(bot.rglob("HEAD")):
        if not (head.parent / "objects").is_dir() or "tasks" in head.relative_to(bot).parts[:1]:
            continue
        try:
            listed = run_git([f"--git-dir={head.parent}", "worktree", "list", "--porcelain"])
        except GitError as error:
            found.append(f"worktree list of {head.parent} cannot be read: {error}")
            continue
        places = [
            line.removeprefix("worktree ") for line in listed.splitlines() if line.startswith("worktree ")
        ]
        found += [f"worktree {place}" for place in places if Path(place).resolve() != head.parent.resolve()]
    return found


def _folders(root: Path, kind: str) -> list[str]:
    if not root.is_dir():
        return []
    return [f"{kind} {path}" for path in sorted(root.iterdir()) if not path.name.startswith(".")]


def _sessions(evidence: Evidence) -> list[str]:
    """A session that was never deleted, or whose folder is there although its record says that it is not."""
    found = []
    for row in evidence.of_bot("SELECT id, facts, deleted_at FROM sessions ORDER BY id"):
        folder = json.loads(row["facts"] or "{}").get("dir")
        if row["deleted_at"] is None:
            found.append(f"session {row['id']} was not deleted")
        elif folder and Path(folder).exists() and Path(folder).parent != evidence.out / "bot" / "sessions":
            found.append(f"session folder {folder}")
    return found


def _tokens(evidence: Evidence, lives: Sequence[Life], now: datetime) -> list[str]:
    """Tokens of the bot that still work, but for those that a killed process held, or that the forge would not end."""
    rows = evidence.all(
        "SELECT id, created_at FROM tokens WHERE app_id = ? AND kind = 'installation' AND revoked_at IS NULL"
        " AND expires_at > ? ORDER BY id",
        evidence.app["id"],
        now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    refused = _refused(evidence, lives)
    return [
        f"token {row['id']} was not revoked"
        for row in rows
        if row["id"] not in refused and not _excused(row["created_at"], lives)
    ]


def _refused(evidence: Evidence, lives: Sequence[Life]) -> set[int]:
    """Name the tokens that the forge would not end as a process stopped: nobody was left to ask again."""
    tokens = set()
    for line in evidence.requests.read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        ends = (call["method"], call["path"]) == ("DELETE", "/installation/token")
        if ends and call["status"] >= 400 and call["token_id"]:
            at = datetime.fromisoformat(call["ts"]).timestamp()
            if any(life.ended - STOPPING <= at <= life.ended for life in lives):
                tokens.add(int(call["token_id"]))
    return tokens


def _excused(created_at: str, lives: Sequence[Life]) -> bool:
    """Whether a killed process may have made it; the forge tells times to the second only."""
    second = datetime.strptime(created_at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    return any(life.end == "killed" and life.started < second + 1 and second <= life.ended for life in lives)
