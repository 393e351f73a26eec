"""Owns the boxes that put a task's branch onto the default branch's head."""

from __future__ import annotations

from collections.abc import Iterator

from bot.core.track import Track
from bot.handler import BoxKind
from handlers.commands import rebase


def offers(track: Track) -> Iterator[tuple[str, str]]:
    """Offer it for every open pull request on which no agent works."""
    for task in track.tasks:
        if task.rests and not task.rebasing:
            yield task.id, f"Rebase `{task.id}` (#{task.pull})"


BOX = BoxKind(command=rebase.COMMAND, offers=offers)
