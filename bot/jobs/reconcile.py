"""Owns closing gaps: deliveries that never arrived are fetched, and open tracks compared with the forge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, repeat
from typing import Any

import structlog

from bot import urgency
from bot.core.events import (
    EVENTS,
    ChecksDue,
    Event,
    IssueClosed,
    IssueReopened,
    IssueUnlabeled,
    PullClosed,
    PullPushed,
    PullReopened,
    Pushed,
    TrackSwept,
)
from bot.core.ids import repository_line
from bot.core.life_repair import BEING_REBASED
from bot.core.track import OPEN_PULL, SETTLED, TRACKS, TaskTrack, Track
from bot.core.values import Actor, Issue, Pull, Repo
from bot.engine.store import Delivery, Store, StoredTrack
from bot.errors import BotError, NotFoundError, RetryableError
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
SOMEBODY = Actor(0, "somebody")  # whoever it was: nobody told us


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
            **({"tracks": self._compare_all, "settings": self._settings} if tracks else {}),
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

    async def _compare_all(self) -> None:
        known = await self.store.all_tracks(open_only=True)
        repos = await self._installed() if known else {}
        for stored in known:
            try:
                await self._compare(stored, repos)
            except (BotError, ValueError) as error:  # one that cannot be read must not hide the others
                _log.warning("track_not_compared", track=stored.key, error=str(error))

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

    async def _compare(self, stored: StoredTrack, repos: Mapping[int, Repo]) -> None:
        """Tell a track what happened to its issue, pull requests, checks and repository while nobody listened."""
        track = TRACKS.validate_python(stored.state)
        if not track.issue or track.gone:
            return
        repo = repos.get(track.repo.id) or await self.forge.repo(track.repo)
        track = replace(track, repo=repo)
        id_ = f"reconcile/{track.key}/{stored.version}"
        renamed = (repo.slug, repo.default_branch) != (
            stored.state["repo"]["owner"] + "/" + stored.state["repo"]["name"],
            stored.state["repo"]["default_branch"],
        )
        if renamed or await self._stands_still(track):
            await self._tell(track, f"{id_}/swept", TrackSwept(repo=repo))
        await self._ask_issue(track, id_)
        for number, task in _waiting(track):
            pull = await self.forge.pull(repo, number)
            if pull.state != "open":
                if task is None or task.state != "held" or pull.merged:
                    await self._tell(track, f"{id_}/{number}", _closed(repo, pull))
            elif task is not None and task.state == "held" and not task.stopped:
                await self._tell(track, f"{id_}/{number}", _reopened(repo, pull))
            elif task is not None and task.state in {*OPEN_PULL, "blocked"}:
                await self._look(track, task, pull, id_)

    async def _ask_issue(self, track: Track, id_: str) -> None:
        """Tell what happened to the issue; one that its track's end closes is not looked at."""
        if track.tasks and all(task.state in SETTLED for task in track.tasks):
            return
        try:
            issue = await self.forge.issue(track.repo, track.issue)
        except NotFoundError as error:  # gone, or out of sight: only a delivery says which
            _log.warning("issue_not_compared", track=track.key, error=str(error))
            return
        for event in _of_issue(track, issue):
            await self._tell(track, f"{id_}/{event.kind}", event)

    async def _look(self, track: Track, task: TaskTrack, pull: Pull, id_: str) -> None:
        """Have a new head followed, or the checks of this one read again; our own rebase tells of its head itself."""
        if task.note == BEING_REBASED:
            return
        if pull.head_sha != task.head_sha:
            event = PullPushed(
                repo=track.repo,
                number=pull.number,
                head_branch=pull.head_branch,
                head_sha=pull.head_sha,
                actor=SOMEBODY,
            )
            await self._tell(track, f"{id_}/{pull.number}", event)
        elif task.state in OPEN_PULL:
            # Its own id each time: checks go on without the track changing.
            due = ChecksDue(task=task.id, head_sha=task.head_sha or "", waited=0)
            await self._tell(track, f"{id_}/{task.id}/{self.clock.now().isoformat()}", due)

    async def _stands_still(self, track: Track) -> bool:
        """Tell whether nothing is left to do but the end, and nobody does it: it was given up."""
        if not track.tasks or any(task.state not in SETTLED for task in track.tasks):
            return False
        ending = {"close_track", "propose_record"}
        return not any(row.kind in ending for row in await self.store.open_actions(track.key))

    async def _tell(self, track: Track, id_: str, event: Event) -> None:
        await self.store.add_event(track.key, id_, EVENTS.dump_python(event, mode="json"))


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


def _waiting(track: Track) -> list[tuple[int, TaskTrack | None]]:
    """List the pull requests that a track may be waiting for, with their tasks."""
    found: list[tuple[int, TaskTrack | None]] = [
        (task.pull, task) for task in track.tasks if task.pull is not None and task.state not in SETTLED
    ]
    if track.record_pull is not None:
        found.append((track.record_pull, None))
    if track.backlog_pull is not None and not track.tasks and track.merged_sha is None:
        found.append((track.backlog_pull, None))
    return found


def _of_issue(track: Track, issue: Issue) -> Iterator[IssueClosed | IssueReopened | IssueUnlabeled]:
    if track.closed != (issue.state != "open"):
        kind = IssueReopened if track.closed else IssueClosed
        yield kind(repo=track.repo, issue=track.issue, actor=SOMEBODY)
    if track.label and track.merged_sha is None and track.label not in issue.labels:
        yield IssueUnlabeled(repo=track.repo, issue=track.issue, label=track.label, actor=SOMEBODY)


def _closed(repo: Repo, pull: Pull) -> PullClosed:
    return PullClosed(
        repo=repo,
        number=pull.number,
        head_branch=pull.head_branch,
        head_sha=pull.head_sha,
        base_branch=pull.base_branch,
        merged=pull.merged,
        merge_sha=pull.merge_sha,
        actor=SOMEBODY,
    )


def _reopened(repo: Repo, pull: Pull) -> PullReopened:
    return PullReopened(repo=repo, number=pull.number, head_branch=pull.head_branch, actor=SOMEBODY)
