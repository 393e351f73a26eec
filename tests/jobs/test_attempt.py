"""A run that makes nothing: RebaseEngine hears why, and whether a person's commits are at stake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import pytest

from bot.agents.sessions import Sessions
from bot.core.actions import RunTask
from bot.core.backlog import BacklogTask
from bot.core.rebasing import RebaseEngine
from bot.engine.store import Store
from bot.jobs.attempt import Attempts
from bot.jobs.contract import Contract, Contracts
from bot.jobs.judge import Judge, Made
from bot.jobs.spending import OverBudgetError, Spending
from bot.jobs.verify import Verifier
from bot.ports import Coder, CommitInfo, Identity, Mirror, RunError, Sandbox, Worktrees
from tests.core.builders import GOOD, NOW, SHA, a_task, a_track

BOT, HEAD = Identity("Bot", "bot@example.invalid"), "c" * 40
CIRCLES = RunError("drift", "it went in circles", rule="CYCLE")
POOR = OverBudgetError("The budget of this track is used up.")


class _Clock:
    def now(self) -> datetime:
        return NOW


@dataclass
class _Mirror:
    """A branch with one commit on the default branch's head."""

    committer: str

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
    here: set[str] = field(default_factory=set)

    async def create(self, _mirror: object, id_: str, _base: str) -> None:
        self.here.add(id_)

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


async def made(
    error: Exception = CIRCLES,
    *,
    committer: str = BOT.email,
    contradiction: str = "",
    spending: _Spending | None = None,
    **task: Any,
) -> Made:
    worktrees = _Worktrees()
    attempts = Attempts(
        store=cast(Store, None),
        worktrees=cast(Worktrees, worktrees),
        sandbox=cast(Sandbox, None),
        verifier=cast(Verifier, None),
        sessions=cast(Sessions, None),
        coders=cast(Mapping[str, Coder], {"builtin": _Coder()}),
        author=BOT,
        clock=_Clock(),
        spending=cast(Spending, spending or _Spending(error)),
        judge=cast(Judge, None),
        contracts=cast(Contracts, _Contracts(contradiction)),
    )
    order = RunTask(task="T-1", attempt=1, run=2, mode="fix", head=HEAD)
    running = a_task(state="running", attempt=1, run=2, **task)
    found = await attempts.make(a_track(running), running, order, cast(Mirror, _Mirror(committer)))
    assert worktrees.here == set()
    return found


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
