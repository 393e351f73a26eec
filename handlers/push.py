"""Owns what a moved branch means: the backlog under review changed, or the default branch moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import backlog, life
from bot.core.actions import CheckHealth, Decision, ReportBacklog
from bot.core.backlog import Loaded
from bot.core.events import Pushed
from bot.core.track import Track
from bot.handler import Handler, Reads


@dataclass(frozen=True, slots=True)
class Facts:
    loaded: Loaded | None = None


async def gather(track: Track | None, event: Pushed, reads: Reads) -> Facts:
    """Read the backlog file where it may have changed under a running track."""
    if track is None or event.after is None or event.branch != event.repo.default_branch:
        return Facts()
    if track.merged_sha is None:
        return Facts()
    text = await reads.file(event.repo, event.after, f"{track.folder}/BACKLOG.yaml")
    return Facts(backlog.load(text) if text is not None else None)


def decide(track: Track | None, event: Pushed, facts: Facts, now: datetime) -> Decision:
    """Check the backlog on its branch; on the default branch honour what people wrote there."""
    if track is None or track.ended or event.after is None:
        return life.nothing(track)
    if (
        event.branch == track.backlog_branch
        and track.state in {"review", "blocked"}
        and track.merged_sha is None
    ):
        return Decision(
            track=replace(track, backlog_sha=event.after), actions=(ReportBacklog(sha=event.after),)
        )
    if event.branch != event.repo.default_branch or facts.loaded is None:
        return life.nothing(track)
    if track.state == "blocked":
        if not track.tasks:
            return life.backlog_merged(track, facts.loaded, now)
        return Decision(track=track, actions=(CheckHealth(before="work"),))
    if track.state != "working":
        return life.nothing(track)
    return life.backlog_changed(track, facts.loaded, now)


HANDLER = Handler(
    event=Pushed,
    github="push",
    permissions={"contents": "write", "checks": "write"},
    keys=lambda event: (f"branch:{event.branch}",),
    gather=gather,
    decide=decide,
)
