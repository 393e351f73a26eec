"""Runs of an agent: what it is told, and what RebaseEngine hears of a run that makes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.agents.sessions import Sessions
from bot.core.actions import NoteRun, RunTask
from bot.core.backlog import BacklogTask
from bot.core.config import RepoConfig
from bot.core.rebasing import RebaseEngine
from bot.core.values import CommitInfo, Identity, Usage
from bot.engine.store import Store
from bot.jobs.attempt import Attempts
from bot.jobs.contract import Contract, Contracts, Stop
from bot.jobs.judge import Judge, Made
from bot.jobs.manners import Manners
from bot.jobs.notes import Notes
from bot.jobs.refused_hosts import RefusedHosts
from bot.jobs.runs import NoteRunJob
from bot.jobs.spending import OverBudgetError, Spending
from bot.jobs.verify import Verifier
from bot.ports import Coder, Mirror, RunError, Sandbox, SandboxPolicy, WorkOrder, Worktrees
from bot.sandbox import NoSandbox
from tests.core.builders import GOOD, NOW, SHA, a_task, a_track

BOT, HEAD = Identity("Bot", "bot@example.invalid"), "c" * 40
CIRCLES = RunError("drift", "it went in circles", rule="CYCLE")
POOR = OverBudgetError("The budget of this track is used up.")


ORDER = RunTask(task="T-1", attempt=1, run=2, mode="fix", head=HEAD)


class _Clock:
    def now(self) -> datetime:
        return NOW


@dataclass
class _Mirror:
    """A branch with one commit on the default branch's head."""

    committer: str
    git_dir: Path = Path("mirror.git")

    async def resolve(self, _ref: str) -> str:
        return SHA

    async def merge_base(self, *_: str) -> str:
        return SHA

    async def files(self, _sha: str) -> list[object]:
        return []

    async def commits(self, _old: str, new: str) -> list[CommitInfo]:
        return [CommitInfo(new, (SHA,), self.committer, self.committer, NOW)]


@dataclass
class _Worktrees:
    folder: Path = Path("nowhere")
    here: set[str] = field(default_factory=set)

    async def create(self, _mirror: object, id_: str, _base: str) -> SimpleNamespace:
        self.here.add(id_)
        return SimpleNamespace(path=self.folder, home=self.folder, scratch_git=self.folder)

    async def cleanup(self, id_: str) -> list[str]:
        self.here.discard(id_)
        return []


@dataclass
class _Contracts:
    contradiction: str

    async def read(self, *_: object) -> Contract:
        written = cast(BacklogTask, GOOD.backlog and GOOD.backlog.tasks[0])
        return Contract("", written, "specs/T-1.md", contradiction=self.contradiction)


@dataclass
class _Spending:
    """Lets no run begin."""

    error: Exception
    promoted: list[bool] = field(default_factory=list)

    async def route_task(self, *_: object, promoted: bool) -> None:
        self.promoted.append(promoted)
        raise self.error


class _Coder:
    name = "builtin"

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def work(self, order: WorkOrder, _box: object) -> None:
        while (note := await order.notes()) is not None:
            self.heard.append(note)
        raise RunError("crash", "it fell over")


async def _manners(*_: object) -> Manners:
    return Manners(BOT)


class _Spent:
    """Lends no money, and counts nothing."""

    left, total, tokens, tokens_left = None, Usage(), 0, 0

    def begin(self, _model: str) -> None: ...

    def add(self, _model: str, _usage: Usage) -> None: ...


class _Open:
    """Opens sessions and runs with money, and gives what it was told to give."""

    def __init__(self, given: object) -> None:
        self._given = given

    @asynccontextmanager
    async def run(self, *_: object, **__: object) -> AsyncIterator[object]:
        yield self._given

    open = run

    async def proved(self, ids: list[str], _more: object) -> None:
        assert ids == ["s"]

    async def route_task(self, *_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(role="simple", models=(), reasons=())


async def made(
    error: Exception = CIRCLES,
    *,
    committer: str = BOT.email,
    contradiction: str = "",
    spending: _Spending | None = None,
    **task: Any,
) -> Made:
    worktrees = _Worktrees()
    attempts = an_attempts(worktrees, cast(Spending, spending or _Spending(error)), _Contracts(contradiction))
    running = a_task(state="running", attempt=1, run=2, **task)
    found = await attempts.make(a_track(running), running, ORDER, cast(Mirror, _Mirror(committer)))
    assert worktrees.here == set()
    return found


class _Nothing:
    """No dependencies."""

    path = ""

    async def for_work(self, *_: object, **__: object) -> None:
        return None


def an_attempts(worktrees: _Worktrees, spending: Spending, contracts: _Contracts, **parts: Any) -> Attempts:
    made = Attempts(
        store=cast(Store, None),
        worktrees=cast(Worktrees, worktrees),
        sandbox=cast(Sandbox, None),
        verifier=cast(Verifier, SimpleNamespace(dependencies=_Nothing())),
        sessions=cast(Sessions, None),
        coders=cast(Mapping[str, Coder], {"builtin": _Coder()}),
        manners=_manners,
        clock=_Clock(),
        spending=spending,
        judge=cast(Judge, None),
        contracts=cast(Contracts, contracts),
    )
    return replace(made, **parts)


def decided(found: Made) -> str:
    assert found.situation is not None
    return RebaseEngine().decide(found.situation).kind


async def test_a_run_in_circles_begins_anew_but_not_without_a_persons_commits() -> None:
    assert decided(await made()) == "regenerate"
    assert decided(await made(committer="dana@example.invalid")) == "ask_person"


async def test_a_spent_budget_is_a_decision_like_any_other() -> None:
    found = await made(POOR)
    assert found.situation is not None
    assert found.situation.budget_spent
    assert (found.text, decided(found)) == ("The budget of this track is used up", "ask_person")


async def test_no_agent_is_paid_for_a_spec_that_contradicts_itself() -> None:
    spending = _Spending(CIRCLES)
    found = await made(contradiction="`CLA-1` forbids what `REQ-1` asks for.", spending=spending)
    assert decided(found) == "ask_person"
    assert "specs/T-1.md" in found.details
    assert spending.promoted == []


@pytest.mark.parametrize(
    ("decisions", "promoted"),
    [
        ((), False),
        (("rebase", "rebase_and_fix", "wait_for_base", "rerun", "ask_person"), False),
        (("fix_forward",), True),
        (("regenerate", "rebase"), True),
    ],
)
async def test_only_what_was_wrong_is_given_to_a_better_model(
    decisions: tuple[str, ...], *, promoted: bool
) -> None:
    spending = _Spending(CIRCLES)
    await made(spending=spending, decisions=decisions)
    assert spending.promoted == [promoted]


@dataclass
class _Way:
    """A way out, and who was asked for on it in vain."""

    refused: tuple[str, ...]

    def shown(self, policy: SandboxPolicy) -> SandboxPolicy:
        return policy


async def test_what_an_agent_was_refused_stays_with_its_task_whatever_became_of_the_run(
    tmp_path: Path,
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", _Clock())
    running = a_task(state="running", attempt=1, run=2)
    track = a_track(running, config=RepoConfig(egress=("listed.example.org",)))
    kept = RefusedHosts(store, track, running)
    for refused in [
        ("b.example", "a.example"),
        ("a.example", "`x`|\n<b>"),
        tuple(f"{n:02}" for n in range(60)),
    ]:

        @asynccontextmanager
        async def outward(*_: object, seen: tuple[str, ...] = refused) -> AsyncIterator[_Way]:
            yield _Way(seen)

        attempts = an_attempts(
            _Worktrees(tmp_path),
            cast(Spending, _Open(_Spent())),
            _Contracts(""),
            store=store,
            sessions=_Open(SimpleNamespace(id="s", dir=tmp_path, home=tmp_path, ended=None)),
            sandbox=SimpleNamespace(level="strong", name="bwrap", open=NoSandbox(allowed=True).open),
            outward=outward,
        )
        with pytest.raises(Stop, match="it fell over"):
            await attempts.make(track, running, ORDER, cast(Mirror, _Mirror(BOT.email)))
    assert (await kept.all())[-3:] == ("`x`|\n<b>", "a.example", "b.example")
    assert len(await kept.all()) == 40
    assert await RefusedHosts(store, track, replace(running, id="T-2")).all() == ()
    await store.close()


async def test_a_note_that_came_before_the_agent_began_is_told_to_it(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", _Clock())
    running = a_task(state="running", attempt=1, run=2)
    track = a_track(running)
    await NoteRunJob(store)(track, NoteRun(task="T-1", note="Make it polite.", key="comment-5"))
    coder, spent = _Coder(), _Spent()
    attempts = an_attempts(
        _Worktrees(tmp_path),
        cast(Spending, _Open(spent)),
        _Contracts(""),
        store=store,
        verifier=SimpleNamespace(dependencies=_Nothing()),
        sessions=_Open(SimpleNamespace(id="s", dir=tmp_path, home=tmp_path, ended=None)),
        sandbox=NoSandbox(allowed=True),
        coders={"builtin": coder},
    )
    with pytest.raises(Stop, match="it fell over"):
        await attempts.make(track, running, ORDER, cast(Mirror, _Mirror(BOT.email)))
    assert coder.heard == ["Make it polite."]
    assert await Notes(store, track, running).unheard() == ()
    await store.close()


async def test_work_on_a_merge_is_kept_from_garbage_collection_under_its_new_parents() -> None:
    kept: dict[str, str] = {}

    async def write_tree(*_: object) -> str:
        return "t" * 40

    async def commit_tree(_tree: str, parents: object, *_: object) -> str:
        assert parents == (SHA, HEAD)
        return "d" * 40

    async def anchor(name: str, sha: str) -> None:
        kept[name] = sha

    mirror = SimpleNamespace(write_tree=write_tree, commit_tree=commit_tree, anchor=anchor)
    running = a_task(state="running", attempt=1, run=2)
    work = SimpleNamespace(
        id="1-issue-12-T-1",
        ground=SimpleNamespace(parents=(SHA, HEAD)),
        mirror=mirror,
        manners=Manners(BOT),
        track=a_track(running),
        task=running,
    )
    attempts = an_attempts(_Worktrees(), cast(Spending, None), _Contracts(""))
    assert await attempts._seated(cast(Any, work), HEAD) == "d" * 40
    assert kept == {"tasks/1-issue-12-T-1": "d" * 40}
