"""Owns the boxes that begin another attempt at a task that is stuck."""

from __future__ import annotations

from collections.abc import Iterator

from bot.core.life_tasks import can_retry
from bot.core.track import Track
from bot.handler import BoxKind
from handlers.commands import retry
from handlers.spoken.states import stuck


def offers(track: Track) -> Iterator[tuple[str, str]]:
    """Offer it where only a person gets a task going again."""
    for task in track.tasks:
        if stuck(task) and can_retry(track, task):
            closes = f", which closes #{task.pull}" if task.pull and task.state != "reverted" else ""
            yield task.id, f"Retry `{task.id}`{closes}"


BOX = BoxKind(command=retry.COMMAND, offers=offers)
