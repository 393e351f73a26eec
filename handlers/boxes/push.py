"""Owns the boxes that let finished work be pushed; each question has a turn of its own, so that none answers for another."""

from __future__ import annotations

from collections.abc import Iterator

from bot.core.life_push import pushable
from bot.core.track import Track
from bot.handler import BoxKind
from handlers.commands import push


def offers(track: Track) -> Iterator[tuple[str, str]]:
    """Offer it for what waits for an OK, and for what the branch's rules refused."""
    for task in track.tasks:
        ask = pushable(task)
        if ask is not None:
            yield task.id, f"Push `{task.id}` (`{ask.short}`)"


BOX = BoxKind(command=push.COMMAND, offers=offers)
