"""Publishing what a later run made: once, whatever was killed in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bot.core.actions import RunTask
from bot.core.events import TaskFailed, TaskProposed
from bot.core.track import RunMode, TaskTrack, Track
from bot.core.values import Actor, CommitInfo, Pull
from bot.engine.firsts import note_look
from bot.engine.store import Store
from bot.errors import StaleRefError
from bot.jobs.attempt import Attempts
from bot.jobs.judge import MADE, Made
from bot.jobs.repository import Repositories
from bot.jobs.work import WorkJob
from bot.live_secrets import LIVE
from bot.ports import Capabilities, Forge, SignedCommit
from tests.core.builders import NOW, a_task, a_track
from tests.jobs.signing import Signs

BASE, OLD, NEW, SIGNED = "b" * 40, "c" * 40, "d" * 40, "5" * 40
BOT = Actor(99, "gitwright[bot]", is_bot=True)
MADE_IT = Made(sha=NEW, tip=BASE, base=BASE, said="Mended.", tests="`true` (passed)", drift=("a file moved",))
TASK = a_task(
    state="running",
    attempt=1,
    run=2,
    mode="fix",
    pull=20,
    head_sha=OLD,
    from_sha=OLD,
    branch="agent/issue-12/T-1-a1",
)
TRACK = a_track(TASK)


class _Clock:
    def now(self) -> datetime:
        return NOW


def _tree(sha: str) -> str:
    return f"tree of {NEW if sha == SIGNED else sha}"


@dataclass
class _Forge:
    """One pull request of the bot and its branch, as forge and as mirror."""

    pull: Pull
    writes: list[str] = field(default_factory=list)
    found: int = 0  # how often it was looked for
    holds: str = ""  # a commit below the head

    async def find_pull(self, *_: object) -> Pull:
        self.found += 1
        return self.pull

    async def bot_ids(self, _repo: object) -> frozenset[int]:
        return frozenset({BOT.id})

    async def update_pull(self, _repo: object, _number: int, *, body: str) -> None:
        self.writes.append("text")
        self.pull = replace(self.pull, body=body)

    @asynccontextmanager
    async def git_access(self, _repo: object, **_: bool) -> AsyncIterator[None]:
        yield

    async def fresh(self, _repo: object) -> _Forge:
        return self

    async def resolve(self, ref: str) -> str | None:
        return ref

    async def merge_base(self, first: str, _second: str) -> str | None:
        return first if first == self.holds else BASE

    async def commits(self, _old: str, new: str) -> list[CommitInfo]:
        return [CommitInfo(sha, (OLD,), "", "", NOW, _tree(sha)) for sha in (new, self.holds) if sha]

    async def write_tree(self, sha: str, _files: object) -> str:
        return _tree(sha)

    async def anchor(self, _name: str, _sha: str) -> None: ...

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    async def files(self, _sha: str) -> list[object]:
        return []

    async def push(self, _access: object, sha: str, _branch: str, expected: str | None) -> None:
        if self.pull.head_sha != expected:
            raise StaleRefError("somebody was faster")
        self.writes.append("push")
        self.pull = replace(self.pull, head_sha=sha)


@dataclass
class _SigningForge(Signs, _Forge):
    """The same where commits have to be signed: the forge makes one of its own of what was made here."""

    async def unpublished(self, sha: str) -> list[CommitInfo]:
        return [CommitInfo(sha, (OLD,), "", "", NOW)]

    async def message(self, _sha: str) -> str:
        return "Mend it"

    async def publish_signed(self, _repo: object, _branch: str, expected: str, _commit: SignedCommit) -> str:
        await self.push(None, SIGNED, "", expected)
        return SIGNED


def a_forge(head: str = OLD, kind: type[_Forge] = _Forge) -> _Forge:
    body = "<!-- gitwright:task track=issue-12 task=T-1 attempt=1 -->\n\nWhat the first run said.\n"
    return kind(Pull(20, "open", "", body, TASK.branch, head, "main", BASE, author=BOT))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", _Clock())
    await made.put_id(f"{TRACK.key}:T-1-a1-r2:made", MADE.dump_json(MADE_IT).decode())
    yield made
    await made.close()


async def perform(
    store: Store, forge: _Forge, *, attempt: int = 1, run: int = 2, track: Track = TRACK
) -> object:
    attempts = cast(Attempts, SimpleNamespace(sandbox=SimpleNamespace(level="medium", name="bubblewrap")))
    job = WorkJob(store, cast(Repositories, forge), cast(Forge, forge), attempts)
    return await job(track, RunTask(task="T-1", attempt=attempt, run=run, mode="fix", head=OLD))


async def publish(store: Store, forge: _Forge, track: Track = TRACK) -> TaskProposed:
    done = await perform(store, forge, track=track)
    assert isinstance(done, TaskProposed)
    return done


@pytest.mark.parametrize(("attempt", "run"), [(1, 1), (2, 2)])
async def test_an_order_of_before_is_left_alone(store: Store, attempt: int, run: int) -> None:
    forge = a_forge()
    assert await perform(store, forge, attempt=attempt, run=run) is None
    assert forge.writes == []


async def test_a_later_run_moves_the_branch_and_rewrites_the_text_once(store: Store) -> None:
    forge = a_forge()
    first = await publish(store, forge)
    assert (first.head_sha, "Mended." in forge.pull.body) == (NEW, True)
    assert "a file moved" in first.notes
    assert await publish(store, forge) == first
    assert forge.writes == ["push", "text"]


async def test_the_commit_that_the_forge_signed_is_as_verified_as_the_one_it_was_made_of(
    store: Store,
) -> None:
    done = await publish(store, a_forge(kind=_SigningForge))
    assert (done.head_sha, done.verified, done.left_out) == (SIGNED, "`true` (passed)", False)
    # People pushed on top of it after a kill: nothing is left out, and nobody tested theirs.
    theirs = a_forge(head="e" * 40, kind=_SigningForge)
    theirs.holds = SIGNED
    later = await publish(store, theirs)
    assert (later.head_sha, later.verified, later.left_out) == ("e" * 40, "", False)


async def test_a_text_that_a_kill_left_from_the_run_before_is_rewritten(store: Store) -> None:
    forge = a_forge(head=NEW)
    await publish(store, forge)
    assert forge.writes == ["text"]
    assert "Mended." in forge.pull.body


async def test_where_the_text_holds_a_live_secret_nothing_is_pushed(store: Store) -> None:
    forge = a_forge()
    with LIVE.lent("work is not trusted"):
        done = await perform(store, forge)
    assert isinstance(done, TaskFailed)
    assert (done.reason, done.text) == ("refused", "the text of its pull request holds a secret of this bot")
    assert forge.writes == []
    with LIVE.lent("work is never trusted"):
        await publish(store, forge)
    assert forge.writes


async def test_what_somebody_pushed_meanwhile_stands_and_that_is_said(store: Store) -> None:
    forge = a_forge(head="e" * 40)
    done = await publish(store, forge)
    assert (done.head_sha, forge.writes) == ("e" * 40, [])
    assert done.left_out
    assert done.verified == ""


async def test_what_people_pushed_on_top_of_it_after_a_kill_leaves_nothing_out(store: Store) -> None:
    forge = replace(a_forge(head="e" * 40), holds=NEW)
    done = await publish(store, forge)
    assert (done.head_sha, done.left_out, done.verified) == ("e" * 40, False, "")


UNSEEN = "f" * 40


@pytest.mark.parametrize("mode", ["fix", "conflict"])
async def test_a_run_that_goes_on_from_work_nobody_has_seen_moves_the_branch_too(
    store: Store, mode: RunMode
) -> None:
    """The run before was red, so its commit was never pushed: the branch is where it was."""
    track = a_track(replace(TASK, mode=mode, from_sha=UNSEEN))
    done = await publish(store, forge := a_forge(), track)
    assert (done.head_sha, forge.pull.head_sha) == (NEW, NEW)
    assert not done.left_out
    theirs = a_forge(head="e" * 40)
    stands = await publish(store, theirs, track)
    assert (stands.head_sha, theirs.writes) == ("e" * 40, [])
    assert stands.left_out


FRESH = replace(TASK, run=1, mode="fresh", pull=None, head_sha=None, from_sha="")


async def fresh_run(store: Store, forge: _Forge, task: TaskTrack = FRESH) -> object:
    """Make and publish an attempt's first run, of which nothing is left anywhere."""

    async def left(*_: object) -> None: ...

    async def make(*_: object) -> Made:
        return MADE_IT

    attempts = SimpleNamespace(
        sandbox=SimpleNamespace(level="medium", name="bubblewrap"), left=left, make=make
    )
    job = WorkJob(store, cast(Repositories, forge), cast(Forge, forge), cast(Attempts, attempts))
    order = RunTask(task="T-1", attempt=task.attempt, run=task.run, mode="fresh")
    return await job(a_track(task), order)


async def test_a_pull_request_of_before_the_data_was_lost_is_taken_over(store: Store) -> None:
    """A person had pushed there, so the branch is nobody's to be taken up, and its pull request is ours all the same."""
    await note_look(store, TRACK.repo.id, TRACK.issue, ours=True)
    done = await fresh_run(store, forge := a_forge(head="e" * 40))
    assert isinstance(done, TaskProposed)
    assert (done.pull, done.head_sha, forge.writes) == (20, "e" * 40, [])


async def test_only_the_first_try_of_an_attempts_first_pull_request_needs_no_look(store: Store) -> None:
    await note_look(store, TRACK.repo.id, TRACK.issue, ours=False)
    forge = a_forge(head="e" * 40)
    stopped = await fresh_run(store, forge)
    assert isinstance(stopped, TaskFailed)  # pushed without a look, and the branch is not as it must be
    assert forge.found == 0
    assert isinstance(await fresh_run(store, forge), TaskProposed)
    assert forge.found == 1
