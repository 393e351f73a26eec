"""An agent spends what its run was granted and no more, and what it spent stands in the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.core.budgets import total
from bot.core.values import Usage
from bot.engine.ledger import Ledger
from bot.engine.store import Store
from bot.jobs.spending import Spending
from bot.models.names import Named
from bot.models.prices import Price
from bot.ports import Coder, RunError
from tests.agents.scripted_model import ScriptedModel
from tests.agents.stage import Stage, acp_coder, fake
from tests.agents.test_acp import MODEL, a_model
from tests.core.builders import a_track
from tests.engine.conftest import RealClock

CALL = {"text": "more", "usage": [1_000, 0]}


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
