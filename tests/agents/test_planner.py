"""Planning with an agent over ACP: a typed plan or a reason, from a box in which nothing can be changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bot.agents.acp_runtime import AcpRuntime
from bot.agents.planner import AgentPlanner
from bot.agents.presets import custom
from bot.agents.sessions import agent_home
from bot.agents.supplies import Supplies
from bot.core.planning import PlanProposal
from bot.core.values import Usage
from bot.errors import ParkedError
from bot.gateway.endpoints import Endpoints
from bot.gateway.limits import Price, free
from bot.models.planner import problem
from bot.ports import DisposeProof, JsonDict, PlanBrief, RunError
from tests.agents.scripted_model import ScriptedModel, serving
from tests.agents.stage import FAKE, QUICK, Stage

PLAN = {
    "agent_id": "somebody else",
    "summary": "Count from two.",
    "tasks": [
        {"local_id": "a", "title": "Count from two", "files": ["pkg/mod.py"], "acceptance": ["one is 2"]}
    ],
}


@dataclass
class Book:
    """Writes down what a planner says of its models."""

    begun: list[str] = field(default_factory=list)
    used: list[tuple[str, Usage]] = field(default_factory=list)
    gone: list[tuple[str, str, float | None]] = field(default_factory=list)

    def begin(self, model: str) -> None:
        self.begun.append(model)

    def add(self, model: str, usage: Usage) -> None:
        self.used.append((model, usage))

    async def away(self, model: str, error: RunError) -> float:
        self.gone.append((model, error.reason, error.after))
        return error.after or 77.0


def a_dime(_model: str, used: Usage, *_cached: int) -> tuple[float, bool]:
    return used.input_tokens / 300, False


@asynccontextmanager
async def planning(
    stage: Stage,
    mode: str,
    models: tuple[str, ...] = ("openai:m1",),
    usd: float | None = None,
    price: Price = a_dime,
) -> AsyncIterator[tuple[AgentPlanner, PlanBrief]]:
    """Lend a planner whose agent is the small one in a mode, and a brief for it."""
    async with asked(stage, mode, models, usd, price) as (planner, order, _):
        yield planner, order


@asynccontextmanager
async def asked(
    stage: Stage,
    mode: str,
    models: tuple[str, ...] = ("openai:m1",),
    usd: float | None = None,
    price: Price = a_dime,
    refusals: Sequence[JsonDict] = (),
) -> AsyncIterator[tuple[AgentPlanner, PlanBrief, ScriptedModel]]:
    """Lend the same, and the model's server that is asked and begins with these refusals."""
    steps = [*refusals, {"text": "x", "usage": [30, 4]}]
    script: JsonDict = {"scenarios": [{"when": "", "plain": True, "steps": steps}]}
    with serving(script) as model:
        endpoints = Endpoints({"OPENAI_API_KEY": "sk"}, model.url)
        supplies = Supplies(endpoints=endpoints, price=price, limits=QUICK)
        preset = custom(("python3", "{home}/fake_acp_agent.py", mode))
        state = stage.folder / "session"
        agent_home(state).mkdir(parents=True)
        (agent_home(state) / FAKE.name).write_bytes(FAKE.read_bytes())
        yield (
            AgentPlanner(
                AcpRuntime(preset), supplies, stage.sandbox, stage.path, lambda brief: brief.title, problem
            ),
            replace(brief(stage.worktree, state), models=models, usd=usd),
            model,
        )


def brief(worktree: Path, state: Path) -> PlanBrief:
    return PlanBrief("tests", "Plan it", "Body", (), "f" * 40, ("pkg/mod.py",), worktree, "p-1", state)


def plan_file(stage: Stage, plan: JsonDict) -> None:
    (stage.worktree / "PLAN.json").write_text(json.dumps(plan), encoding="utf-8")


async def test_a_plan_that_is_mended_once_is_taken(stage: Stage) -> None:
    plan_file(stage, PLAN)
    proofs: list[DisposeProof] = []
    async with planning(stage, "plan") as (planner, order):
        proposed = await planner.propose(replace(order, disposed=proofs.append))
    ended = {each.partition(":")[0] for proof in proofs for each in proof.checked}
    assert ended == {"processes", "sandbox", "token"}
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
    assert (caught.value.reason, caught.value.usage) == (
        "crash",
        Usage(),
    )  # nobody but the agent spoke of 429


async def test_a_planner_spends_what_its_run_was_granted_over_all_models_and_no_more(plain: Stage) -> None:
    async with planning(plain, "spend", ("openai:m1", "openai:m2"), usd=0.35) as (planner, order):
        with pytest.raises(RunError, match=r"it has used the \$0\.35 that this run may cost") as caught:
            await planner.propose(order)
    assert (caught.value.reason, caught.value.usage.requests) == ("budget", 4)


async def test_a_planner_whose_model_costs_nothing_is_stopped_at_its_tokens(plain: Stage) -> None:
    async with planning(plain, "spend", price=free) as (planner, order):
        with pytest.raises(
            RunError, match="100 tokens that this run may use of a model that costs nothing"
        ) as caught:
            await planner.propose(replace(order, tokens=10))
    assert (caught.value.reason, caught.value.usage.requests) == ("budget", 3)


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


@pytest.mark.parametrize("end", ["stopped", "its time is up"])
async def test_a_planner_that_is_cut_off_tells_what_its_models_server_saw_until_then(
    plain: Stage, end: str
) -> None:
    book = Book()
    async with asked(plain, "spend", ("mystery", "openai:m1")) as (planner, order, model):
        run = asyncio.create_task(planner.propose(replace(order, bill=book)))
        while len(model.requests) < 3 and not run.done():
            await asyncio.sleep(0.01)
        if end == "stopped":
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await run
        seen = len(model.requests)
    whole = Usage(30 * seen, 4 * seen, pytest.approx(0.1 * seen), seen)
    assert book.used == [("mystery", Usage()), ("openai:m1", whole)]
    assert seen >= 3


async def test_each_model_s_usage_is_told_once_as_its_own(plain: Stage) -> None:
    book, models = Book(), ("openai:m1", "openai:m2")
    async with planning(plain, "pay_and_crash", models) as (planner, order):
        with pytest.raises(RunError):
            await planner.propose(replace(order, bill=book))
    each = Usage(30, 4, pytest.approx(0.1), 1)
    assert (book.begun, book.used) == ([*models], [(model, each) for model in models])


NO_MORE = {"status": 429, "retry_after": 1200}
GONE = {"status": 503, "times": 9}


@pytest.mark.parametrize(
    ("models", "refusals", "gone"),
    [
        (
            ("openai:m1", "openai:m2"),
            [NO_MORE, GONE],
            [("openai:m1", "quota", 1200.0), ("openai:m2", "down", None)],
        ),
        (("openai:m1", "mystery"), [GONE], [("openai:m1", "down", None)]),
    ],
)
async def test_where_every_provider_is_away_planning_waits_for_the_first_that_comes_back(
    plain: Stage,
    models: tuple[str, ...],
    refusals: Sequence[JsonDict],
    gone: Sequence[tuple[str, str, float | None]],
) -> None:
    book = Book()
    async with asked(plain, "pay_and_crash", models, refusals=refusals) as (planner, order, _):
        with pytest.raises(ParkedError, match="provider answered 503") as caught:
            await planner.propose(replace(order, bill=book))
    assert (caught.value.after, book.gone) == (77.0, [*gone])


async def test_one_that_broke_down_itself_is_not_waited_for(plain: Stage) -> None:
    book, models = Book(), ("openai:m1", "openai:m2")
    async with asked(plain, "pay_and_crash", models, refusals=[NO_MORE]) as (planner, order, _):
        with pytest.raises(RunError) as caught:
            await planner.propose(replace(order, bill=book))
    assert (caught.value.reason, book.gone) == ("crash", [("openai:m1", "quota", 1200.0)])
