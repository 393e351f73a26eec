"""Owns finding tracks that the database does not know: by the status comments that the bot left on issues."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from bot import urgency
from bot.core import messages
from bot.core.events import (
    EVENTS,
    BoxesTicked,
    ButtonPressed,
    CheckAskedAgain,
    ChecksCompleted,
    CommentCreated,
    CommentEdited,
    ForgeEvent,
    IssueClosed,
    IssueEdited,
    IssueGone,
    IssueLabeled,
    IssueReopened,
    IssueUnlabeled,
    LineCommented,
    PullClosed,
    PullEdited,
    PullOffered,
    PullPushed,
    PullReopened,
    Pushed,
    RepositoryAdded,
    RepositoryChanged,
    ReviewSubmitted,
    StatusSet,
    SuiteAskedAgain,
    TrackLost,
    WorkflowEnded,
)
from bot.core.ids import TRACK_ID, Marker, parse_marker, track_of_branch
from bot.core.snapshot import issue_of
from bot.core.values import Repo
from bot.engine import firsts
from bot.engine.store import Store
from bot.errors import BotError, NotFoundError, RetryableError
from bot.handler import Reads
from bot.ports import Forge, JsonDict

_log = structlog.get_logger(__name__)

Drain = Callable[[JsonDict], Awaitable[None]]
_ISSUE_CHANGED = (IssueUnlabeled, IssueEdited, IssueClosed, IssueReopened, IssueGone)
_OF_A_TRACK = frozenset(
    {"status", "plan", "receipt"}
)  # kinds of texts that only a track that has begun leaves


@dataclass(frozen=True, slots=True)
class Recall:
    """Takes tracks up again before an event of theirs is routed, and when the bot starts with an empty database.

    An issue is asked once in the life of a database: whatever begins after that, the database knows. What begins a
    track asks once in the life of a process, for a database can be put back from an older copy.
    """

    store: Store
    forge: Forge
    reads: Reads

    async def __call__(self, event: ForgeEvent, drain: Drain, *, begins: bool = False) -> None:
        """See that the tracks which an event may be about, or `begins`, are known; RetryableError where that waits."""
        try:
            # Anybody can comment on old issues, or close theirs; who sets a label has a right of the forge.
            with urgency.can_wait(not isinstance(event, IssueLabeled)):
                if await self._may_be_about_one(event):
                    await self._look(event, drain, begins=begins)
        except NotFoundError as error:  # the App was taken off it meanwhile: what nobody knows stays unknown
            _log.warning("nothing_recalled", repo=event.repo.slug, error=str(error))

    async def _look(self, event: ForgeEvent, drain: Drain, *, begins: bool) -> None:
        issue = await self._issue(event)
        if issue is not None:
            await self._issue_known(event.repo, issue, drain, begins=begins)
        elif isinstance(event, Pushed) and event.branch == event.repo.default_branch:
            await self.repository(event.repo, drain)

    async def _may_be_about_one(self, event: ForgeEvent) -> bool:
        """Say whether a track can be where something happened: while one lives, its issue bears a label of ours."""
        if isinstance(event, IssueLabeled):
            config, _ = await self.reads.config(event.repo)
            return event.label == config.labels.trigger
        labels = event.labels if isinstance(event, _ISSUE_CHANGED) else None
        if not labels:
            return labels is None
        config, _ = await self.reads.config(event.repo)
        return not set(messages.labels(config)).isdisjoint(labels)

    async def sweep(self) -> None:
        """Look through every repository that the bot is installed on, once in the life of a database."""
        if await self.store.get_id("recalled") is not None:
            return
        installed = await self.forge.repos()
        whole = installed.whole
        for repo in installed.repos:
            try:
                await self.repository(repo, _later)
            except BotError as error:  # one that cannot be read must not hide the others
                _log.warning("repository_not_looked_through", repo=repo.slug, error=str(error))
                whole = False
        if whole:
            await self.store.put_id("recalled", "asked")

    async def repository(self, repo: Repo, drain: Drain) -> None:
        """Look for open issues that bear a status label, once for each repository."""
        key = f"{repo.id}:recalled"
        if await self.store.get_id(key) is not None:
            return
        config, _ = await self.reads.config(repo)
        wanted = set(messages.labels(config)) - {config.labels.done}
        for number in await self.forge.labeled_issues(repo, *sorted(wanted)):
            await self._issue_known(repo, number, drain)
        await self.store.put_id(key, "asked")

    async def _issue_known(self, repo: Repo, issue: int, drain: Drain, *, begins: bool = False) -> None:
        if await self.store.tracks_by_key(repo.id, f"issue:{issue}"):
            return
        # What begins a track is worth a newer look: where there is nothing, nothing of its is looked for later.
        enough = firsts.began_here if begins else firsts.was_looked_at
        if await enough(self.store, repo.id, issue):
            return
        said = await self._said(repo, issue)
        for track, lost in _left(repo, issue, said):
            await self.store.add_event(track, f"lost/{track}", EVENTS.dump_python(lost, mode="json"))
            await drain({"track": track})
            if await self.store.load(track) is not None:
                _log.info("track_taken_up_again", track=track, comment=lost.comment)
            elif await self.store.parked(track) is not None:
                raise RetryableError(f"{track} cannot be taken up again yet")
        await firsts.note_look(self.store, repo.id, issue, ours=bool(said))

    async def _said(self, repo: Repo, issue: int) -> list[tuple[Marker, int]]:
        """List what the bot has said on an issue about a track of its, each with its comment."""
        try:
            comments = await self.forge.comments(repo, issue)
        except NotFoundError:
            return []
        own = await self.forge.bot_ids(repo)
        return [
            (marker, comment.id)
            for comment in comments
            if comment.author.id in own
            and (marker := parse_marker(comment.body)) is not None
            and marker.kind in _OF_A_TRACK
            and marker.track
            and TRACK_ID.fullmatch(marker.track)
            and issue_of(marker.track) == issue
        ]

    async def _issue(self, event: ForgeEvent) -> int | None:
        """Name the issue that an event is about, as far as its own branch or number tells."""
        branch: str | None = None
        match event:
            case (
                PullClosed()
                | PullReopened()
                | PullEdited()
                | PullPushed()
                | ReviewSubmitted()
                | LineCommented()
            ):
                branch = event.head_branch
            case ChecksCompleted() | Pushed() | WorkflowEnded():
                branch = event.branch
            case ButtonPressed() | CheckAskedAgain() | SuiteAskedAgain():
                branch = event.branch
            case CommentCreated(is_pull=True) | CommentEdited(is_pull=True):
                with contextlib.suppress(NotFoundError):
                    branch = (await self.forge.pull(event.repo, event.number)).head_branch
            case CommentCreated() | CommentEdited() | BoxesTicked():
                return event.number
            case PullOffered() | RepositoryAdded() | StatusSet() | RepositoryChanged():
                return None
            case _:
                return event.issue
        return _of_branch(branch or "")


def _left(repo: Repo, issue: int, said: list[tuple[Marker, int]]) -> list[tuple[str, TrackLost]]:
    """List the tracks that status comments tell of."""
    found = {
        f"{repo.id}/{marker.track}": TrackLost(repo=repo, issue=issue, comment=comment)
        for marker, comment in said
        if marker.kind == "status"
    }
    return list(found.items())


async def _later(_args: JsonDict) -> None:
    """Leave what was found to the runner: nothing waits for it."""


def _of_branch(name: str) -> int | None:
    track = track_of_branch(name)
    return issue_of(track) if track else None
