"""Owns the way of an event: it finds its tracks or its repository, facts are gathered, a decision is stored at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol

import structlog
from pydantic import ValidationError

from bot.core import leases, messages
from bot.core.actions import ACTIONS, Decision, PostComment
from bot.core.events import (
    EVENTS,
    CommentCreated,
    Event,
    ForgeEvent,
    InstallationChanged,
    IssueLabeled,
    LeasesFreed,
    RepositoriesAdded,
)
from bot.core.ids import TRACK_ID, TrackId, is_repository_line, repository_line, track_id
from bot.core.life_hold import held
from bot.core.promises import kept
from bot.core.sanitize import escape
from bot.core.snapshot import heard
from bot.core.track import HELD, TRACKS, Track
from bot.engine import small_ids
from bot.engine.beside import AsksFirstError
from bot.engine.store import Commit, Delivery, NewAction, NewTimer, Parked, Store, TrackEvent
from bot.errors import BotError, LimitedError, RetryableError, UnreachableError
from bot.handler import Handler, Reads, RepoHandler
from bot.ports import Clock, JsonDict
from bot.repository_lines import RepositoryLines, new_actions
from bot.stored_reads import Mark, StoredReads

_log = structlog.get_logger(__name__)

PARK = (2.0, 5.0, 15.0, 60.0, 300.0, 900.0)  # seconds until an event that could not be decided is tried again
TRIES = 24  # with the waits above some four hours: an outage of the forge loses nothing
Told = ForgeEvent | RepositoriesAdded | InstallationChanged  # what a delivery can be read as
LEASE_TRIES = 8  # decisions from the same facts while other tracks take and give back leases
_FREED: JsonDict = EVENTS.dump_python(LeasesFreed(), mode="json")


class Recall(Protocol):
    """Sees that the tracks an event may be about, or `begins`, are known."""

    async def __call__(
        self, event: ForgeEvent, drain: Callable[[JsonDict], Awaitable[None]], *, begins: bool = False
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Routes deliveries to tracks and repositories, and drains the events of each in order."""

    store: Store
    reads: Reads
    handlers: Sequence[Handler[Any, Any]]
    parse: Callable[[Delivery], Told | None]
    clock: Clock
    recall: Recall | None = None
    repo_handlers: Sequence[RepoHandler[Any, Any]] = ()
    marks: dict[str, Mark] = field(default_factory=dict)
    patience: float = 0.0  # seconds that good news of checks waits for more

    @property
    def _lines(self) -> RepositoryLines:
        return RepositoryLines(self.store, self.reads, self.repo_handlers)

    def handler(self, event: Event) -> Handler[Any, Any]:
        return next(h for h in self.handlers if h.event is type(event))

    # --- from a delivery to tracks and repositories ----------------------------------------------

    async def route(self, delivery: Delivery) -> list[TrackEvent]:
        """Find the tracks and repositories that a delivery concerns; none is an answer too.

        AsksFirstError where the forge has to say whether the database lost a track.
        """
        event = self.parse(delivery)
        if event is None:
            return []
        each = await self._each(event)
        for one in each:
            if (line := await self._unknown(one)) is not None:
                raise AsksFirstError(
                    line, lambda: self._asked(delivery, each), begins=isinstance(one, IssueLabeled)
                )
        return await self._routed(delivery, each)

    async def _asked(self, delivery: Delivery, events: Sequence[ForgeEvent]) -> list[TrackEvent]:
        """Take up again what the database has lost, before it is decided what the events mean."""
        for event in events:
            if self.recall is not None and await self._unknown(event) is not None:
                await self.recall(event, self.drain, begins=self._begins(event))
        return await self._routed(delivery, events)

    def _begins(self, event: ForgeEvent) -> bool:
        return isinstance(event, IssueLabeled) or self.handler(event).begins_anew(event)

    async def _routed(self, delivery: Delivery, events: Sequence[ForgeEvent]) -> list[TrackEvent]:
        routed: list[tuple[str, ForgeEvent]] = []
        for each in events:
            tracks = await self._tracks(each) if self._handled(each) else []
            routed += tracks
            if self._lines.concern(each, heard=bool(tracks)):
                routed.append((repository_line(each.repo.id), each))
        return [
            TrackEvent(track=key, id=f"{delivery.id}/{key}", event=EVENTS.dump_python(happened, mode="json"))
            for key, happened in routed
        ]

    def _handled(self, event: ForgeEvent) -> bool:
        return any(handler.event is type(event) for handler in self.handlers)

    async def _each(self, event: Told) -> Sequence[ForgeEvent]:
        """Give the events of a delivery that tells of many repositories."""
        if isinstance(event, InstallationChanged):
            known = [] if event.repos else await self.store.all_tracks(open_only=True)
            return event.each([TRACKS.validate_python(each.state).repo for each in known])
        return event.each() if isinstance(event, RepositoriesAdded) else (event,)

    async def _tracks(self, event: ForgeEvent) -> list[tuple[str, ForgeEvent]]:
        """Find the tracks that an event concerns, and what it is to each of them."""
        routed = await self._opening(event) if self.handler(event).opens(event) is not None else []
        if routed:
            return routed
        found: dict[str, None] = {}
        for key in self.handler(event).keys(event):
            found.update(dict.fromkeys(await self.store.tracks_by_key(event.repo.id, key)))
        return [(key, event) for key in found]

    async def _unknown(self, event: ForgeEvent) -> str | None:
        """Name what an event is about, if no track of that is known; None where there is nothing to ask."""
        if self.recall is None or not self._handled(event):
            return None
        handler = self.handler(event)
        issue = handler.opens(event)
        keys = handler.keys(event) or ((f"issue:{issue}",) if issue is not None else ())
        for key in keys:
            if await self.store.tracks_by_key(event.repo.id, key):
                return None
        return f"{event.repo.id}/{keys[0]}" if keys else None

    async def _opening(self, event: ForgeEvent) -> list[tuple[str, ForgeEvent]]:
        """Give the newest track of the issue, and the next one where the event may begin a round of its own."""
        handler = self.handler(event)
        issue = handler.opens(event)
        assert issue is not None
        known = await self.store.tracks_by_key(event.repo.id, f"issue:{issue}")
        if not known:
            return [(f"{event.repo.id}/{track_id(issue)}", event)]
        newest = max(known, key=_round)
        by_person = isinstance(event, IssueLabeled) and not event.actor.is_bot
        if by_person and await self.store.next_event(newest) is not None:
            # Taken off and set again at once, the label begins a round only where taking it off has ended one.
            raise RetryableError(f"{newest} has not looked at what came before")
        stored = await self.store.load(newest)
        ended = stored is not None and not stored.open
        if stored is None or not (handler.begins_anew(event) or (ended and isinstance(event, IssueLabeled))):
            return [(newest, event)]
        if isinstance(event, CommentCreated) and event.comment in stored.state.get("answered", ()):
            return [(newest, event)]  # it began this round
        assert isinstance(event, IssueLabeled | CommentCreated)
        if isinstance(event, IssueLabeled) and heard(TRACKS.validate_python(stored.state), event):
            return [(newest, event)]  # it began this round or an earlier one
        event = replace(event, round=_round(newest) + 1)
        # The older one hears it too: it ends for the sake of the new one.
        return [(newest, event), (f"{event.repo.id}/{track_id(issue, event.round)}", event)]

    # --- from an event to a decision -----------------------------------------------------------

    async def drain(self, args: JsonDict) -> None:
        """Handle all that happened to a track or a repository, in order; at what cannot be decided now it is parked."""
        key = str(args["track"])
        while (row := await self.store.next_event(key)) is not None:
            parked = await self.store.parked(key)
            tries = parked.tries if parked is not None and parked.event == row.id else 0
            if tries and parked is not None and parked.until > self.clock.now():
                return  # the runner starts this again when it is time
            try:
                await self._handle(key, row)
            except RetryableError as error:
                # What the forge's limits, or an installation that is away, put off is lost to nobody.
                if tries >= TRIES and not isinstance(error, LimitedError | UnreachableError):
                    await self._give_up(key, row, str(error))
                    continue
                wait = error.after or PARK[min(tries, len(PARK) - 1)]
                _log.warning("event_parked", track=key, row=row.id, seconds=wait, error=str(error))
                until = self.clock.now() + timedelta(seconds=wait)
                await self.store.park(key, Parked(row.id, tries + 1, until))
                return
            except BotError as error:
                _log.warning("event_failed", track=key, row=row.id, error=str(error))
                await self._give_up(key, row, str(error))
            except Exception as error:  # noqa: BLE001 - the outermost edge: a track must not stand still over a bug
                _log.exception("event_crashed", track=key, row=row.id)
                await self._give_up(key, row, f"internal error ({type(error).__name__}); see the log")

    async def _handle(self, key: str, row: TrackEvent) -> None:
        if is_repository_line(key):
            await self._lines.handle(key, row)
            return
        track, version = await self._load(key)
        event = EVENTS.validate_python(row.event)
        handler = self.handler(event)
        if track is not None and isinstance(event, ForgeEvent):
            # Its name, visibility or default branch may have changed; not every delivery tells of the branch.
            branch = event.repo.default_branch or track.repo.default_branch
            track = replace(track, repo=replace(event.repo, default_branch=branch))
        if track is not None and heard(track, event):
            await self._commit(
                key, row, version, Decision(track=track), (await self._among_others(key, track))[1]
            )
            return
        facts = await handler.gather(
            track, event, StoredReads(self.reads, self.store, row, self.marks, self.patience)
        )
        # Leases of other tracks change more often than the track: decided again from the same facts, they cost no call.
        for _ in range(LEASE_TRIES):
            track, seen = await self._among_others(key, track)
            decision = self._decide(handler, track, event, facts)
            if await self._commit(key, row, version, decision, seen):
                return
            stored = await self.store.load(key)
            if (stored.version if stored else 0) != version:
                break
        _log.info("version_moved", track=key, row=row.id)  # somebody else was first: read again

    def _decide(self, handler: Handler[Any, Any], track: Track | None, event: Event, facts: Any) -> Decision:
        now = self.clock.now()
        if track is not None and track.state in HELD and not handler.sees_hold:
            return kept(held(track, lambda awake: handler.decide(awake, event, facts, now)), event)
        return kept(handler.decide(track, event, facts, now), event)

    async def _among_others(self, key: str, track: Track | None) -> tuple[Track | None, int]:
        """Show a track what the repository's other tracks hold, and say which version of that it sees."""
        seen = await self.store.others_leases(key)
        return (replace(track, foreign=seen.leases) if track else None), seen.version

    async def _load(self, key: str) -> tuple[Track | None, int]:
        stored = await self.store.load(key)
        return (TRACKS.validate_python(stored.state), stored.version) if stored else (None, 0)

    async def _commit(self, key: str, row: TrackEvent, version: int, decision: Decision, seen: int) -> bool:
        now, track = self.clock.now(), decision.track
        # Ids say which event of which track an action follows from, so the same decision never stands twice.
        actions = tuple(
            NewAction(
                id=f"{key}#{row.id}.{n}", kind=action.kind, action=ACTIONS.dump_python(action, mode="json")
            )
            for n, action in enumerate(decision.actions, 1)
        )
        actions += new_actions(key, row, decision.about_repository)
        timers = tuple(
            NewTimer(
                id=f"{key}:{timer.id}",
                due_at=now + timer.after,
                event=EVENTS.dump_python(timer.event, mode="json"),
            )
            for timer in decision.timers
        )
        return await self.store.commit(
            Commit(
                track=key,
                event_id=row.id,
                expected_version=version,
                # What others hold is theirs to store.
                state=TRACKS.dump_python(replace(track, foreign=()), mode="json") if track else None,
                status=track.state if track else "",
                open=track is not None and not track.ended,
                keys=track.keys() if track else (),
                actions=actions,
                timers=timers,
                drop_ids=small_ids.over(key, row.event),
                leases=leases.held(track) if track else (),
                leases_seen=seen,
                waits=track is not None and leases.waits_for_others(track),
                freed=_FREED,
            )
        )

    async def _give_up(self, key: str, row: TrackEvent, error: str) -> None:
        """Close an event that cannot be handled, and tell people so; a track that cannot be read is left as it is."""
        if is_repository_line(key):
            await self._lines.end(key, row)  # there is no place to tell it in but the log
            return
        try:
            track, version = await self._load(key)
        except ValidationError:
            stored = await self.store.load(key)
            track, version = None, stored.version if stored else 0
        try:
            event: Event | None = EVENTS.validate_python(row.event)
        except ValidationError:  # stored by another version of the bot
            event = None
        track, seen = await self._among_others(key, track)
        repo = event.repo if isinstance(event, ForgeEvent) else track.repo if track else None
        number = event.number if isinstance(event, CommentCreated) else _issue(key)
        text = f"This could not be handled: {escape(error)}"
        id_ = track.id if track else TrackId(key.partition("/")[2])
        said = messages.answer(id_, row.id, text, "problem")
        actions = (PostComment(repo=repo, number=number, body=said),) if repo else ()
        await self._commit(key, row, version, Decision(track=track, actions=actions), seen)


def _issue(key: str) -> int:
    found = TRACK_ID.fullmatch(key.partition("/")[2])
    return int(found[1]) if found else 0


def _round(key: str) -> int:
    found = TRACK_ID.fullmatch(key.partition("/")[2])
    return int(found[2] or 1) if found else 0
