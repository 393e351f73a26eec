"""Employing an agent: the models of its route one after the other, parked where its providers are away, all counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from bot import files
from bot.agents.driver import AgentCoder
from bot.agents.sessions import Sessions
from bot.agents.supplies import Supplies
from bot.core.budgets import micros
from bot.core.drift import ContextDriftDetector
from bot.core.track import Track
from bot.core.values import Usage
from bot.engine.ledger import Ledger
from bot.engine.store import Store
from bot.engine.work import CLEANUP_SECONDS
from bot.errors import ParkedError, SandboxError
from bot.gateway.endpoints import Endpoints
from bot.gateway.limits import CODING, Patience
from bot.gateway.model import ModelGateway
from bot.jobs.contract import Stop
from bot.jobs.employ import Assignment, Employer
from bot.jobs.spending import Spending
from bot.models.names import Named, Terms
from bot.models.prices import Price
from bot.ports import (
    DisposeProof,
    RunError,
    Sandbox,
    SandboxPolicy,
    Seat,
    TurnResult,
    WireFormat,
    WorkOrder,
    WorkReport,
)
from bot.sandbox import NoSandbox
from tests.agents.scripted_model import serving
from tests.agents.stage import Log
from tests.core.builders import NOW, a_task, a_track
from tests.engine.conftest import SettableClock
from tests.gateway.test_counting import client_of, price, request_of

PRICES = {"p:one": Price(1.0, 1.0), "p:two": Price(2.0, 2.0)}
AWAY = RunError("quota", "The agent gave up: 429", Usage(100_000, 0, requests=1), after=1800.0)
DOWN = RunError("down", "The agent gave up: 503")
DONE = WorkReport("Done.", Usage(200_000, 0, requests=2))


@dataclass
class Firm:
    """An employer, an agent that does one thing for each model it is given, and what it was given."""

    folder: Path
    store: Store
    clock: SettableClock
    outcomes: list[RunError | WorkReport | BaseException] = field(default_factory=list)
    orders: list[WorkOrder] = field(default_factory=list)
    changes: bool = False
    known: Usage | None = None  # of a run that is cut off; None: nobody knows
    silent: bool = False  # it never says what it used
    deleting: threading.Event = field(default_factory=threading.Event)  # a session's end has begun
    may_delete: threading.Event = field(default_factory=threading.Event)  # it may come to its end
    name: str = "custom"
    models: tuple[str, ...] = ("p:one", "p:two")

    async def work(self, order: WorkOrder, _sandbox: Sandbox) -> WorkReport:
        self.orders.append(order)
        if self.changes:
            (self.folder / "work" / "half.txt").write_text("half", encoding="utf-8")
        outcome = self.outcomes.pop(0)
        used = outcome.usage if isinstance(outcome, RunError | WorkReport) else self.known
        if used is not None and not self.silent:
            order.spent(used)
        if isinstance(outcome, WorkReport):
            return outcome
        raise outcome

    async def employed(
        self, *outcomes: RunError | WorkReport | BaseException
    ) -> tuple[WorkReport, Sequence[str]]:
        self.outcomes = list(outcomes)
        return await self.employer().work(self, self.assignment())

    def employer(self) -> Employer:
        spending = Spending(
            self.ledger,
            lambda _config, _role: Named(self.models, consent=True),
            price=PRICES.get,
            terms=lambda _: Terms(False, None),
        )

        def delete(folder: Path) -> None:
            self.deleting.set()
            assert self.may_delete.wait(60)
            files.remove(folder)

        sessions = Sessions(self.folder / "sessions", Log(), delete=delete)  # type: ignore[arg-type]
        return Employer(self.store, NoSandbox(allowed=True), sessions, spending, ContextDriftDetector)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store.database, self.clock)

    def assignment(self) -> Assignment:
        async def policy(home: Path) -> SandboxPolicy:
            return SandboxPolicy(work=self.folder / "work", home=home)

        (self.folder / "work").mkdir(exist_ok=True)
        track = a_track()
        task = a_task(state="running", attempt=1, run=1)
        return Assignment(track, task, 1, "Please fix.", "Fix it", self.folder / "work", ("a.py",), policy)

    async def costs(self, track: Track | None = None) -> dict[str, int]:
        lines = await self.ledger.lines(("model",), (track or a_track()).key)
        return {line.model: line.micros for line in lines}


@pytest.fixture
async def firm(tmp_path: Path) -> AsyncIterator[Firm]:
    clock = SettableClock(NOW)
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", clock)
    made = Firm(tmp_path, store, clock)
    made.may_delete.set()
    yield made
    await store.close()


async def test_the_next_model_of_the_route_is_tried_where_the_first_has_no_more(firm: Firm) -> None:
    report, notes = await firm.employed(AWAY, DONE)
    assert [order.model for order in firm.orders] == ["p:one", "p:two"]
    assert "p:one: quota, so p:two was asked instead" in notes
    assert report.said == "Done."
    assert await firm.costs() == {"p:one": micros(0.1), "p:two": micros(0.4)}
    assert report.usage.usd == pytest.approx(0.5)
    whole, rest = (order.usd for order in firm.orders)
    assert whole is not None
    assert rest == pytest.approx(whole - 0.1)
    assert firm.orders[0].session != firm.orders[1].session


async def test_the_next_model_of_the_route_has_no_more_tokens_than_the_first_left(firm: Firm) -> None:
    firm.models = ("ollama:one", "ollama:two")  # nobody knows their price
    await firm.employed(AWAY, DONE)
    assert [order.tokens for order in firm.orders] == [CODING.tokens, CODING.tokens - 100_000]


async def test_a_run_waits_where_all_its_providers_are_away_and_the_first_to_come_back_ends_that(
    firm: Firm,
) -> None:
    with pytest.raises(ParkedError, match="503") as caught:
        await firm.employed(AWAY, DOWN)
    assert caught.value.after == 300.0  # the second one did not say when
    held = await firm.ledger.holds()
    assert {model: (hold.until - NOW).total_seconds() for model, hold in held.items() if hold.until} == {
        "p:one": 1800.0,
        "p:two": 300.0,
    }
    firm.clock.forward(seconds=301)
    report, _ = await firm.employed(DONE)
    assert [order.model for order in firm.orders][2:] == ["p:two"]
    assert report.said == "Done."


async def test_where_something_was_changed_no_other_model_goes_on_with_it(firm: Firm) -> None:
    firm.changes = True
    with pytest.raises(ParkedError):
        await firm.employed(AWAY, DONE)
    assert [order.model for order in firm.orders] == ["p:one"]


async def test_an_agent_without_a_model_of_its_own_route_waits_as_well(firm: Firm) -> None:
    firm.models = ()
    with pytest.raises(ParkedError) as caught:
        await firm.employed(replace_after(AWAY, None))
    assert caught.value.after == 900.0


async def test_a_refused_key_is_the_operators_to_mend(firm: Firm) -> None:
    with pytest.raises(Stop, match="401") as caught:
        await firm.employed(RunError("auth", "The agent gave up: 401"))
    assert caught.value.reason == "auth"
    assert "`/agent retry T-1`" in caught.value.details
    assert len(firm.orders) == 1


async def test_a_run_that_is_cut_off_with_its_second_model_costs_what_it_may_have_cost(firm: Firm) -> None:
    with pytest.raises(KeyboardInterrupt):
        await firm.employed(AWAY, KeyboardInterrupt())
    assert sum((await firm.costs()).values()) > micros(0.5)


async def test_what_ends_before_an_agent_began_costs_nothing(firm: Firm) -> None:
    async def none(_: Path) -> SandboxPolicy:
        raise Stop("setup", "the repository could not be set up")

    with pytest.raises(Stop):
        await firm.employer().work(firm, replace(firm.assignment(), policy=none))
    assert firm.orders == []
    assert sum((await firm.costs()).values()) == 0


@pytest.mark.parametrize("end", [asyncio.CancelledError, SandboxError])
async def test_a_run_that_is_cut_off_costs_what_was_counted_until_then(
    firm: Firm, end: type[BaseException]
) -> None:
    firm.known = Usage(300_000, 0, requests=3)
    with pytest.raises(end):
        await firm.employed(AWAY, end("/agent stop"))
    assert await firm.costs() == {"p:one": micros(0.1), "p:two": micros(0.6)}


@pytest.mark.parametrize("end", [DONE, RunError("crash", "The agent ended by itself", DONE.usage)])
async def test_a_run_that_is_stopped_while_its_session_is_deleted_costs_what_it_used(
    firm: Firm, end: WorkReport | RunError
) -> None:
    firm.may_delete.clear()
    run = asyncio.create_task(firm.employed(end))
    async with asyncio.timeout(60):
        while not firm.deleting.is_set():
            await asyncio.sleep(0.01)
    run.cancel()
    await asyncio.sleep(0.1)
    firm.may_delete.set()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert await firm.costs() == {"p:one": micros(0.2)}


@pytest.mark.parametrize("end", [DONE, RunError("crash", "The agent ended by itself", DONE.usage)])
async def test_an_agent_that_never_says_what_it_used_is_reckoned_at_all_it_might(
    firm: Firm, end: WorkReport | RunError
) -> None:
    firm.silent = True
    with suppress(Stop):
        await firm.employed(end)
    assert sum((await firm.costs()).values()) > micros(1.0)


@dataclass
class Reading:
    """A runtime, and its session, that reads a long answer of its model."""

    name: str = "memory"
    wire: WireFormat | None = "chat"
    id: str = ""
    resumed: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    seat: Seat | None = None

    async def start(self, seat: Seat) -> Reading:
        self.seat = seat
        gateway = cast(ModelGateway, seat.access)
        # So that nothing but the end of the bot is why nobody waits for the rest of the answer.
        gateway.patience = replace(gateway.patience, end=3600.0)
        return self

    async def prompt(self, _text: str) -> TurnResult:
        assert self.seat is not None
        async with client_of(cast(ModelGateway, self.seat.access)) as client:
            path, body = request_of("chat", stream=True)
            async with client.stream("POST", path, json=body) as answer:
                async for _ in answer.aiter_bytes():
                    self.begun.set()
        return TurnResult("end_turn", "Done.")

    async def steer(self, text: str) -> TurnResult:
        return await self.prompt(text)

    async def cancel(self) -> None: ...

    async def dispose(self, *, keep: bool = False) -> DisposeProof:
        return DisposeProof()


async def test_where_the_bot_ends_in_an_answer_its_run_is_settled_in_time_by_what_was_heard(
    firm: Firm,
) -> None:
    firm.models = ("openai:m1",)
    step = {"text": "word " * 4_000, "usage": [700, 9_000], "delay": 0.05}
    runtime = Reading()
    with serving({"scenarios": [{"when": "", "plain": True, "steps": [step]}]}) as model:
        supplies = Supplies(endpoints=Endpoints({"OPENAI_API_KEY": "sk"}, model.url), price=price)
        run = asyncio.create_task(firm.employer().work(AgentCoder(runtime, supplies), firm.assignment()))
        async with asyncio.timeout(60):
            while not (runtime.begun.is_set() or run.done()):
                await asyncio.sleep(0.02)
        assert not run.done(), run.exception()
        supplies.closing.set()
        run.cancel()
        done, _ = await asyncio.wait({run}, timeout=60)  # of the 200 that the answer takes
        assert done
    assert run.cancelled()
    assert supplies.limits.hurried + Patience().closed < CLEANUP_SECONDS
    costs = await firm.costs()
    assert 0 < costs["openai:m1"] < micros(0.01)


def replace_after(error: RunError, after: float | None) -> RunError:
    return RunError(error.reason, str(error), error.usage, after=after)
