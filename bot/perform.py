"""Owns doing: one action at a time, each idempotent, retried where that can help, its result an event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import structlog

from bot import points, urgency
from bot.core import messages, messages_status, waiting
from bot.core.actions import (
    ACTIONS,
    Action,
    AssessTask,
    CheckHealth,
    PostComment,
    React,
    ReportTask,
    SyncStatus,
)
from bot.core.events import EVENTS, ActionFailed, OwnEvent, StepWaits
from bot.core.ids import Marker, identity, is_repository_line, parse_marker
from bot.core.repo_actions import REPO_ACTIONS, RepoAction
from bot.core.track import TRACKS, Track
from bot.engine.firsts import is_first
from bot.engine.store import OutboxRow, Store, TrackEvent
from bot.errors import (
    ArchivedError,
    BotError,
    LimitedError,
    LockedError,
    NoRoomError,
    NotFoundError,
    ParkedError,
    RetryableError,
    SandboxError,
    UnreachableError,
)
from bot.ports import Clock, Forge, JsonDict

_log = structlog.get_logger(__name__)

Job = Callable[[Track, Any], Awaitable[OwnEvent | None]]  # the action is the job's own kind
RepoJob = Callable[[Any], Awaitable[None]]  # the same for what is done about a repository

SETTLE = 0.3  # seconds
_UNSURE = "?"  # for the label that an issue bears, where nobody knows
BACKOFF = (1.0, 4.0, 15.0, 60.0, 300.0)  # seconds before the next try
BOX_TRIES = 3  # of what failed with its box: each may be a whole run of an agent
TRIES = 40  # with the waits above at least three hours: an outage, or other runs' hold on the money, loses nothing
_ROOM_SECONDS = 60.0
_BOX_SECONDS = 15.0  # until then: a machine that was busy may be less so


class _TooSoonError(RetryableError):
    """The status comment was edited a moment ago: what follows until then is told in the same edit."""


@dataclass(frozen=True, slots=True)
class Performer:
    """Interprets actions: what tells people is done here, all other work is handed to one job for each kind."""

    store: Store
    forge: Forge
    jobs: Mapping[type[Action], Job]
    commands: Callable[[Track], Sequence[tuple[str, str]]]  # what is valid now: usage and summary
    clock: Clock
    log: str = "the log"  # what to call it to people: where it is, if they have it
    repo_jobs: Mapping[type[RepoAction], RepoJob] = field(default_factory=dict)
    boxes: Callable[[Track], Sequence[str]] = (
        lambda _: ()
    )  # that can be ticked now, as the status comment has them

    edit_gap: float = 0.0  # seconds between edits of a status comment that nobody has to act on
    edited: dict[str, datetime] = field(default_factory=dict)  # when each track's was, last

    async def run(self, args: JsonDict) -> None:
        """Perform one action of the outbox and store its result; what ended before is left alone."""
        row = await self.store.action(str(args["action"]))
        if row is None or row.state in {"done", "failed", "cancelled"}:
            return
        try:
            result = await self._perform(row)
        except RetryableError as error:
            await self._later(row, error)
            return
        except NoRoomError as error:  # others' work ends, and their folders are removed: it passes
            await self._later(row, RetryableError(str(error), _ROOM_SECONDS))
            return
        except SandboxError as error:
            await self._box_failed(row, error)
            return
        except BotError as error:
            _log.warning("action_failed", action=row.id, error=str(error))
            await self._fail(row, str(error))
            return
        except Exception as error:  # noqa: BLE001 - the outermost edge: a bug must reach a person too
            _log.exception("action_crashed", action=row.id)
            await self._fail(
                row, f"internal error ({type(error).__name__}); {self.log} names it as action {row.id}"
            )
            return
        await self.store.finish_action(row.id, _result(row, result) if result else None)
        if result is None and waiting.waits_for(row.error):
            await self._tell_of_waiting(row)

    async def _box_failed(self, row: OutboxRow, error: SandboxError) -> None:
        """Try again a few times; whatever else the action waited for before counts for nothing here."""
        key = f"{row.track}:{row.id}:boxes"
        failed = int(await self.store.get_id(key) or 0) + 1
        if failed >= BOX_TRIES:
            await self._fail(row, f"{error} (tried {failed} times)")
            return
        await self.store.put_id(key, str(failed))
        await self._later(row, RetryableError(str(error), _BOX_SECONDS))

    async def _later(self, row: OutboxRow, error: RetryableError) -> None:
        """Put an action off, with its reason; what others let it wait for uses up no tries."""
        if isinstance(error, _TooSoonError):
            await self.store.retry_action(row.id, self.clock.now() + timedelta(seconds=error.after or 0), "")
            return
        limited = isinstance(error, LimitedError)
        if row.try_ >= TRIES and not (limited or isinstance(error, UnreachableError)):
            await self._fail(row, f"{error} (tried {row.try_} times)")
            return
        wait = error.after or 0.0
        if not limited:
            wait = max(wait, BACKOFF[min(row.try_ - 1, len(BACKOFF) - 1)])
        _log.warning("action_retried", action=row.id, seconds=wait, error=str(error))
        what = waiting.LIMIT if limited else waiting.PROVIDER if isinstance(error, ParkedError) else ""
        why = waiting.reason(str(error), what) if what else str(error)
        await self.store.retry_action(row.id, self.clock.now() + timedelta(seconds=wait), why)
        if what and timedelta(seconds=wait) >= waiting.AT_LEAST:
            await self._tell_of_waiting(row)

    async def _tell_of_waiting(self, row: OutboxRow) -> None:
        """Have the status comment say what is waited for, or no more; where it already says so, that costs no call."""
        if row.kind != "sync_status" and not is_repository_line(row.track):
            event = EVENTS.dump_python(StepWaits(), mode="json")
            await self.store.add_event(row.track, f"{row.id}~{row.try_}", event)

    async def _fail(self, row: OutboxRow, error: str) -> None:
        if is_repository_line(row.track):
            _log.error("repository_action_given_up", action=row.id, kind=row.kind, error=error)
            await self.store.fail_action(row.id, error, None)
            return
        failed = ActionFailed(
            action=row.id,
            what=row.kind,
            error=error,
            task=row.action.get("task"),
            key=row.action.get("key", ""),
        )
        await self.store.fail_action(row.id, error, _result(row, failed))

    async def _perform(self, row: OutboxRow) -> OwnEvent | None:
        if is_repository_line(row.track):
            wanted = REPO_ACTIONS.validate_python(row.action)
            await self.repo_jobs[type(wanted)](wanted)
            return None
        stored = await self.store.load(row.track)
        track = TRACKS.validate_python(stored.state) if stored else None
        action = ACTIONS.validate_python(row.action)
        with urgency.can_wait(_can_wait(action)):
            return await self._do(row, action, track)

    async def _do(self, row: OutboxRow, action: Action, track: Track | None) -> OwnEvent | None:
        match action:
            case PostComment():
                await self._post(action, track)
                return None
            case React():
                await self.forge.react(action.repo, action.subject, action.id, action.content)
                return None
            case _ if track is None:
                return None
            case SyncStatus():
                await self._sync_status(row)
                return None
            case _:
                return await self.jobs[type(action)](track, action)

    async def _post(self, action: PostComment, track: Track | None) -> None:
        try:
            marker = parse_marker(action.body)
            plan = marker is not None and marker.kind == "plan"
            first = plan and await is_first(self.store, track, f"plan {identity(action.body)}")
            if action.anew and not first:
                older = await self.forge.find_comment(action.repo, action.number, identity(action.body))
                if older is not None and older.body.strip() != action.body.strip():
                    await self.forge.update_comment(action.repo, older.id, action.body)
                    return
            await self.forge.create_comment(action.repo, action.number, action.body, first=first)
        except (NotFoundError, ArchivedError) as error:
            _log.warning("comment_has_no_place", number=action.number, error=str(error))
        except LockedError as error:
            _log.warning("comment_has_no_place", number=action.number, error=str(error))
            await self._post_elsewhere(action, track)

    async def _post_elsewhere(self, action: PostComment, track: Track | None) -> None:
        """Say on an open pull request of the track what cannot be said where the conversation is locked."""
        for number in messages.other_places(track, action.number):
            said = f"{action.body.rstrip()}\n\n{messages.locked(action.number)}\n"
            try:
                await self.forge.create_comment(action.repo, number, said)
            except (NotFoundError, LockedError) as error:
                _log.warning("comment_has_no_place", number=number, error=str(error))
            else:
                return

    # --- the sticky comment ----------------------------------------------------------------------

    async def _sync_status(self, row: OutboxRow) -> None:
        """Write what the track is now, again while it changes; a newer wish for the same makes this one needless."""
        if await self.store.get_id(f"{row.track}:status") is not None:
            await asyncio.sleep(SETTLE)  # what follows at once is told in the same edit
        if await self._wished_later(row):
            return
        await self._keep_distance(row.track)
        open_ = await self.store.open_actions(row.track)
        waits = waiting.told(((o.error, o.not_before) for o in open_), self.clock.now())
        while True:
            stored = await self.store.load(row.track)
            if stored is None:
                return
            track = TRACKS.validate_python(stored.state)
            # Before the comment: whoever reads there that a pull request waits for them finds its check.
            late = await self._report(track)
            await self._write_status(track, waits)
            again = await self.store.load(row.track)
            if again is None or again.version == stored.version or await self._wished_later(row):
                break
        if late is not None:
            raise late

    async def _wished_later(self, row: OutboxRow) -> bool:
        """Tell whether the same is wished again, after this: that one is done later, never at the same time."""
        open_ = await self.store.open_actions(row.track)
        return any(each.kind == row.kind and each.seq > row.seq for each in open_)

    async def _report(self, track: Track) -> RetryableError | None:
        """Write the checks of a track; what has to wait is given back, since the comment need not wait for it."""
        if ReportTask not in self.jobs:
            return None
        try:
            await self.jobs[ReportTask](track, ReportTask())
        except RetryableError as error:
            return error
        return None

    async def _keep_distance(self, key: str) -> None:
        """Let an edit wait for what follows, unless there is something that people should not wait for."""
        stored, edited = await self.store.load(key), self.edited.get(key)
        if stored is None or edited is None:
            return
        left = self.edit_gap - (self.clock.now() - edited).total_seconds()
        if left > 0 and not _needs_a_person(TRACKS.validate_python(stored.state)):
            raise _TooSoonError("edits of the status comment keep a distance", left)

    async def _write_status(self, track: Track, limited: str) -> None:
        news = limited and await self.store.get_id(f"{track.key}:limited") != limited
        known = await self.store.get_id(f"{track.key}:status")
        # Edits can wait, but for the one that says for what and how long everything waits.
        with urgency.can_wait(known is not None and not news):
            body = messages_status.status(track, self.commands(track), self.boxes(track), limited)
            digest = sha256(body.encode()).hexdigest()
            changed = await self.store.get_id(f"{track.key}:status-sha256") != digest
            # The label first: whoever reads that the track is done finds it labelled so.
            edit = (int(known), body) if changed and known is not None else None
            edited = await self._write_label(track, edit)
            points.reached("status-labelled")
            if changed:
                if not edited:
                    await self._write_comment(track, body)
                self.edited[track.key] = self.clock.now()
                await self.store.put_id(f"{track.key}:status-sha256", digest)
        if news:
            await self.store.put_id(f"{track.key}:limited", limited)

    async def _write_comment(self, track: Track, body: str) -> None:
        try:
            known = await self.store.get_id(f"{track.key}:status")
            first = known is None and await is_first(self.store, track, "status")
            comment = None if first else await self._update_comment(track, body)
            if comment is None:
                comment = await self.forge.create_comment(track.repo, track.issue, body, first=first)
        except LockedError as error:
            # The label says how it stands; the next change is tried again.
            _log.warning("status_has_no_place", track=track.key, error=str(error))
            return
        points.reached("status-posted")
        await self.store.put_id(f"{track.key}:status", str(comment))

    async def _update_comment(self, track: Track, body: str) -> int | None:
        """Edit the sticky comment; None where there is none yet, or somebody deleted it."""
        comment = await self._status_comment(track)
        if comment is not None:
            try:
                await self.forge.update_comment(track.repo, comment, body)
            except NotFoundError:
                _log.warning("status_comment_gone", track=track.key, comment=comment)
                return None
        return comment

    async def _status_comment(self, track: Track) -> int | None:
        known = await self.store.get_id(f"{track.key}:status")
        if known is not None:
            return int(known)
        found = await self.forge.find_comment(track.repo, track.issue, str(Marker("status", track.id)))
        return found.id if found else None

    async def _write_label(self, track: Track, edit: tuple[int, str] | None) -> bool:
        """Let the issue's label say how the track stands; tells whether the comment was edited with it."""
        if track.state == "superseded":
            return False  # the issue's label tells of the newer round
        wanted = messages.label(track)
        key = f"{track.repo.id}/{track.issue}:label"
        known = await self.store.get_id(key)
        if known == (wanted or ""):
            return False
        # Killed between the forge's write and ours, the bot would never take this label off: till then nobody knows.
        await self.store.put_id(key, _UNSURE)
        ours, before = messages.labels(track.config), None if known == _UNSURE else known
        edited = await self.forge.show_label(
            track.repo, track.issue, wanted, ours=ours, before=before, edit=edit
        )
        points.reached("label-shown")
        await self.store.put_id(key, wanted or "")
        return edited


def _needs_a_person(track: Track) -> bool:
    """Tell whether somebody is asked for something, or waits for the answer to what they asked for."""
    return track.state not in {"planning", "working"} or any(
        task.asks or task.state in {"blocked", "held", "reverted"} for task in track.tasks
    )


def _result(row: OutboxRow, event: OwnEvent) -> TrackEvent:
    return TrackEvent(track=row.track, id=f"{row.id}!", event=EVENTS.dump_python(event, mode="json"))


def _can_wait(action: Action) -> bool:
    """Tell what nobody is kept waiting by: a look at a sibling whose base moved, a check of the surroundings."""
    return isinstance(action, CheckHealth) or (isinstance(action, AssessTask) and action.only_conflicts)
