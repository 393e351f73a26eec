"""Lending money to runs: whatever happens to a run, what it cost or may have cost stands in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.core.budgets import Hold, Line, Quota, Refused, Wait, micros, total
from bot.core.config import Budget, Models, RepoConfig
from bot.core.routing import Role
from bot.core.track import Track
from bot.core.values import Usage
from bot.engine.ledger import Ledger
from bot.engine.store import Store
from bot.errors import RetryableError
from bot.jobs.spending import OverBudgetError, Spending, Spent
from bot.models.names import Named, Terms
from bot.models.prices import DEAREST, Price
from bot.ports import RunError
from tests.core.builders import NOW, a_task, a_track
from tests.engine.conftest import SettableClock

DOLLAR = Price(1.0, 1.0)  # a million tokens
PRICES = {"p:one": DOLLAR, "p:two": Price(2.0, 2.0), "p:free": DOLLAR, "scripted": Price(0.0, 0.0)}
NAMED: dict[Role, Named] = {
    "planning": Named(("p:one", "p:two")),
    "backlog": Named(("p:free",), consent=True),
    "documentation": Named(("p:free",)),
    "simple": Named(("p:two", "p:one")),
    "complex": Named(("p:two",)),
}


class Town:
    """A spending with prices and terms of its own, and what it told people."""

    def __init__(self, ledger: Ledger, clock: SettableClock) -> None:
        self.clock = clock
        self.told: list[tuple[str, datetime]] = []
        self.spending = Spending(
            ledger,
            lambda _config, role: NAMED[role],
            self._tell,
            price=PRICES.get,
            terms=lambda model: Terms(
                model == "p:free", Quota(model, calls_per_day=2) if model == "p:free" else None
            ),
        )

    async def _tell(self, _track: Track, waits: str, _reason: str, until: datetime) -> None:
        self.told.append((waits, until))

    async def lines(self) -> list[Line]:
        return await self.spending.ledger.lines(("role", "model"), TRACK.key)

    async def whole(self) -> Line:
        return total(await self.lines())


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    clock = SettableClock(NOW)
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", clock)
    yield Town(Ledger(store.database, clock), clock)
    await store.close()


TRACK = a_track()


def with_budget(track_usd: float, day_usd: float = 50, **changes: object) -> Track:
    config = RepoConfig(budget=Budget(track_usd=track_usd, day_usd=day_usd))
    return replace(TRACK, config=config, **changes)  # type: ignore[arg-type]  # fields of a track


async def spend(town: Town, usage: Usage | None, id_: str = "a", models: Sequence[str] = ("p:one",)) -> Spent:
    async with town.spending.run(TRACK, "planning", models, id_) as spent:
        assert (await town.whole()).reserved > 0
        spent.usage = usage
    return spent


async def test_a_run_that_ends_well_costs_what_it_used(town: Town) -> None:
    spent = await spend(town, Usage(1_000, 500, 0.25, 3))
    assert await town.lines() == [
        Line(role="planning", model="p:one", runs=1, requests=3, tokens=1_500, micros=250_000)
    ]
    assert spent.total == Usage(1_000, 500, 0.25, 3)


async def test_what_a_run_has_cost_so_far_can_be_read_while_it_runs(town: Town) -> None:
    async with town.spending.run(TRACK, "planning", ["p:one"], "a") as spent:
        await spent.before("p:one", 100)
        await spent.after("p:one", Usage(100_000, 0, requests=1))
        assert spent.total == Usage(100_000, 0, 0.1, 1)


async def test_where_nobody_said_the_money_the_list_price_counts_and_else_the_dearest(town: Town) -> None:
    assert (await spend(town, Usage(1_000_000, 0))).total.usd == 1.0
    assert not (await town.whole()).unknown
    await spend(town, Usage(1_000, 1_000), "b", ["nobody:knows"])
    assert (await town.whole()).unknown == micros(DEAREST.cost(Usage(1_000, 1_000)))


async def test_a_run_that_fails_costs_what_it_used_too(town: Town) -> None:
    with pytest.raises(RunError):
        async with town.spending.run(TRACK, "planning", ["p:one"], "a"):
            raise RunError("garbage", "nothing usable", Usage(10, 10, 0.5))
    assert (await town.whole()).micros == 500_000


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ValueError("a bug"), TimeoutError()])
async def test_a_run_of_which_nobody_knows_what_it_cost_counts_what_was_reserved(
    town: Town, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        async with town.spending.run(TRACK, "planning", ["p:one"], "a") as spent:
            raise error
    found = await town.whole()
    assert found.unknown == found.micros == micros(0.6)  # 600,000 tokens at the list price
    assert spent.total.usd == 0.6


async def test_a_run_that_is_stopped_between_its_calls_costs_what_they_cost(town: Town) -> None:
    async def stopped() -> None:
        async with town.spending.run(TRACK, "planning", ["p:one", "p:two"], "a") as spent:
            for model in spent.models:
                assert await spent.before(model, 100) is None
                await spent.after(model, Usage(100_000, 0, requests=1))
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await stopped()
    assert [(line.model, line.micros, line.unknown) for line in await town.lines()] == [
        ("p:one", 100_000, 0),
        ("p:two", 200_000, 0),
    ]


async def test_a_call_without_an_answer_counts_what_was_sent_and_is_called_a_guess(town: Town) -> None:
    async def stopped() -> None:
        async with town.spending.run(TRACK, "planning", ["p:one"], "a") as spent:
            await spent.before("p:one", 50_000)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await stopped()
    assert (await town.whole()).unknown == 50_000


async def test_a_run_is_stopped_where_it_would_cost_more_than_it_may(town: Town) -> None:
    async with town.spending.run(with_budget(0.1), "planning", ["p:one"], "a") as spent:
        assert spent.usd == 0.1
        assert await spent.before("p:one", 60_000) is None
        await spent.after("p:one", Usage(60_000, 0))
        refused = await spent.before("p:one", 60_000)
        assert isinstance(refused, Refused)
        assert "$0.10" in refused.text


async def test_a_run_of_a_model_without_a_list_price_ends_at_its_tokens_and_not_at_guessed_dollars(
    town: Town,
) -> None:
    unknown = "ollama:own"
    async with town.spending.run(TRACK, "planning", [unknown], "a") as spent:
        assert await spent.before(unknown, 500_000) is None
        await spent.after(unknown, Usage(500_000, 50_000))
        assert micros(DEAREST.cost(Usage(500_000, 50_000))) > micros(spent.usd or 0)
        assert await spent.before(unknown, 50_000) is None
        await spent.after(unknown, Usage(50_000))
        refused = await spent.before(unknown, 1)
        assert isinstance(refused, Refused)
        assert "600,000 tokens" in refused.text
        assert "/agent budget" in refused.text
    assert (await town.whole()).unknown > micros(2.0)  # the ledger reckons with the guess


async def test_a_run_of_a_model_that_costs_nothing_ends_at_ten_times_the_tokens(town: Town) -> None:
    async with town.spending.run(TRACK, "planning", ["scripted"], "a") as spent:
        assert (spent.usd, spent.tokens) == (None, 600_000)
        assert await spent.before("scripted", 6_000_000) is None
        await spent.after("scripted", Usage(5_500_000, 500_000))
        refused = await spent.before("scripted", 1)
        assert isinstance(refused, Refused)
        assert "6,000,000 tokens that this run may use of a model that costs nothing" in refused.text
    assert (await town.whole()).micros == 0


async def test_a_higher_ceiling_lets_a_run_of_a_model_that_costs_nothing_use_more(town: Town) -> None:
    raised = replace(with_budget(10, 1_000), budget_usd=30.0)
    async with town.spending.run(raised, "planning", ["scripted"], "a") as spent:
        assert spent.tokens == 1_800_000
        assert await spent.before("scripted", 18_000_000) is None
        assert isinstance(await spent.before("scripted", 18_000_001), Refused)


async def test_where_no_money_is_usual_a_higher_ceiling_lets_a_run_use_more_in_proportion_to_the_default(
    town: Town,
) -> None:
    usual = with_budget(0)
    async with town.spending.run(usual, "planning", ["scripted"], "a") as spent:
        assert (spent.usd, spent.tokens) == (None, 600_000)
    assert Budget().track_usd == 10
    async with town.spending.run(replace(usual, budget_usd=50.0), "planning", ["scripted"], "b") as spent:
        assert spent.tokens == 3_000_000


async def test_what_one_model_of_a_route_used_of_the_tokens_is_not_there_for_the_next(town: Town) -> None:
    unknown = "ollama:own"
    async with town.spending.run(TRACK, "planning", [unknown, "scripted", "p:one"], "a") as spent:
        assert spent.tokens_left == spent.tokens == 600_000
        spent.add(unknown, Usage(150_000, 50_000))
        assert spent.tokens_left == 400_000
        spent.add("scripted", Usage(1_000_000))
        spent.add("p:one", Usage(1_000_000))  # money bounds it
        assert spent.tokens_left == 300_000
        spent.add("scripted", Usage(9_000_000))
        assert (spent.tokens_left, spent.tokens) == (0, 600_000)


async def test_a_higher_ceiling_lets_a_run_cost_more(town: Town) -> None:
    dear = with_budget(10, 1_000)
    async with town.spending.run(dear, "planning", ["ollama:own"], "a") as spent:
        assert spent.usd == 2.0
        spent.usage = Usage()
    raised = replace(dear, budget_usd=30.0)
    async with town.spending.run(raised, "planning", ["ollama:own"], "b") as spent:
        assert spent.usd == 6.0
        assert await spent.before("ollama:own", 1_800_000) is None
        await spent.after("ollama:own", Usage())
    async with town.spending.run(replace(dear, budget_usd=5.0), "planning", ["ollama:own"], "c") as spent:
        assert spent.usd == 2.0
        spent.usage = Usage()


async def test_a_model_that_costs_nothing_is_asked_when_the_money_is_used(town: Town) -> None:
    async with town.spending.run(with_budget(0.1), "planning", ["p:one", "scripted"], "a") as spent:
        assert await spent.before("p:one", 1_000) is None
        await spent.after("p:one", Usage(200_000, 0))
        assert isinstance(await spent.before("p:one", 1_000), Refused)
        assert await spent.before("scripted", 1_000) is None


async def test_a_spent_budget_is_refused_and_another_ceiling_opens_it(town: Town) -> None:
    await spend(town, Usage(usd=2.0))
    poor = with_budget(2)
    with pytest.raises(OverBudgetError, match=r"ceiling is \$2.00, \$2.00 is spent.*/agent budget <usd>"):
        async with town.spending.run(poor, "planning", ["p:one"], "b"):
            raise AssertionError("it began")
    async with town.spending.run(replace(poor, budget_usd=3.0), "planning", ["p:one"], "b") as spent:
        spent.usage = Usage()
    async with town.spending.run(poor, "planning", ["scripted"], "c") as free:
        assert free.usd is None
        free.usage = Usage(10**9)


async def test_a_spent_day_is_waited_for_and_people_are_told(town: Town) -> None:
    await spend(town, Usage(usd=5.0))
    with pytest.raises(RetryableError) as caught:
        async with town.spending.run(with_budget(10, 5), "planning", ["p:one"], "plan:abc:tests"):
            raise AssertionError("it began")
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    assert caught.value.after == (midnight - NOW).total_seconds()
    assert town.told == [("plan:abc", midnight)]
    assert "the budget of the day" in str(caught.value)


async def test_what_a_lost_database_knew_still_counts(town: Town) -> None:
    with pytest.raises(OverBudgetError):
        async with town.spending.run(with_budget(10, usage=Usage(usd=10.0)), "planning", ["p:one"], "a"):
            raise AssertionError("it began")


async def test_quotas_are_counted_call_by_call(town: Town) -> None:
    async with town.spending.run(TRACK, "backlog", ["p:free"], "a") as spent:
        for _ in range(2):
            assert await spent.before("p:free", 10) is None
            await spent.after("p:free", Usage(10, 1))
        assert isinstance(await spent.before("p:free", 10), Wait)


async def test_models_are_chosen_cheapest_first_and_free_tiers_only_by_consent(town: Town) -> None:
    assert (await town.spending.choose(TRACK, "planning")).models == ("p:one", "p:two")
    assert (await town.spending.choose(TRACK, "simple")).models == ("p:one", "p:two")
    assert (await town.spending.choose(TRACK, "backlog")).models == ("p:free",)
    # The operator's consent to it for backlogs is none to have tasks' code sent there.
    task = await town.spending.choose(TRACK, "documentation")
    assert (task.role, task.models, task.refused) == ("simple", ("p:one", "p:two"), ("p:free",))


async def test_a_closed_model_is_left_out_and_where_all_are_the_run_comes_later(town: Town) -> None:
    soon, late = NOW + timedelta(minutes=5), NOW + timedelta(hours=9)
    await town.spending.ledger.hold("p:one", Hold(late, "the day is used up"))
    assert (await town.spending.choose(TRACK, "planning")).models == ("p:two",)
    await town.spending.ledger.hold("p:two", Hold(soon, "busy"))
    with pytest.raises(RetryableError) as caught:
        await town.spending.choose(TRACK, "planning")
    assert caught.value.after == 300
    assert town.told == []  # a short wait is nobody's news
    await town.spending.ledger.hold("p:two", Hold(None, "not on this tier"))
    with pytest.raises(RetryableError, match="the day is used up"):
        await town.spending.choose(TRACK, "planning", waits="plan:abc")
    task = a_task(kind="simple", attempt=2, run=3)
    with pytest.raises(RetryableError, match="the day is used up"):
        await town.spending.route_task(TRACK, task, ["src/a.py"])
    assert town.told == [("plan:abc", late), ("T-1-a2-r3", late)]
    await town.spending.ledger.hold("p:one", Hold(None, "not on this tier"))
    with pytest.raises(OverBudgetError, match="not on this tier"):
        await town.spending.choose(TRACK, "planning")


async def test_a_task_is_routed_by_its_files_its_class_and_its_last_failure(town: Town) -> None:
    task = a_task(kind="simple", scope=("src/a.py",), estimate="S")
    files = ["src/a.py", "docs/x.md"]
    choice = await town.spending.route_task(TRACK, task, files)
    assert (choice.role, choice.models) == ("simple", ("p:one", "p:two"))
    promoted = await town.spending.route_task(TRACK, task, files, promoted=True)
    assert (promoted.role, promoted.models) == ("complex", ("p:two",))
    written = await town.spending.route_task(TRACK, replace(task, kind="complex"), files)
    assert written.role == "complex"
    assert "its backlog says complex" in written.reasons


async def test_a_model_that_gave_an_agent_no_more_is_left_out_for_a_while(town: Town) -> None:
    error = RunError("quota", "no more for now", Usage(1_000, 0))
    async with town.spending.run(TRACK, "simple", ["p:two", "p:one"], "a") as spent:
        spent.begin("p:one")
        spent.add("p:one", error.usage)
        assert await spent.away("p:one", error) == 900.0
    assert (await town.spending.choose(TRACK, "simple")).models == ("p:two",)
    assert [(line.model, line.tokens) for line in await town.lines()] == [("p:one", 1_000)]
    town.clock.forward(minutes=16)
    assert (await town.spending.choose(TRACK, "simple")).models == ("p:one", "p:two")


async def test_a_model_that_learns_from_what_it_is_sent_needs_the_leave_of_the_settings(town: Town) -> None:
    allowed = a_track(config=RepoConfig(models=Models(free_tier=True)))
    assert (await town.spending.choose(allowed, "documentation")).models == ("p:free",)
    assert "p:free" not in (await town.spending.choose(TRACK, "documentation")).models
