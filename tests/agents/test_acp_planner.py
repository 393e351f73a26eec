"""Planning with an agent over ACP: a typed plan or a reason, from a box in which nothing can be changed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bot.agents.acp_planner import AcpPlanner
from bot.agents.endpoints import Endpoints
from bot.agents.presets import custom
from bot.agents.sessions import agent_home
from bot.agents.supplies import Price, Supplies
from bot.core.planning import PlanProposal
from bot.core.values import Usage
from bot.models.planner import problem
from bot.ports import JsonDict, PlanBrief, RunError
from tests.agents.scripted_model import serving
from tests.agents.stage import FAKE, QUICK, Stage

PLAN = {
    "agent_id": "somebody else",
    "summary": "Count from two.",
    "tasks": [
        {"local_id": "a", "title": "Count from two", "files": ["pkg/mod.py"], "acceptance": ["one is 2"]}
    ],
}


@asynccontextmanager
async def planning(
    stage: Stage,
    mode: str,
    models: tuple[str, ...] = ("openai:m1",),
    usd: float | None = None,
    price: Price = lambda _, used, *cached: (used.input_tokens / 300, False),
) -> AsyncIterator[tuple[AcpPlanner, PlanBrief]]:
    """Lend a planner whose agent is the small one in a mode, and a brief for it."""
    script: JsonDict = {
        "scenarios": [{"when": "", "plain": True, "steps": [{"text": "x", "usage": [30, 4]}]}]
    }
    with serving(script) as model:
        endpoints = Endpoints({"OPENAI_API_KEY": "sk"}, model.url)
        supplies = Supplies(endpoints=endpoints, price=price, limits=QUICK)
        preset = custom(("python3", "{home}/fake_acp_agent.py", mode))
        state = stage.folder / "session"
        agent_home(state).mkdir(parents=True)
        (agent_home(state) / FAKE.name).write_bytes(FAKE.read_bytes())
        yield (
            AcpPlanner(preset, supplies, stage.sandbox, stage.path, lambda brief: brief.title, problem),
            replace(brief(stage.worktree, state), models=models, usd=usd),
        )


def brief(worktree: Path, state: Path) -> PlanBrief:
    return PlanBrief("tests", "Plan it", "Body", (), "f" * 40, ("pkg/mod.py",), worktree, "p-1", state)


def plan_file(stage: Stage, plan: JsonDict) -> None:
    (stage.worktree / "PLAN.json").write_text(json.dumps(plan), encoding="utf-8")


async def test_a_plan_that_is_mended_once_is_taken(stage: Stage) -> None:
    plan_file(stage, PLAN)
    async with planning(stage, "plan") as (planner, order):
        proposed = await planner.propose(order)
    assert (proposed.proposal.agent_id, proposed.proposal.base_sha) == ("tests", "f" * 40)
    assert [task.title for task in proposed.proposal.tasks] == ["Count from two"]
    history = (order.state_dir / "history.jsonl").read_text(encoding="utf-8")
    assert "no usable plan" in history


async def test_what_makes_a_plan_unusable_is_told_in_the_end(plain: Stage) -> None:
    plan_file(plain, {**PLAN, "tasks": [{"local_id": "a", "title": "t"}]})
    async with planning(plain, "plan") as (planner, order):
        with pytest.raises(RunError, match="Name the `files`") as caught:
            await planner.propose(order)
    assert caught.value.reason == "garbage"


async def test_a_reader_can_change_nothing_even_if_it_tries(walled: Stage) -> None:
    async with planning(walled, "edit") as (planner, order):
        with pytest.raises(RunError) as caught:
            await planner.propose(order)
    assert caught.value.reason == "crash"
    assert "Read-only file system" in str(caught.value)
    assert not (walled.worktree / "done.txt").exists()


async def test_a_change_that_it_asks_for_is_refused(plain: Stage) -> None:
    async with planning(plain, "ask") as (planner, order):
        with pytest.raises(RunError):
            await planner.propose(order)
    history = (order.state_dir / "history.jsonl").read_text(encoding="utf-8")
    assert "inside False outside False" in history


async def test_the_next_model_is_tried_and_everything_is_counted(plain: Stage) -> None:
    plan_file(plain, PLAN)
    async with planning(plain, "plan", ("mystery", "openai:m1")) as (planner, order):
        assert isinstance((await planner.propose(order)).proposal, PlanProposal)
    async with planning(Stage(plain.folder / "b", plain.sandbox), "limited", ("openai:m1", "openai:m2")) as (
        planner,
        order,
    ):
        with pytest.raises(RunError) as caught:
            await planner.propose(order)
    assert (caught.value.reason, caught.value.usage) == ("quota", Usage())


async def test_a_planner_spends_what_its_run_was_granted_over_all_models_and_no_more(plain: Stage) -> None:
    async with planning(plain, "spend", ("openai:m1", "openai:m2"), usd=0.35) as (planner, order):
        with pytest.raises(RunError, match=r"it has used the \$0\.35 that this run may cost") as caught:
            await planner.propose(order)
    assert (caught.value.reason, caught.value.usage.requests) == ("budget", 4)


async def test_a_fallback_that_costs_nothing_is_asked_when_the_money_is_used(plain: Stage) -> None:
    def price(model: str, _used: Usage, _read: int, _written: int) -> tuple[float, bool]:
        return (1.0 if model == "openai:m1" else 0.0), False

    models = ("openai:m1", "openai:free")
    async with planning(plain, "pay_and_crash", models, usd=0.5, price=price) as (planner, order):
        with pytest.raises(RunError) as caught:
            await planner.propose(order)
    assert (caught.value.reason, caught.value.usage.requests, caught.value.usage.usd) == ("crash", 2, 1.0)


async def test_a_fallback_is_asked_whatever_was_guessed_about_the_model_before(plain: Stage) -> None:
    def price(model: str, _used: Usage, _read: int, _written: int) -> tuple[float, bool]:
        return (50.0, True) if model == "openai:own" else (0.1, False)

    models = ("openai:own", "openai:m1")
    async with planning(plain, "pay_and_crash", models, usd=0.5, price=price) as (planner, order):
        with pytest.raises(RunError) as caught:
            await planner.propose(order)
    assert (caught.value.reason, caught.value.usage.requests) == ("crash", 2)
    assert caught.value.usage.usd == pytest.approx(50.1)
