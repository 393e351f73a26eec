"""What concerns a repository and no track: it finds its line, is done once and in order, and is tried again as all else is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.core.actions import ACTIONS, Decision, SyncStatus
from bot.core.events import ForgeEvent, IssueLabeled, Pushed, RepositoriesAdded, RepositoryAdded
from bot.core.ids import TRACK_ID, is_repository_line, repository_line, track_of_branch
from bot.core.repo_actions import REPO_ACTIONS, CheckSettings, ProposeSettings, RepoAction, ReportSettings
from bot.core.values import Repo
from bot.dispatch import PARK, Dispatcher
from bot.engine.store import Delivery, Store
from bot.errors import BotError, RetryableError, UserError
from bot.handler import Handler, Reads, RepoHandler
from bot.jobs.queues import SERIAL, queue_of, queues, stuck_after
from bot.perform import BACKOFF, Performer, RepoJob
from bot.ports import Forge
from bot.settings import load_settings
from tests.core.builders import DANA, NOW, REPO, a_track

LINE = repository_line(REPO.id)
UNREAD = SimpleNamespace(forge=None, config=None, file=None, backlog=None, paths=None, unboxed=False)
ADDED = RepositoryAdded(repo=REPO)
PUSHED = Pushed(repo=REPO, branch="main", before=None, after="b" * 40, actor=DANA, settings=True)


@dataclass
class _Clock:
    time: datetime = NOW

    def now(self) -> datetime:
        return self.time


@dataclass
class _Desk:
    """A store, a handler of repositories that may fail, and jobs that note what they do."""

    store: Store
    clock: _Clock
    failures: list[BotError] = field(default_factory=list)
    done: list[RepoAction] = field(default_factory=list)

    def dispatcher(self, event: ForgeEvent | RepositoriesAdded | None = None) -> Dispatcher:
        async def gather(_event: object, _reads: Reads) -> None:
            if self.failures:
                raise self.failures.pop(0)

        def added(event: RepositoryAdded, _facts: None) -> tuple[RepoAction, ...]:
            return (ProposeSettings(repo=event.repo, place=event.place), ReportSettings(repo=event.repo))

        def pushed(event: Pushed, _facts: None) -> tuple[RepoAction, ...]:
            return (ReportSettings(repo=event.repo),)

        table: tuple[RepoHandler[Any, Any], ...] = (
            RepoHandler(event=RepositoryAdded, webhooks=(), gather=gather, decide=added),
            RepoHandler(
                event=Pushed, webhooks=(), concerns=lambda e: e.settings, gather=gather, decide=pushed
            ),
        )
        return Dispatcher(
            self.store,
            cast(Reads, UNREAD),
            (_OF_TRACKS, _LABELLED),
            lambda _: event,
            self.clock,
            None,
            table,
        )

    async def told(self, event: ForgeEvent | RepositoriesAdded, id_: str = "d-1") -> list[str]:
        """Take a delivery in as the runner does, and give the lines that it was handed to."""
        await self.store.add_delivery(Delivery(id_, "any", {}, b"{}", NOW))
        events = await self.dispatcher(event).route(Delivery(id_, "any", {}, b"{}", NOW))
        await self.store.route(id_, events)
        return [each.track for each in events]

    async def drain(self, line: str = LINE) -> None:
        await self.dispatcher().drain({"track": line})

    async def actions(self, line: str = LINE) -> list[tuple[str, str]]:
        return [(row.id, row.kind) for row in await self.store.open_actions(line)]

    async def perform(self, id_: str, failure: BotError | None = None) -> None:
        async def job(action: RepoAction) -> None:
            if failure is not None:
                raise failure
            self.done.append(action)

        jobs: dict[type[RepoAction], RepoJob] = {ProposeSettings: job, ReportSettings: job}
        forge = cast(Forge, None)
        await Performer(self.store, forge, {}, lambda _: (), self.clock, "the log", jobs).run({"action": id_})


async def _nothing(*_: object) -> None:
    """Nothing is read."""


_OF_TRACKS: Handler[Any, Any] = Handler(
    event=Pushed,
    keys=lambda event: (f"branch:{event.branch}",),
    gather=cast(Callable[..., Awaitable[None]], _nothing),
    decide=lambda track, *_: Decision(track=track),
)
_LABELLED: Handler[Any, Any] = Handler(
    event=IssueLabeled,
    opens=lambda event: event.issue,
    gather=cast(Callable[..., Awaitable[None]], _nothing),
    decide=lambda _track, event, *_: Decision(
        track=a_track(),
        actions=(SyncStatus(),),
        about_repository=(ReportSettings(repo=event.repo),),
    ),
)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[_Desk]:
    clock = _Clock()
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", clock)
    yield _Desk(store, clock)
    await store.close()


def test_no_track_is_called_as_a_repository_is() -> None:
    assert is_repository_line(LINE)
    assert not is_repository_line("7/issue-12")
    assert TRACK_ID.fullmatch(LINE.partition("/")[2]) is None


@pytest.mark.parametrize(
    ("branch", "track"),
    [
        ("agent/issue-12/backlog", "issue-12"),
        ("a/b/issue-3-r2/T-4-a2", "issue-3-r2"),
        ("agent/issue-1/record-2", "issue-1"),
        ("agent/onboarding", None),
        ("issue-12", None),
    ],
)
def test_branches_of_tracks_are_known_whatever_their_prefix(branch: str, track: str | None) -> None:
    assert track_of_branch(branch) == track


async def test_each_of_many_repositories_hears_of_itself(desk: _Desk) -> None:
    other = replace(REPO, id=8, name="other")
    assert await desk.told(RepositoriesAdded(repos=(REPO, other))) == [LINE, repository_line(8)]
    for line in (LINE, repository_line(8)):
        await desk.drain(line)
    [first, _] = await desk.store.open_actions(repository_line(8))
    assert REPO_ACTIONS.validate_python(first.action) == ProposeSettings(repo=other, place=2)


async def test_an_event_may_concern_tracks_the_repository_or_both(desk: _Desk) -> None:
    assert await desk.told(PUSHED, "d-0") == [LINE]
    assert await desk.told(replace(PUSHED, settings=False), "d-1") == []
    await desk.told(IssueLabeled(repo=REPO, issue=12, label="agent:plan", actor=DANA), "d-2")
    await desk.drain("7/issue-12")
    assert await desk.told(PUSHED, "d-3") == ["7/issue-12", LINE]


async def test_what_follows_is_stored_once_with_ids_that_say_what_it_follows_from(desk: _Desk) -> None:
    await desk.told(ADDED)
    await desk.drain()
    wanted = [
        (f"{LINE}#d-1/{LINE}.r1", "propose_settings"),
        (f"{LINE}#d-1/{LINE}.r2", "report_settings"),
    ]
    assert await desk.actions() == wanted
    await desk.drain()
    await desk.told(ADDED)
    await desk.drain()
    assert await desk.actions() == wanted
    assert await desk.store.all_tracks() == []


async def test_a_track_s_decision_hands_what_is_about_the_repository_to_its_line(desk: _Desk) -> None:
    await desk.told(IssueLabeled(repo=REPO, issue=12, label="agent:plan", actor=DANA))
    await desk.drain("7/issue-12")
    [(own, _)] = await desk.actions("7/issue-12")
    assert ACTIONS.validate_python((await desk.store.open_actions("7/issue-12"))[0].action) == SyncStatus()
    assert await desk.actions() == [("7/issue-12#d-1/7/issue-12.r1", "report_settings")]
    assert own != "7/issue-12#d-1/7/issue-12.r1"


async def test_an_event_that_cannot_be_decided_now_is_parked_and_one_that_never_can_is_ended(
    desk: _Desk,
) -> None:
    desk.failures = [RetryableError("no answer"), UserError("never")]
    await desk.told(ADDED)
    await desk.drain()
    parked = await desk.store.parked(LINE)
    assert parked is not None
    assert parked.until - NOW == timedelta(seconds=PARK[0])
    desk.clock.time = parked.until
    await desk.drain()
    assert await desk.store.next_event(LINE) is None
    assert await desk.actions() == []
    await desk.told(ADDED, "d-2")
    await desk.drain()
    assert len(await desk.actions()) == 2


async def test_an_action_is_performed_once_tried_again_and_given_up_without_a_track(desk: _Desk) -> None:
    await desk.told(ADDED)
    await desk.drain()
    [(first, _), (second, _)] = await desk.actions()
    await desk.perform(first, RetryableError("no answer"))
    row = await desk.store.action(first)
    assert row is not None
    assert (row.state, row.try_, row.not_before) == ("new", 2, NOW + timedelta(seconds=BACKOFF[0]))
    await desk.perform(first)
    await desk.perform(first)
    assert desk.done == [ProposeSettings(repo=REPO, place=1)]
    await desk.perform(second, UserError("there is no place for issues here"))
    row = await desk.store.action(second)
    assert row is not None
    assert (row.state, row.error) == ("failed", "there is no place for issues here")
    assert await desk.store.next_event(LINE) is None


def test_never_two_actions_of_a_repository_run_at_once() -> None:
    samples: tuple[RepoAction, ...] = (
        ProposeSettings(repo=REPO, place=1),
        CheckSettings(repo=REPO, pull=1, sha="a" * 40),
        ReportSettings(repo=REPO),
    )
    limits = queues(load_settings(None, token="t", webhook_secret="w"))
    for each in samples:
        assert queue_of(each.kind) in SERIAL
        assert queue_of(each.kind) in limits
        assert stuck_after(queue_of(each.kind)) <= 3600


async def test_what_was_done_about_a_repository_is_forgotten_in_time(desk: _Desk) -> None:
    await desk.told(ADDED)
    await desk.drain()
    [(first, _), (second, _)] = await desk.actions()
    await desk.perform(first)
    assert await desk.store.purge(NOW) == 0
    desk.clock.time = NOW + timedelta(days=1)
    assert await desk.store.purge(desk.clock.time) == 3  # its event, the one action, the body of the delivery
    assert await desk.actions() == [(second, "report_settings")]
    assert await desk.told(ADDED) == [LINE]  # the delivery is known all the same
    assert await desk.store.next_event(LINE) is None


def test_repositories_are_numbered_as_they_came() -> None:
    repos = tuple(Repo(n, "o", f"r{n}", "", True, 1) for n in (5, 6))
    assert [e.place for e in RepositoriesAdded(repos=repos).each()] == [1, 2]
