"""Planning with models in the whole flow: one answers badly, one is out of reach, one never ends, and there is a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from bot.core.actions import MakePlan
from bot.core.events import OwnEvent, PlanFailed, PlanMade
from bot.core.track import Track
from bot.jobs.plan import PlanJob
from bot.models import ModelPlanner
from bot.models.run import ModelLimits
from bot.perform import Job
from bot.ports import PlanBrief, Proposed
from bot.wiring import Bot
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.healthy import rest
from tests.stories.lacking import job
from tests.stories.scripts import PLANNERS, planner, task
from tests.stories.story import Story, story

# Nobody sells the model of a test.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic_ai.exceptions.CostNotFoundWarning")

ENDLESS = 30  # turns until the planner that never ends gives a plan after all; more than it is allowed
FEW = ModelLimits(requests=5)
GOODBYE = task("a", "Say goodbye", ["src/bye.py"])


def plans(_messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, planner("me", GOODBYE))])


def rambles(_messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, {"tasks": 7})])


def refuses(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    raise ModelHTTPError(400, "some-model", None)


def looks(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    return ModelResponse(parts=[ToolCallPart("list_folder", {})])


def in_turn(*turns: Callable[[list[ModelMessage], AgentInfo], ModelResponse]) -> FunctionModel:
    """Make a model that answers turn by turn; the last turn repeats."""
    left = list(turns)

    def turn(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return (left.pop(0) if left[1:] else left[0])(messages, info)

    return FunctionModel(turn)


@dataclass(slots=True)
class Watched:
    """A planner with models of its own whose session is read before it is deleted."""

    models: Sequence[FunctionModel]
    limits: ModelLimits
    given: Callable[[PlanBrief], PlanBrief]
    histories: dict[str, str]

    async def propose(self, brief: PlanBrief) -> Proposed:
        given = self.given(brief)
        history = given.state_dir / "history.jsonl"
        try:
            return await ModelPlanner(self.models, self.limits).propose(given)
        finally:
            self.histories[brief.agent_id] = history.read_text("utf-8") if history.exists() else ""


@dataclass(frozen=True, slots=True)
class Planning:
    """How the three planners are made; a part is taken away by changing a field."""

    limits: ModelLimits = FEW
    fallback: bool = True
    given: Callable[[PlanBrief], PlanBrief] = lambda brief: brief
    around: Callable[[Job], Job] = lambda done: done

    def models(self) -> tuple[list[FunctionModel], ...]:
        second = [FunctionModel(plans)] if self.fallback else []
        return (
            [in_turn(rambles, plans)],
            [FunctionModel(refuses), *second],
            [in_turn(*[looks] * ENDLESS, plans)],
        )

    def apply(self, bot: Bot, histories: dict[str, str]) -> None:
        made = [
            (name, Watched(models, self.limits, self.given, histories))
            for name, models in zip(PLANNERS, self.models(), strict=True)
        ]
        plan = job(bot, MakePlan, PlanJob)
        bot.jobs[MakePlan] = self.around(replace(plan, planners=lambda _: made))


async def there_is_a_plan(s: Story, histories: dict[str, str]) -> None:
    """Tell the whole story; AssertionError names the first thing that is missing."""
    issue = await s.open_issue("Say goodbye too", "As greet does.")
    await s.label(issue)
    await rest(s)
    said = await s.said(issue, "plan")
    assert said, "there is no plan"
    assert "- architecture: " not in said[0], "an answer that does not fit was not sent back"
    assert "- tests: " not in said[0], "nobody else was asked where a model was out of reach"
    assert "- smallest: " in said[0], "a planner that never ends was let go on"
    assert "| T-1 | Say goodbye | `src/bye.py` | small | 2 of 3 |" in said[0]
    assert histories.keys() == set(PLANNERS)
    for name, history in histories.items():
        assert f"({name})" in history, f"the session of {name} does not know its point of view"
        assert "- src/greet.py" in history, f"{name} was not shown what the issue is likely about"
        assert sum(f"({other})" in history for other in PLANNERS) == 1, "sessions share a history"
    assert "src/" in histories["smallest"]
    assert "scratch.git" not in histories["smallest"], "a planner saw what lies beside its worktree"


async def _tell(tmp: Path, judge: Judge, webhook_judge: WebhookJudge, planning: Planning) -> None:
    histories: dict[str, str] = {}

    def change(bot: Bot) -> None:
        planning.apply(bot, histories)

    async with story(tmp, judge, webhook_judge, test="none", ci=None, change=change) as s:
        await there_is_a_plan(s, histories)


async def test_there_is_a_plan_though_planners_stumble(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    await _tell(tmp_path, judge, webhook_judge, Planning())


def _shared(brief: PlanBrief) -> PlanBrief:
    return replace(brief, state_dir=brief.worktree.parent)


def _roomy(brief: PlanBrief) -> PlanBrief:
    return replace(brief, worktree=brief.worktree.parent)


def _brittle(done: Job) -> Job:
    async def plan(track: Track, action: MakePlan) -> OwnEvent | None:
        made = await done(track, action)
        assert isinstance(made, PlanMade)
        return PlanFailed(failures=made.failures)

    return plan


# The part that is taken away, how, and what the story then finds missing.
PARTS = {
    "retry on bad output": (Planning(replace(FEW, retries=0)), "was not sent back"),
    "fallback models": (Planning(fallback=False), "nobody else was asked"),
    "usage limits": (Planning(replace(FEW, requests=99)), "was let go on"),
    "one planner may fail": (Planning(around=_brittle), "there is no plan"),
    "the files that rank highest": (
        Planning(given=lambda brief: replace(brief, ranked_files=())),
        "was not shown what the issue is likely about",
    ),
    "a brief of its own": (
        Planning(given=lambda brief: replace(brief, agent_id="tests")),
        "does not know its point of view",
    ),
    "a session of its own": (Planning(given=_shared), "sessions share a history"),
    "tools confined to a worktree": (Planning(given=_roomy), "saw what lies beside its worktree"),
}
OFTEN = {"retry on bad output"}  # in every run; `make check` goes through all of them


@pytest.mark.parametrize(
    "part", [part if part in OFTEN else pytest.param(part, marks=pytest.mark.long) for part in PARTS]
)
async def test_there_is_none_or_a_worse_one_without(
    part: str, tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    planning, missing = PARTS[part]
    with pytest.raises(AssertionError) as failure:
        await _tell(tmp_path, judge, webhook_judge, planning)
    assert missing in str(failure.value)
