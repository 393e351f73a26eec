"""Owns what the results of the bot's own jobs mean; each is one sentence of the track's life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from bot.core import life, life_planning, life_pulls, life_push, life_repair, life_review, life_work
from bot.core.actions import Decision, SyncPlan, SyncStatus
from bot.core.events import (
    ActionFailed,
    BacklogEdited,
    BacklogProposed,
    BacklogRevised,
    Closed,
    HealthChecked,
    LeasesFreed,
    PlanFailed,
    PlanMade,
    PullBack,
    PushAsked,
    RecordProposed,
    StepWaits,
    TaskAssessed,
    TaskFailed,
    TaskProposed,
    TaskRebased,
    TasksIncluded,
)
from bot.core.rebasing import RebaseEngine
from bot.core.track import Track
from bot.handler import Handler, on_open_track
from handlers.commands import valid_now

Opened = TypeVar("Opened", BacklogProposed, TaskProposed)


def _plan_made(track: Track, event: PlanMade, now: datetime) -> Decision:
    return life_planning.plan_made(track, event, valid_now(track), now)


def _failed(track: Track, event: ActionFailed, now: datetime) -> Decision:
    if event.what != "include_tasks":
        return life_work.action_failed(track, event, now)
    decision = life_work.action_failed(life_review.not_included(track, event.key), event, now)
    return replace(decision, actions=(*decision.actions, SyncPlan()))


def _told(track: Track, _event: StepWaits, _now: datetime) -> Decision:
    return Decision(track=track, actions=(SyncStatus(),))


def _noted(track: Track, _event: BacklogEdited, _now: datetime) -> Decision:
    """The push itself tells of the file; only whoever asked for it waits to see that it is done."""
    return life.nothing(track)


def _back(track: Track, event: PullBack, now: datetime) -> Decision:
    task = track.task_of(event.pull)
    return life_pulls.task_reopened(track, task, now, "after a stop") if task else life.nothing(track)


def _opening(
    event: type[Opened], step: Callable[[Track, Opened, datetime], Decision]
) -> Handler[Opened, None]:
    """Make the handler of what opened a pull request: nobody waits for it where people acted meanwhile."""
    plain = on_open_track(event, step)

    def decide(track: Track | None, happened: Opened, _facts: None, now: datetime) -> Decision:
        decision = plain.decide(track, happened, None, now)
        unwanted = track is not None and decision == life.nothing(track)
        return life_pulls.late(track, happened) if unwanted and track else decision

    return replace(plain, decide=decide)


def repairs(engine: RebaseEngine) -> Handler[TaskAssessed, None]:
    """Make the handler of everything red, messy or in conflict; the engine decides."""

    def assessed(track: Track, event: TaskAssessed, now: datetime) -> Decision:
        decision = life_repair.task_assessed(track, event, now, engine)
        if decision.track is None or decision.track == track:
            return decision
        moved, runs = life_work.start_ready(decision.track, now)  # a worker may have become free
        return replace(decision, track=moved, actions=(*decision.actions, *runs))

    return on_open_track(TaskAssessed, assessed)


HANDLERS = (
    on_open_track(HealthChecked, life_work.health_checked),
    on_open_track(PlanMade, _plan_made),
    on_open_track(PlanFailed, life_planning.plan_failed),
    _opening(BacklogProposed, life_planning.backlog_proposed),
    _opening(TaskProposed, life_work.task_proposed),
    on_open_track(PushAsked, life_push.push_asked),
    on_open_track(TaskFailed, life_work.task_failed),
    repairs(RebaseEngine()),
    on_open_track(TaskRebased, life_repair.task_rebased),
    on_open_track(LeasesFreed, life_pulls.leases_freed),
    on_open_track(ActionFailed, _failed),
    on_open_track(StepWaits, _told),
    on_open_track(RecordProposed, life.record_proposed),
    on_open_track(PullBack, _back),
    on_open_track(BacklogRevised, life_review.revised),
    on_open_track(BacklogEdited, _noted),
    on_open_track(TasksIncluded, life_review.included),
    on_open_track(Closed, life.closed),
)
