"""Planning agents that fail: the plan is made of the others' proposals, and of none people read why there is none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bot.core.actions import MakePlan
from bot.core.config import RepoConfig
from bot.errors import SandboxError, UserError
from bot.jobs.plan import PlanJob
from bot.models.names import Named, Terms
from bot.models.prices import Price
from bot.ports import PlanBrief, Planner, Proposed
from bot.wiring import Bot
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.lacking import job
from tests.stories.reading import read
from tests.stories.scripts import BYE_TASK, PLANNERS, agreed, planner
from tests.stories.story import story


@dataclass(frozen=True, slots=True)
class Broken:
    """A planner that fails in a way of its own."""

    error: Exception

    async def propose(self, brief: PlanBrief) -> Proposed:
        raise self.error


def with_planners(others: Mapping[str, Planner], twice: str = "") -> Callable[[Bot], None]:
    """Put these in the place of the script's planners, or name one of them twice."""

    def change(bot: Bot) -> None:
        plan = job(bot, MakePlan, PlanJob)

        def planners(config: RepoConfig) -> Sequence[tuple[str, Planner]]:
            named = [(name, others.get(name, each)) for name, each in plan.planners(config)]
            return [*named, *((name, each) for name, each in named if name == twice)]

        bot.jobs[MakePlan] = replace(plan, planners=planners)

    return change


def _part(text: str, title: str) -> str:
    found = [part for part in text.split("\n\n**") if part.startswith(title)]
    return found[0] if found else ""


async def test_the_one_planner_that_is_left_makes_the_plan_and_that_is_said(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    broken = {"tests": Broken(SandboxError("no sandbox")), "smallest": Broken(ValueError("secret detail"))}
    script = {"planners": agreed(BYE_TASK)}
    change = with_planners(broken)
    async with story(
        tmp_path, judge, webhook_judge, script, test="none", change=change, internal_errors=True
    ) as s:
        issue = await s.open_issue()
        backlog = await s.to_review(issue)
        text = read(await s.hears(issue, "plan"))
        assert _part(text, "Planners that gave nothing") == snapshot("""\
Planners that gave nothing**

- tests: no sandbox
- smallest: internal error (ValueError); see the bot's log

So this is the plan of one planner alone: there was no other to compare it with.\
""")
        assert "| T-1 | Say goodbye | `src/bye.py`, `tests/test_bye.py` | small | 1 of 3 |" in text
        assert backlog["title"] == "Backlog of 1 task for #1"


async def test_where_every_planner_fails_people_read_each_reason_and_how_to_go_on(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    broken = {
        "architecture": Broken(UserError("There is no planner `architecture`.")),
        "tests": Broken(SandboxError("no sandbox")),
        "smallest": Broken(ValueError("secret detail")),
    }
    script = {"planners": agreed(BYE_TASK)}
    change = with_planners(broken)
    async with story(
        tmp_path, judge, webhook_judge, script, test="none", change=change, internal_errors=True
    ) as s:
        issue = await s.open_issue()
        await s.label(issue)
        assert read(await s.hears(issue, "problem")) == snapshot("""\
No planning agent gave a usable plan:

- architecture: There is no planner `architecture`.
- tests: no sandbox
- smallest: internal error (ValueError); see the bot's log

To try again, comment `/agent plan`, or remove the label `agent:plan` and set it again.\
""")
        await s.in_state(issue, "blocked")


async def test_planners_that_only_ask_are_heard(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script = {"planners": [planner(name, questions=["Which language?", "By when?"]) for name in PLANNERS[:2]]}
    async with story(tmp_path, judge, webhook_judge, script, test="none") as s:
        issue = await s.open_issue()
        await s.label(issue)
        assert read(await s.hears(issue, "problem")) == snapshot("""\
No planning agent gave a usable plan:

- architecture proposed no task, but asks (answer in a comment on the issue first): Which language? By when?
- tests proposed no task, but asks (answer in a comment on the issue first): Which language? By when?

To try again, comment `/agent plan`, or remove the label `agent:plan` and set it again.\
""")


@dataclass(frozen=True, slots=True)
class Noting:
    """A planner that keeps what it is given."""

    inner: Planner
    seen: list[PlanBrief]

    async def propose(self, brief: PlanBrief) -> Proposed:
        self.seen.append(brief)
        return await self.inner.propose(brief)


@pytest.mark.long
async def test_planners_are_told_the_models_that_may_be_used_and_the_most_that_they_may_cost(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    seen: list[PlanBrief] = []

    def change(bot: Bot) -> None:
        plan = job(bot, MakePlan, PlanJob)
        spending = replace(
            plan.spending,
            named=lambda _config, _role: Named(("x:free", "x:paid")),
            terms=lambda model: Terms(free_tier=model == "x:free"),  # to which nobody consented
            price=lambda _: Price(1.0, 1.0),
        )
        bot.jobs[MakePlan] = replace(
            plan,
            spending=spending,
            planners=lambda config: [(name, Noting(each, seen)) for name, each in plan.planners(config)],
        )

    async with story(
        tmp_path, judge, webhook_judge, {"planners": agreed(BYE_TASK)}, test="none", change=change
    ) as s:
        await s.to_review(await s.open_issue())
    # Of a planner's most, 600,000 tokens at a dollar for a million, nothing else is held back.
    assert [(brief.models, brief.usd) for brief in seen] == [(("x:paid",), 0.6)] * 3


@pytest.mark.long
async def test_a_planner_that_is_named_twice_is_asked_once(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script = {"planners": agreed(BYE_TASK)}
    change = with_planners({}, twice="tests")
    async with story(tmp_path, judge, webhook_judge, script, test="none", change=change) as s:
        issue = await s.open_issue()
        await s.to_review(issue)
        assert "| 3 of 3 |" in await s.hears(issue, "plan")
        (track,) = await s.bot.store.all_tracks()
        sessions = await s.bot.store.sessions(track.key)
        assert [each.deleted_at is not None for each in sessions] == [True] * 3
