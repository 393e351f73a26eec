"""Owns what closing or merging one of the bot's pull requests means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.core import backlog, life, life_work
from bot.core.actions import Decision
from bot.core.backlog import Loaded
from bot.core.events import PullClosed
from bot.core.track import Track
from bot.handler import Handler, Reads


@dataclass(frozen=True, slots=True)
class Facts:
    event: PullClosed  # as the forge says it now: a webhook is a hint
    loaded: Loaded | None = None


async def gather(track: Track | None, event: PullClosed, reads: Reads) -> Facts:
    """Read the pull request as it is now and, for a merged backlog, the file that people merged."""
    if track is None:
        return Facts(event)
    pull = await reads.forge.pull(event.repo, event.number)
    if pull.state == "open":  # reopened meanwhile
        return Facts(event)
    now = PullClosed(
        repo=event.repo,
        number=event.number,
        head_branch=pull.head_branch,
        head_sha=pull.head_sha,
        base_branch=pull.base_branch,
        merged=pull.merged,
        merge_sha=pull.merge_sha,
        actor=event.actor,
    )
    if event.number != track.backlog_pull or not pull.merged or pull.merge_sha is None:
        return Facts(now)
    text = await reads.file(event.repo, pull.merge_sha, f"{track.folder}/BACKLOG.yaml")
    return Facts(now, backlog.load(text) if text is not None else None)


def decide(track: Track | None, event: PullClosed, facts: Facts, now: datetime) -> Decision:
    """Hand the closed pull request to what it is for: the backlog or a task."""
    if track is None or track.ended:
        return life.nothing(track)
    if event.number == track.backlog_pull:
        if track.state not in {"review", "blocked"}:
            return life.nothing(track)
        return life_work.backlog_closed(track, facts.event, facts.loaded, now)
    task = next((task for task in track.tasks if task.pull == event.number), None)
    if task is None:
        return life.nothing(track)
    return life_work.task_pull_closed(track, task, facts.event, now)


HANDLER = Handler(
    event=PullClosed,
    github="pull_request",
    actions=("closed",),
    permissions={"pull_requests": "write", "contents": "write"},
    keys=lambda event: (f"pull:{event.number}",),
    gather=gather,
    decide=decide,
)
