"""What people can tick: one file per kind of box, and the table of all of them. A tick is a command, called in another way."""

from __future__ import annotations

from bot.core import boxes
from bot.core.track import Track
from bot.handler import BoxKind
from handlers.boxes import include, push, rebase, retry

BOXES: tuple[BoxKind, ...] = (
    push.BOX,
    rebase.BOX,
    retry.BOX,
    include.BOX,
)


def kind_of(box: boxes.Box) -> BoxKind | None:
    return next((kind for kind in BOXES if kind.command.name == box.kind), None)


def offered(track: Track) -> tuple[str, ...]:
    """Write the boxes of the status comment: what means something now."""
    return tuple(
        boxes.line(boxes.offered(track, kind.command.name, about), label)
        for kind in BOXES
        if kind.command.valid(track)
        for about, label in kind.offers(track)
    )
