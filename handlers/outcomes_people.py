"""Owns what the results of jobs mean that answer to people: the record, the revised backlog, a pull request opened again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from bot.core import life, life_pulls, life_review
from bot.core.actions import Decision
from bot.core.events import BacklogRevised, Event, PullBack, RecordProposed
from bot.core.track import Track
from bot.handler import Handler, Reads
from handlers.pull_request_changed import task_of

E = TypeVar("E", bound=Event)


async def _nothing(_track: Track | None, _event: Event, _reads: Reads) -> None:
    """Results carry all that deciding needs."""


def _handler(event: type[E], step: Callable[[Track, E, datetime], Decision]) -> Handler[E, None]:
    def decide(track: Track | None, happened: E, _facts: None, now: datetime) -> Decision:
        return life.nothing(track) if track is None or track.ended else step(track, happened, now)

    return Handler(event=event, gather=_nothing, decide=decide)


def _back(track: Track, event: PullBack, now: datetime) -> Decision:
    task = task_of(track, event.pull)
    return life.nothing(track) if task is None else life_pulls.task_reopened(track, task, now, "after a stop")


HANDLERS = (
    _handler(RecordProposed, life.record_proposed),
    _handler(PullBack, _back),
    _handler(BacklogRevised, life_review.revised),
)
