"""Owns comparing open tracks with the forge: what happened to issues and pull requests while nobody listened."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import structlog

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
    TrackSwept,
)
from bot.core.track import OPEN_PULL, SETTLED, TRACKS, TaskTrack, Track
from bot.core.values import Actor, Issue, Pull, Repo
from bot.engine.store import Store, StoredTrack
from bot.errors import BotError, LimitedError, NotFoundError
from bot.ports import Clock, Forge, Look

_log = structlog.get_logger(__name__)

SOMEBODY = Actor(0, "somebody")  # whoever it was: nobody told us
PUT_OFF = (
    "reconcile:put-off"  # the first track that the quota left no calls for: the next comparison begins there
)


@dataclass(frozen=True, slots=True)
class _Open:
    """An open track as it was stored."""

    stored: StoredTrack
    track: Track


@dataclass(frozen=True, slots=True)
class Comparison:
    """Looks at what open tracks wait for, one repository after the other; `repos` are called as they are now."""

    store: Store
    forge: Forge
    clock: Clock
    repos: Mapping[int, Repo]

    async def __call__(self, tracks: Sequence[StoredTrack]) -> None:
        """Tell tracks, given by key, what they missed; those of an installation without calls left are put off."""
        first = await self.store.get_id(PUT_OFF) or ""
        ordered = [each for each in tracks if each.key >= first] + [
            each for each in tracks if each.key < first
        ]
        put_off: list[str] = []
        resting: set[int | None] = set()
        for _, of_repo in groupby(_readable(ordered), key=lambda each: each.track.repo.id):
            listed = list(of_repo)
            installation = listed[0].track.repo.installation
            left = listed if installation in resting else await self._repository(listed)
            if left:
                resting.add(installation)
                put_off += [each.stored.key for each in left]
        if put_off:
            _log.warning("tracks_put_off", tracks=len(put_off), first=put_off[0])
            await self.store.put_id(PUT_OFF, put_off[0])

    async def _repository(self, tracks: list[_Open]) -> list[_Open]:
        """Compare the tracks of one repository, with one look at all they wait for; give those that were put off."""
        known = tracks[0].track.repo
        try:
            repo = self.repos.get(known.id) or await self.forge.repo(known)
        except LimitedError:
            return tracks
        except BotError as error:
            _log.warning("repository_not_compared", repo=known.slug, error=str(error))
            return []
        numbers = tuple(number for each in tracks for number, _ in _waiting(each.track))
        look = Look(time.monotonic(), numbers)
        for at, each in enumerate(tracks):
            try:
                await self._compare(each.stored, replace(each.track, repo=repo), look)
            except LimitedError:
                return tracks[at:]
            except BotError as error:  # one that cannot be read must not hide the others
                _log.warning("track_not_compared", track=each.stored.key, error=str(error))
        return []

    async def _compare(self, stored: StoredTrack, track: Track, look: Look) -> None:
        repo = track.repo
        id_ = f"reconcile/{track.key}/{stored.version}"
        renamed = (repo.slug, repo.default_branch) != (
            stored.state["repo"]["owner"] + "/" + stored.state["repo"]["name"],
            stored.state["repo"]["default_branch"],
        )
        if renamed or await self._stands_still(track):
            await self._tell(track, f"{id_}/swept", TrackSwept(repo=repo))
        await self._ask_issue(track, id_)
        for number, task in _waiting(track):
            pull = await self._pull(repo, number, look)
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
        if task.moving:
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

    async def _pull(self, repo: Repo, number: int, look: Look) -> Pull:
        if self.forge.capabilities.graphql:
            return (await self.forge.pull_state(repo, number, look)).pull
        return await self.forge.pull(repo, number)  # its checks would be calls of their own


def _readable(tracks: Iterable[StoredTrack]) -> Iterator[_Open]:
    for stored in tracks:
        try:
            track = TRACKS.validate_python(stored.state)
        except ValueError as error:
            _log.warning("track_not_compared", track=stored.key, error=str(error))
            continue
        if track.issue and not track.gone:
            yield _Open(stored, track)


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
