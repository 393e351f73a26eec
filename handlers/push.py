"""Owns what a moved branch means: the backlog under review changed, or the default branch moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import life, life_backlog, life_work
from bot.core.actions import CheckHealth, CloseTrack, Decision, ReportBacklog
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
    path = f"{track.folder}/BACKLOG.yaml"
    loaded = await reads.backlog(event.repo, event.after, path)
    if life_backlog.sets_back(track, loaded):
        # Pushes may be told late and in any order: only the branch as it is now can undo a merge.
        tip = await reads.forge.branch_sha(event.repo, event.branch)
        loaded = await reads.backlog(event.repo, tip, path) if tip else None
    return Facts(loaded)


def decide(track: Track | None, event: Pushed, facts: Facts, now: datetime) -> Decision:
    """Check the backlog on its branch; on the default branch honour what people wrote there."""
    if track is None or track.ended or event.after is None:
        return life.nothing(track)
    if event.branch == track.backlog_branch:
        return _under_review(track, event.after)
    if event.branch != event.repo.default_branch or facts.loaded is None:
        return life.nothing(track)
    return _on_default(track, facts.loaded, now)


def _under_review(track: Track, sha: str) -> Decision:
    if track.merged_sha is not None or track.backlog_sha == sha:  # merged, or checked already
        return life.nothing(track)
    return Decision(track=replace(track, backlog_sha=sha), actions=(ReportBacklog(sha=sha),))


def _on_default(track: Track, loaded: Loaded, now: datetime) -> Decision:
    if track.state not in {"working", "blocked"}:
        return life.nothing(track)
    if not track.tasks:
        return life_backlog.backlog_merged(track, loaded, now)
    decision = life_backlog.backlog_changed(track, loaded, now)
    if decision.track is None or any(isinstance(action, CloseTrack) for action in decision.actions):
        return decision
    if track.healthy:
        moved, actions = life_work.base_moved(decision.track, now)
        return replace(decision, track=moved, actions=(*decision.actions, *actions))
    # The head moved under the check before work, or after it had failed: it is made again, on this head.
    return replace(decision, actions=(*decision.actions, CheckHealth(before="work")))


HANDLER = Handler(
    event=Pushed,
    github="push",
    permissions={"contents": "write", "checks": "write"},
    keys=lambda event: (f"branch:{event.branch}",),
    gather=gather,
    decide=decide,
)
