"""What the database does not know is looked for, once, and what nobody told of is found by the sweep."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from bot import urgency
from bot.core.config import RepoConfig
from bot.core.events import (
    ChecksCompleted,
    CommentCreated,
    ForgeEvent,
    IssueClosed,
    IssueEdited,
    IssueLabeled,
    IssueUnlabeled,
    PullClosed,
    Pushed,
)
from bot.core.ids import repository_line
from bot.core.messages_status import status
from bot.core.track import TRACKS, Track
from bot.core.values import Actor, Comment, Issue, Pull, PullState, Repo
from bot.engine.firsts import is_first
from bot.engine.store import Commit, Store
from bot.errors import ForgeError, LimitedError, NotFoundError, RetryableError
from bot.handler import Reads
from bot.jobs.reconcile import KEPT, OVERLAP, POLL_OVERLAP, Reconciler
from bot.jobs.restore import Recall
from bot.ports import Capabilities, FailedDelivery, Forge, Installed, JsonDict, Look, UnheardComment
from tests.core.builders import DANA, NOW, REPO, SHA, a_task, a_track

BOT = Actor(99, "gitwright[bot]", is_bot=True)
LABELED = Issue(12, "Greet", "Say hello.", "open", DANA, ("agent:plan",))


@dataclass
class StillClock:
    time: datetime = NOW

    def now(self) -> datetime:
        return self.time


@dataclass
class AskedForge:
    """One repository as a person would see it; counts what it is asked."""

    said: list[Comment] = field(default_factory=list)
    labeled: dict[str, list[int]] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    installed: list[Repo] = field(default_factory=lambda: [REPO])
    whole: bool = True  # whether those are all
    nobody_says: bool = False  # which those are
    asked: list[str] = field(default_factory=list)
    lost: list[FailedDelivery] = field(default_factory=list)
    broken: set[int] = field(
        default_factory=set
    )  # numbers of deliveries and repositories that cannot be read
    gone: set[int] = field(default_factory=set)  # numbers of deliveries that are kept no longer
    since: list[datetime] = field(default_factory=list)
    about: Issue | None = LABELED
    unheard: list[UnheardComment] = field(default_factory=list)
    could_wait: list[bool] = field(default_factory=list)  # whether comments were
    heard: list[datetime] = field(default_factory=list)  # since when it was asked for commands
    capabilities: Capabilities = field(default_factory=Capabilities)
    limited: set[int] = field(default_factory=set)  # numbers of issues for which no calls are left

    async def repos(self) -> Installed:
        if self.nobody_says:
            raise LimitedError("Slow down", 60)
        return Installed(tuple(self.installed), whole=self.whole)

    async def repo(self, repo: Repo) -> Repo:
        self.asked.append("repo")
        return replace(repo, name="renamed")

    async def bot_ids(self, _repo: Repo) -> frozenset[int]:
        return frozenset({BOT.id})

    async def comments(self, _repo: Repo, number: int) -> list[Comment]:
        self.asked.append(f"comments of {number}")
        self.could_wait.append(urgency.waits())
        return self.said

    async def labeled_issues(self, repo: Repo, *labels: str) -> list[int]:
        if repo.id in self.broken:
            raise ForgeError("403 Forbidden")
        self.asked += labels
        return sorted({number for label in labels for number in self.labeled.get(label, [])})

    async def issue(self, _repo: Repo, number: int) -> Issue:
        self.asked.append(f"issue {number}")
        if number in self.limited:
            raise LimitedError("Kept for what people wait for", 60)
        if self.about is None:
            raise NotFoundError("404 Not Found")
        return replace(self.about, number=number)

    async def pull(self, _repo: Repo, number: int) -> Pull:
        self.asked.append(f"pull {number}")
        return self.pulls[number]

    async def pull_state(self, _repo: Repo, number: int, look: Look) -> PullState:
        self.asked.append(f"look {number} beside {look.beside}")
        return PullState(self.pulls[number], ())

    async def failed_deliveries(
        self, since: datetime, *, also_delivered: bool = False
    ) -> list[FailedDelivery]:
        self.since.append(since)
        return self.lost

    async def delivery_payload(self, id_: int) -> JsonDict:
        self.asked.append(f"delivery {id_}")
        if id_ in self.broken:
            raise RetryableError("500 Internal Server Error")
        if id_ in self.gone:
            raise NotFoundError("404 Not Found")
        return {"id": id_}

    async def unheard_commands(self, repo: Repo, since: datetime) -> list[UnheardComment]:
        if repo.id in self.broken:
            raise ForgeError("403 Forbidden")
        self.heard.append(since)
        return self.unheard


class _Reads:
    unboxed = False

    async def config(self, _repo: Repo) -> tuple[RepoConfig, tuple[str, ...]]:
        return RepoConfig(), ()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", StillClock())
    yield made
    await made.close()


def recall(store: Store, forge: AskedForge) -> Recall:
    return Recall(store, cast(Forge, forge), cast(Reads, _Reads()))


def status_comment(author: Actor = BOT, track: Track | None = None) -> Comment:
    return Comment(41, status(track or a_track(), ()), author)


def a_pull(number: int, **changes: Any) -> Pull:
    values: dict[str, Any] = {
        "number": number,
        "state": "open",
        "title": "",
        "body": "",
        "head_branch": "agent/issue-12/T-1-a1",
        "head_sha": SHA,
        "base_branch": "main",
        "base_sha": SHA,
    }
    return Pull(**(values | changes))


async def keep(store: Store, track: Track) -> None:
    await store.add_event(track.key, f"seed-{track.id}", {})
    state = TRACKS.dump_python(track, mode="json")
    await store.commit(
        Commit(
            track=track.key,
            event_id=f"seed-{track.id}",
            expected_version=0,
            state=state,
            status=track.state,
            open=not track.ended,
            keys=track.keys(),
        )
    )


async def events(store: Store, track: str = "7/issue-12") -> list[JsonDict]:
    """Take all that waits for a track."""
    found: list[JsonDict] = []
    while (row := await store.next_event(track)) is not None:
        found.append(row.event)
        await store.commit(Commit(track, row.id, await _version(store, track), None, "", False))
    return found


async def _version(store: Store, track: str) -> int:
    stored = await store.load(track)
    return stored.version if stored else 0


class _Drained:
    def __init__(self, store: Store) -> None:
        self.store, self.tracks = store, list[str]()

    async def __call__(self, args: JsonDict) -> None:
        self.tracks.append(args["track"])
        await events(self.store, args["track"])


ABOUT_TWELVE: tuple[ForgeEvent, ...] = (
    IssueClosed(repo=REPO, issue=12, actor=DANA),
    CommentCreated(repo=REPO, number=12, is_pull=False, comment=5, body="/agent help", author=DANA),
    CommentCreated(repo=REPO, number=20, is_pull=True, comment=5, body="/agent help", author=DANA),
    PullClosed(
        repo=REPO,
        number=20,
        head_branch="agent/issue-12/T-1-a1",
        head_sha=SHA,
        base_branch="main",
        merged=True,
        merge_sha=SHA,
        actor=DANA,
    ),
    ChecksCompleted(repo=REPO, sha=SHA, branch="agent/issue-12/T-1-a1"),
    Pushed(repo=REPO, branch="bots/agent/issue-12/backlog", before=None, after=SHA, actor=DANA),
)

LABEL = IssueLabeled(repo=REPO, issue=12, label="agent:plan", actor=DANA)


@pytest.mark.parametrize("event", ABOUT_TWELVE, ids=lambda event: event.kind)
async def test_whatever_an_event_is_about_leads_to_the_issue(store: Store, event: ForgeEvent) -> None:
    forge = AskedForge(said=[status_comment()], pulls={20: a_pull(20)})
    drained = _Drained(store)
    await recall(store, forge)(event, drained)
    assert drained.tracks == ["7/issue-12"]


async def test_an_issue_is_asked_once_whatever_the_answer(store: Store) -> None:
    forge = AskedForge()
    for _ in range(3):
        await recall(store, forge)(ABOUT_TWELVE[0], _Drained(store))
    assert forge.asked == ["comments of 12"]


async def test_nothing_is_taken_for_the_first_where_a_status_comment_cannot_be_read(store: Store) -> None:
    """Begun again under the same id, the track's texts may be there already."""
    forge = AskedForge(
        said=[replace(status_comment(), body="<!-- gitwright:status track=issue-12 -->\nedited")]
    )
    await recall(store, forge)(LABEL, _Drained(store), begins=True)
    assert not await is_first(store, a_track(), "status")


async def test_what_begins_a_track_looks_again_after_a_start(store: Store, tmp_path: Path) -> None:
    """The database may be a copy from before what was said since."""
    forge = AskedForge()
    for _ in range(2):
        await recall(store, forge)(LABEL, _Drained(store), begins=True)
    assert forge.asked == ["comments of 12"]
    restarted = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", StillClock(NOW + timedelta(seconds=1)))
    try:
        await recall(restarted, forge)(ABOUT_TWELVE[0], _Drained(restarted))
        assert forge.asked == ["comments of 12"]
        await recall(restarted, forge)(LABEL, _Drained(restarted), begins=True)
        assert forge.asked == ["comments of 12"] * 2
        assert await is_first(restarted, a_track(), "status")
    finally:
        await restarted.close()


UNLABELED = IssueUnlabeled(repo=REPO, issue=12, label="agent:working", actor=DANA)


@pytest.mark.parametrize(
    ("event", "asks"),
    [
        (IssueClosed(repo=REPO, issue=12, actor=DANA, labels=()), False),
        (IssueEdited(repo=REPO, issue=12, actor=DANA, labels=("bug", "agent:plan")), False),
        (IssueClosed(repo=REPO, issue=12, actor=DANA, labels=("bug", "agent:working")), True),
        (replace(UNLABELED, labels=("bug", "agent:working")), True),  # the one that was taken off counts
        (IssueClosed(repo=REPO, issue=12, actor=DANA), True),  # nobody says
        (IssueLabeled(repo=REPO, issue=12, label="bug", actor=DANA), False),
        (LABEL, True),
    ],
)
async def test_what_can_be_about_no_track_costs_no_call(store: Store, event: ForgeEvent, asks: bool) -> None:
    forge = AskedForge()
    await recall(store, forge)(event, _Drained(store), begins=isinstance(event, IssueLabeled))
    assert (forge.asked == ["comments of 12"]) == asks
    assert asks or forge.asked == []


@pytest.mark.parametrize(
    ("event", "waits"),
    [
        (LABEL, False),
        (
            CommentCreated(repo=REPO, number=12, is_pull=False, comment=5, body="/agent plan", author=DANA),
            True,
        ),
    ],
    ids=["label", "anybody's comment"],
)
async def test_only_a_label_may_use_the_calls_that_are_kept_for_people(
    store: Store, event: ForgeEvent, waits: bool
) -> None:
    forge = AskedForge()
    await recall(store, forge)(event, _Drained(store), begins=True)
    assert forge.could_wait == [waits]


async def test_a_status_comment_of_somebody_else_is_nothing(store: Store) -> None:
    forge, drained = AskedForge(said=[status_comment(DANA)]), _Drained(store)
    await recall(store, forge)(ABOUT_TWELVE[0], drained)
    assert drained.tracks == []


async def test_a_status_comment_of_another_issue_is_nothing(store: Store) -> None:
    forge, drained = AskedForge(said=[status_comment(track=a_track(id="issue-13"))]), _Drained(store)
    await recall(store, forge)(ABOUT_TWELVE[0], drained)
    assert drained.tracks == []


async def test_a_known_track_costs_no_question(store: Store) -> None:
    await keep(store, a_track())
    forge = AskedForge(said=[status_comment()])
    await recall(store, forge)(ABOUT_TWELVE[0], _Drained(store))
    assert forge.asked == []


async def test_an_empty_database_looks_for_labels_once(store: Store) -> None:
    forge = AskedForge(said=[status_comment()], labeled={"agent:working": [12], "agent:review": [12]})
    for _ in range(2):
        await recall(store, forge).sweep()
    assert [event["kind"] for event in await events(store)] == ["track_lost"]
    assert sorted(forge.asked) == [
        "agent:blocked",
        "agent:planning",
        "agent:review",
        "agent:working",
        "comments of 12",
    ]


async def test_where_nobody_says_what_is_meant_a_push_leads_to_the_labels(store: Store) -> None:
    forge = AskedForge(said=[status_comment()], labeled={"agent:working": [12]}, installed=[])
    drained = _Drained(store)
    await recall(store, forge).sweep()
    pushed = Pushed(repo=REPO, branch="main", before=None, after=SHA, actor=DANA)
    await recall(store, forge)(pushed, drained)
    assert drained.tracks == ["7/issue-12"]


async def test_a_repository_that_cannot_be_read_hides_no_other_and_is_asked_again(store: Store) -> None:
    suspended = replace(REPO, id=REPO.id + 1, name="suspended")
    forge = AskedForge([status_comment()], {"agent:working": [12]}, installed=[suspended, REPO])
    forge.broken = {suspended.id}
    await recall(store, forge).sweep()
    assert [event["kind"] for event in await events(store)] == ["track_lost"]
    forge.broken, forge.asked = set(), []
    for _ in range(2):
        await recall(store, forge).sweep()
    assert forge.asked.count("agent:working") == 1


async def test_a_list_of_repositories_that_is_not_whole_is_asked_for_again(store: Store) -> None:
    forge = AskedForge([status_comment()], {"agent:working": [12]}, installed=[], whole=False)
    await recall(store, forge).sweep()
    forge.installed, forge.whole = [REPO], True
    await recall(store, forge).sweep()
    assert [event["kind"] for event in await events(store)] == ["track_lost"]


# --- the sweep -----------------------------------------------------------------------------------------


async def swept(store: Store, track: Track, *pulls: Pull, forge: AskedForge | None = None) -> list[str]:
    await keep(store, track)
    forge = forge or AskedForge()
    forge.pulls = {pull.number: pull for pull in pulls}
    await Reconciler(store, cast(Forge, forge), StillClock()).sweep(tracks=True)
    return [event["kind"] for event in await events(store, track.key)]


async def test_a_renamed_repository_is_found_with_and_without_an_app(store: Store) -> None:
    renamed = AskedForge(installed=[replace(REPO, name="renamed", default_branch="trunk")])
    assert await swept(store, a_track(a_task()), forge=renamed) == ["track_swept"]
    assert await swept(store, a_track(a_task(), id="issue-13", issue=13), forge=AskedForge(installed=[])) == [
        "track_swept"
    ]


async def test_where_nobody_says_what_is_installed_all_else_is_swept(store: Store) -> None:
    unheard = UnheardComment("unheard-comment-5", "issue_comment", {"action": "created"})
    forge = AskedForge(lost=[FailedDelivery(1, "guid-1", "push")], unheard=[unheard], nobody_says=True)
    forge.pulls = {20: a_pull(20)}
    track = a_track(a_task(state="in_review", attempt=1, pull=20, head_sha="old"))
    await keep(store, track)
    await Reconciler(store, cast(Forge, forge), StillClock(), recall(store, forge).sweep).sweep(tracks=True)
    assert {each.id for each in await store.pending_deliveries(9)} == {"guid-1", "unheard-comment-5"}
    assert "pull_pushed" in [event["kind"] for event in await events(store)]


async def test_a_delivery_that_cannot_be_fetched_hides_nothing_and_is_asked_for_again(store: Store) -> None:
    lost = [FailedDelivery(number, f"guid-{number}", "push") for number in (1, 2)]
    forge = AskedForge(lost=lost, broken={1})
    track = a_track(a_task(state="done"), state="blocked", problem="`close_track` failed")
    assert await swept(store, track, forge=forge) == ["track_swept"]
    assert [each.id for each in await store.pending_deliveries(9)] == ["guid-2"]
    forge.broken = set()
    sweeper = Reconciler(store, cast(Forge, forge), StillClock())
    await sweeper.sweep(tracks=False)
    assert [each.id for each in await store.pending_deliveries(9)] == ["guid-2", "guid-1"]
    await sweeper.sweep(tracks=False)
    assert forge.since == [NOW - KEPT, NOW - KEPT, NOW - OVERLAP]


async def test_a_delivery_that_can_never_be_had_is_passed_over_and_asked_for_once(store: Store) -> None:
    lost = [FailedDelivery(number, f"guid-{number}", "push") for number in (1, 2)]
    forge = AskedForge(lost=lost, gone={1})
    sweeper = Reconciler(store, cast(Forge, forge), StillClock())
    for _ in range(2):
        await sweeper.poll()
    assert [each.id for each in await store.pending_deliveries(9)] == ["guid-2"]
    assert forge.since == [NOW - KEPT, NOW - POLL_OVERLAP]
    assert forge.asked == ["delivery 1", "delivery 2"]


async def test_commands_that_nobody_heard_are_taken_up_soon_after_a_start_and_every_hour(
    store: Store,
) -> None:
    forge = AskedForge(unheard=[UnheardComment("unheard-comment-5", "issue_comment", {"action": "created"})])
    sweeper = Reconciler(store, cast(Forge, forge), StillClock())
    await sweeper.sweep(tracks=True)
    assert forge.heard == []  # nobody is there to be commanded
    await keep(store, a_track(a_task()))
    await sweeper.sweep(tracks=False)
    await sweeper.sweep(tracks=False)
    assert forge.heard == [NOW - KEPT]
    await sweeper.sweep(tracks=True)
    assert forge.heard == [NOW - KEPT, NOW - OVERLAP]
    assert [each.id for each in await store.pending_deliveries(9)] == ["unheard-comment-5"]


async def test_settings_are_looked_at_every_hour_while_the_issue_about_them_may_be_open(store: Store) -> None:
    forge = AskedForge(
        installed=[REPO, replace(REPO, id=8, name="other"), replace(REPO, id=9, archived=True)]
    )
    for repo, kept in ((8, "31"), (9, "31")):
        await store.put_id(f"{repo}:settings-issue", kept)
    clock = StillClock()
    sweeper = Reconciler(store, cast(Forge, forge), clock)

    async def looked_at() -> list[int]:
        clock.time += timedelta(hours=1)
        await sweeper.sweep(tracks=False)
        assert [await events(store, repository_line(each.id)) for each in forge.installed] == [[], [], []]
        await sweeper.sweep(tracks=True)
        found = [each for repo in forge.installed for each in await events(store, repository_line(repo.id))]
        assert all(
            (each["kind"], each["settings"], each["branch"]) == ("pushed", True, "main") for each in found
        )
        return [each["repo"]["id"] for each in found]

    assert await looked_at() == [8]
    await store.put_id("8:settings-issue", "31 closed")
    await keep(store, a_track(a_task()))
    assert await looked_at() == [REPO.id]  # nobody has looked for its issue yet, in this database
    await store.put_id(f"{REPO.id}:settings-issue", "none")
    assert await looked_at() == []
    await store.put_id(f"{REPO.id}:settings-issue", "5")
    forge.nobody_says = True
    assert await looked_at() == [REPO.id]


async def test_comments_that_cannot_be_read_end_no_sweep(store: Store) -> None:
    forge = AskedForge(broken={REPO.id})
    assert await swept(store, a_track(a_task()), forge=forge) == []
    assert await store.get_id("reconcile:last") is not None


async def test_a_poll_fetches_what_was_delivered_elsewhere_once(store: Store) -> None:
    forge = AskedForge(lost=[FailedDelivery(1, "guid-1", "push")])
    sweeper = Reconciler(store, cast(Forge, forge), StillClock())
    await sweeper.poll()
    await sweeper.poll()
    assert [each.id for each in await store.pending_deliveries(9)] == ["guid-1"]
    assert forge.since == [NOW - KEPT, NOW - POLL_OVERLAP]
