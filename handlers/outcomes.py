"""Owns what the results of the bot's own jobs mean; each is one sentence of the track's life."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from bot.core import life, life_planning, life_work
from bot.core.actions import Decision
from bot.core.events import (
    ActionFailed,
    BacklogProposed,
    Closed,
    Event,
    HealthChecked,
    PlanFailed,
    PlanMade,
    TaskFailed,
    TaskProposed,
)
from bot.core.track import Track
from bot.handler import Handler, Reads
from handlers.commands import valid_now

E = TypeVar("E", bound=Event)


async def _nothing(_track: Track | None, _event: Event, _reads: Reads) -> None:
    """Results carry all that deciding needs."""


def _handler(event: type[E], step: Callable[[Track, E, datetime], Decision]) -> Handler[E, None]:
    def decide(track: Track | None, happened: E, _facts: None, now: datetime) -> Decision:
        return life.nothing(track) if track is None or track.ended else step(track, happened, now)

    gather: Callable[[Track | None, E, Reads], Awaitable[None]] = _nothing
    return Handler(event=event, gather=gather, decide=decide)


def _plan_made(track: Track, event: PlanMade, now: datetime) -> Decision:
    return life_planning.plan_made(track, event, valid_now(track), now)


HANDLERS = (
    _handler(HealthChecked, life_work.health_checked),
    _handler(PlanMade, _plan_made),
    _handler(PlanFailed, life_planning.plan_failed),
    _handler(BacklogProposed, life_planning.backlog_proposed),
    _handler(TaskProposed, life_work.task_proposed),
    _handler(TaskFailed, life_work.task_failed),
    _handler(ActionFailed, life_work.action_failed),
    _handler(Closed, life.closed),
)
