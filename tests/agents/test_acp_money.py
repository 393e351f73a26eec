"""An agent spends what its run was granted and no more, and what it spent stands in the ledger."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from bot.core.budgets import total
from bot.core.values import Usage
from bot.engine.ledger import Ledger
from bot.engine.store import Store
from bot.errors import SandboxError
from bot.gateway.limits import free
from bot.jobs.spending import Spending
from bot.models.names import Named
from bot.models.prices import Price
from bot.ports import Box, Coder, DisposeProof, RunError, SandboxPolicy
from tests.agents.scripted_model import ScriptedModel
from tests.agents.stage import Stage, acp_coder, fake
from tests.agents.test_acp import MODEL, a_model
from tests.core.builders import a_track
from tests.engine.conftest import RealClock

CALL = {"text": "more", "usage": [1_000, 0]}


class Broken:
    """Opens no box."""

    name = level = "none"

    def open(self, _policy: SandboxPolicy) -> AbstractAsyncContextManager[Box]:
        raise SandboxError("no box")


def spender(model: ScriptedModel) -> Coder:
    """Give an agent whose model takes a dime a call."""
    return acp_coder(
        {"OPENAI_API_KEY": "sk-the-real-key"},
        model.url,
        price=lambda _, used, *cached: (used.input_tokens / 10_000, False),
    )


@pytest.mark.parametrize("mode", ["spend", "spend_and_end"])
async def test_an_agent_that_asks_for_more_than_its_money_is_stopped_and_what_it_spent_is_kept(
    plain: Stage, mode: str
) -> None:
    async with a_model(CALL) as model:
        with pytest.raises(RunError, match=r"it has used the \$0\.35 that this run may cost") as caught:
            await plain.work(spender(model), **fake(mode), **MODEL, usd=0.35)
        assert len(model.requests) == 4  # and what it asked after that did not reach the model
    assert caught.value.reason == "budget"
    assert caught.value.usage == Usage(4_000, 0, pytest.approx(0.4), 4)
    assert plain.leftovers == []


async def test_an_agent_whose_model_costs_nothing_is_stopped_at_its_tokens(plain: Stage) -> None:
    async with a_model(CALL) as model:
        coder = acp_coder({"OPENAI_API_KEY": "sk-the-real-key"}, model.url, price=free)
        with pytest.raises(
            RunError, match="3,000 tokens that this run may use of a model that costs"
        ) as caught:
            await plain.work(coder, **fake("spend"), **MODEL, tokens=300)
        assert len(model.requests) == 3
    assert (caught.value.reason, caught.value.usage) == ("budget", Usage(3_000, 0, 0.0, 3))


async def test_what_a_run_used_is_told_once_at_its_end_and_before_anything_else_is_waited_for(
    plain: Stage,
) -> None:
    told: list[object] = []
    async with a_model(CALL) as model:
        orders = {**MODEL, "usd": 0.35, "spent": told.append, "disposed": told.append}
        await plain.work(spender(model), **fake("model"), **orders)
        with pytest.raises(RunError):
            await plain.work(spender(model), **fake("spend"), **orders)
    used = [each for each in told if isinstance(each, Usage)]
    assert [each.usd for each in used] == [pytest.approx(0.1), pytest.approx(0.4)]
    assert isinstance(told[-1], DisposeProof)  # of the token, which may take its time
    assert told.index(used[1]) == len(told) - 2


async def test_what_an_agent_used_by_itself_is_told_at_its_end(plain: Stage) -> None:
    told: list[Usage] = []
    report = await plain.work(acp_coder(), **fake("edit"), spent=told.append)
    assert told == [report.usage]


async def test_what_a_run_used_that_is_cut_off_is_told_and_nothing_where_no_agent_began(plain: Stage) -> None:
    told: list[Usage] = []
    async with a_model(CALL) as model:
        run = asyncio.create_task(
            plain.work(spender(model), **fake("spend"), **MODEL, usd=99.0, spent=told.append)
        )
        while len(model.requests) < 3 and not run.done():
            await asyncio.sleep(0.01)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert [each.requests for each in told] == [len(model.requests)]
        plain.sandbox = Broken()
        with pytest.raises(SandboxError):
            await plain.work(spender(model), **fake("spend"), **MODEL, usd=99.0, spent=told.append)
        with pytest.raises(SandboxError):
            await plain.work(acp_coder(), **fake("edit"), spent=told.append)
    assert told[1:] == [Usage(), Usage()]


async def test_nobody_says_what_an_agent_used_by_itself_that_was_cut_off(plain: Stage) -> None:
    told: list[Usage] = []
    run = asyncio.create_task(plain.work(acp_coder(), **fake("steered"), spent=told.append))
    while not plain.steps and not run.done():
        await asyncio.sleep(0.01)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert told == []


async def test_an_agent_that_ends_with_its_last_money_has_worked(plain: Stage) -> None:
    async with a_model(CALL) as model:
        report = await plain.work(spender(model), **fake("model"), **MODEL, usd=0.1)
    assert report.usage.usd == pytest.approx(0.1)


async def test_what_an_agent_spent_until_it_was_stopped_stands_in_the_ledger(
    plain: Stage, tmp_path: Path
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", RealClock())
    ledger = Ledger(store.database, RealClock())
    spending = Spending(ledger, lambda *_: Named(()), price=lambda _: Price(100.0, 0.0))
    track = a_track(budget_usd=0.35)
    try:
        async with a_model(CALL) as model:
            with pytest.raises(RunError):
                async with spending.run(track, "simple", ["openai:m1"], "T-1-a1-r1") as spent:
                    await plain.work(spender(model), **fake("spend"), **MODEL, usd=spent.usd)
        whole = total(await ledger.lines((), track.key))
    finally:
        await store.close()
    assert (whole.micros, whole.reserved, whole.unknown, whole.requests) == (400_000, 0, 0, 4)
