"""Owns what the results of the bot's own jobs mean; each is one sentence of the track's life."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from bot.core import life, life_planning, life_pulls, life_repair, life_work
from bot.core.actions import Decision
from bot.core.events import (
    ActionFailed,
    BacklogProposed,
    Closed,
    Event,
    HealthChecked,
    LeasesFreed,
    PlanFailed,
    PlanMade,
    TaskAssessed,
    TaskFailed,
    TaskProposed,
    TaskRebased,
)
from bot.core.rebasing import RebaseEngine
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


def _proposed(track: Track | None, event: TaskProposed, _facts: None, now: datetime) -> Decision:
    if track is None:
        return life.nothing(track)
    decision = life.nothing(track) if track.ended else life_work.task_proposed(track, event, now)
    return life_pulls.late(track, event) if decision == life.nothing(track) else decision


def repairs(engine: RebaseEngine) -> Handler[TaskAssessed, None]:
    """Make the handler of everything red, messy or in conflict; the engine decides."""

    def assessed(track: Track, event: TaskAssessed, now: datetime) -> Decision:
        decision = life_repair.task_assessed(track, event, now, engine)
        if decision.track is None or decision.track == track:
            return decision
        moved, runs = life_work.start_ready(decision.track, now)  # a worker may have become free
        return replace(decision, track=moved, actions=(*decision.actions, *runs))

    return _handler(TaskAssessed, assessed)


HANDLERS = (
    _handler(HealthChecked, life_work.health_checked),
    _handler(PlanMade, _plan_made),
    _handler(PlanFailed, life_planning.plan_failed),
    _handler(BacklogProposed, life_planning.backlog_proposed),
    Handler(event=TaskProposed, gather=_nothing, decide=_proposed),
    _handler(TaskFailed, life_work.task_failed),
    repairs(RebaseEngine()),
    _handler(TaskRebased, life_repair.task_rebased),
    _handler(LeasesFreed, life_pulls.leases_freed),
    _handler(ActionFailed, life_work.action_failed),
    _handler(Closed, life.closed),
)
