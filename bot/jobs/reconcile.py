"""Owns closing gaps: deliveries that never arrived are fetched, and open tracks compared with the forge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, repeat
from typing import Any

import structlog

from bot import urgency
from bot.core.events import EVENTS, Pushed
from bot.core.ids import repository_line
from bot.core.track import TRACKS, Track
from bot.core.values import Repo
from bot.engine.store import Delivery, Store, StoredTrack
from bot.errors import BotError, RetryableError
from bot.jobs.compare import SOMEBODY, Comparison
from bot.jobs.settings_report import to_be_looked_at
from bot.ports import Clock, FailedDelivery, Forge

_log = structlog.get_logger(__name__)

# GitHub keeps deliveries for three days, and never repeats one by itself.
KEPT = timedelta(days=3)
OVERLAP = timedelta(minutes=10)  # an attempt under way when one sweep looked is seen by the next
EVERY = (1.0, 5.0, 30.0, 300.0, 3600.0)  # seconds between sweeps: quick after a start, then hourly
LAST = "reconcile:last"
HEARD = "comments-heard"
POLL = 10.0  # seconds between polls: 360 calls an hour of the App's own 5,000
POLL_OVERLAP = timedelta(minutes=2)  # the forge lists a delivery a while after it began
POLLED = "deliveries:polled"


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Sweeps soon after a start, when most is lost, and every hour after that."""

    store: Store
    forge: Forge
    clock: Clock
    recall: Callable[[], Awaitable[None]] | None = None  # looks for tracks that the database has lost
    unreadable: set[str] = field(default_factory=set)  # deliveries that can never be had, by guid

    async def run(self) -> None:
        """Sweep for ever; a sweep that fails is only logged, the next one does its work."""
        for sweep, wait in enumerate(chain(EVERY, repeat(EVERY[-1]))):
            await asyncio.sleep(wait)
            with urgency.can_wait():  # the next sweep does its work
                await _outlived(self.sweep(tracks=sweep == 0 or wait >= EVERY[-1]))

    async def run_polls(self) -> None:
        """Fetch deliveries for ever, for a bot that the forge cannot reach."""
        while True:
            await _outlived(self.poll())
            await asyncio.sleep(POLL)

    async def poll(self) -> None:
        """Fetch the deliveries that are not known here, wherever they were sent; one call where nothing is new."""
        began, last = self.clock.now(), await self.store.get_id(POLLED)
        since = datetime.fromisoformat(last) - POLL_OVERLAP if last else began - KEPT
        if await self._fetch_all(await self.forge.failed_deliveries(since, also_delivered=True)):
            await self.store.put_id(POLLED, began.isoformat())

    async def sweep(self, *, tracks: bool) -> None:
        """Fetch lost deliveries and, with `tracks`, look at what open tracks wait for; what fails hides nothing else."""
        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "recall": self._recall,
            "deliveries": self._fetch_lost,
            **({"tracks": self._compare, "settings": self._settings} if tracks else {}),
            "commands": partial(self._listen, hourly=tracks),
        }
        for name, step in steps.items():
            try:
                await step()
            except BotError as error:
                _log.warning("sweep_failed", step=name, error=str(error))

    async def _recall(self) -> None:
        if self.recall is not None:
            await self.recall()

    async def _fetch_lost(self) -> None:
        began, last = self.clock.now(), await self.store.get_id(LAST)
        since = datetime.fromisoformat(last) - OVERLAP if last else began - KEPT
        if await self._fetch_all(await self.forge.failed_deliveries(since)):
            await self.store.put_id(LAST, began.isoformat())

    async def _compare(self) -> None:
        tracks = await self.store.all_tracks(open_only=True)
        if tracks:
            await Comparison(self.store, self.forge, self.clock, await self._installed())(tracks)

    async def _settings(self) -> None:
        """Have settings looked at whose issue may be open: the push that mended them need not have been told."""
        in_use = await self._with_tracks()
        for repo in (await self._installed() or in_use).values():
            if repo.archived or not await to_be_looked_at(self.store, repo, in_use=repo.id in in_use):
                continue
            as_if = Pushed(
                repo=repo,
                branch=repo.default_branch,
                before=None,
                after=None,
                actor=SOMEBODY,
                settings=True,
            )
            line = repository_line(repo.id)
            id_ = f"{line}/settings/{self.clock.now().isoformat()}"
            await self.store.add_event(line, id_, EVENTS.dump_python(as_if, mode="json"))

    async def _installed(self) -> dict[int, Repo]:
        """Name the repositories as they are called now, as far as anybody says."""
        try:
            return {repo.id: repo for repo in (await self.forge.repos()).repos}
        except BotError as error:  # each of them is asked then
            _log.warning("repositories_not_listed", error=str(error))
            return {}

    async def _listen(self, *, hourly: bool) -> None:
        """Take up commands that were delivered and lost, or never delivered, where there is a track to command."""
        for repo in (await self._with_tracks()).values():
            last = await self.store.get_id(f"{repo.id}:{HEARD}")
            if last is None or hourly:
                try:
                    await self._hear(repo, last)
                except BotError as error:  # one that cannot be read must not hide the others
                    _log.warning("comments_not_read", repo=repo.slug, error=str(error))

    async def _with_tracks(self) -> dict[int, Repo]:
        """Name the repositories that have an open track, and are within reach."""
        repos: dict[int, Repo] = {}
        for stored in await self.store.all_tracks(open_only=True):
            track = _read(stored)
            if track is not None and track.issue and not track.gone and not track.away:
                repos.setdefault(track.repo.id, track.repo)
        return repos

    async def _hear(self, repo: Repo, last: str | None) -> None:
        began = self.clock.now()
        since = datetime.fromisoformat(last) - OVERLAP if last else began - KEPT
        for said in await self.forge.unheard_commands(repo, since):
            body = json.dumps(said.payload).encode()
            new = Delivery(id=said.guid, event=said.event, headers={}, body=body, received_at=began)
            if await self.store.add_delivery(new):
                _log.info("unheard_command_found", delivery=said.guid, repo=repo.slug)
        await self.store.put_id(f"{repo.id}:{HEARD}", began.isoformat())

    async def _fetch_all(self, found: Sequence[FailedDelivery]) -> bool:
        """Fetch those that are not known; False where one of them may be had later."""
        whole = True
        for lost in found:
            if lost.guid in self.unreadable or await self.store.knows_delivery(lost.guid):
                continue
            try:
                await self._fetch(lost)
            except BotError as error:  # one that cannot be fetched must not hide the others
                _log.warning("delivery_not_fetched", delivery=lost.guid, error=str(error))
                if isinstance(error, RetryableError):
                    whole = False
                else:  # its time is over, or nobody can read it: asking again and again would only cost calls
                    self.unreadable.add(lost.guid)
        return whole

    async def _fetch(self, lost: FailedDelivery) -> None:
        payload = await self.forge.delivery_payload(lost.id)
        body = json.dumps(payload).encode()
        now = self.clock.now()
        if await self.store.add_delivery(
            Delivery(id=lost.guid, event=lost.event, headers={}, body=body, received_at=now)
        ):
            _log.info("lost_delivery_fetched", delivery=lost.guid, delivered_event=lost.event)


async def _outlived(sweep: Coroutine[Any, Any, None]) -> None:
    """Await a sweep; one that fails is only logged, the next one does its work."""
    try:
        await sweep
    except BotError as error:
        _log.warning("sweep_failed", error=str(error))
    except Exception:  # noqa: BLE001 - the outermost edge: sweeping must not end before the bot does
        _log.exception("sweep_crashed")


def _read(stored: StoredTrack) -> Track | None:
    try:
        return TRACKS.validate_python(stored.state)
    except ValueError:  # comparing it says so
        return None
