"""Money in the whole flow: a spent budget stops a track with a comment, and a receipt adds up."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.core.actions import MakePlan
from bot.core.budgets import Line, Micros, Refused, Wait, Want
from bot.core.config import RepoConfig
from bot.core.values import Usage
from bot.engine.ledger import Ledger, Reservation, Work
from bot.jobs.plan import PlanJob
from bot.models.prices import Price
from bot.ports import PlanBrief, Planner, Proposed, RunError
from bot.wiring import Bot
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.lacking import job
from tests.stories.story import FILES, Story, story

SETTINGS = ".github/gitwright.yml"
COST = Usage(40_000, 2_000, 0.02, 3)  # of each planner


@dataclass(frozen=True, slots=True)
class Costly:
    """A planner whose work costs money; one of them fails after it has cost it, or is `late`."""

    inner: Planner
    fails: bool = False
    late: bool = False

    async def propose(self, brief: PlanBrief) -> Proposed:
        proposed = await self.inner.propose(brief)
        if self.late:
            brief.bill.add("scripted", COST)
            raise TimeoutError
        if self.fails:
            raise RunError("garbage", "I would rather not", COST)
        return replace(proposed, usage=COST)


def costly(fails: str = "", late: str = "") -> Callable[[Bot], None]:
    """Let planning cost money, as it does with real models."""

    def change(bot: Bot) -> None:
        plan = job(bot, MakePlan, PlanJob)

        def planners(config: RepoConfig) -> Sequence[tuple[str, Planner]]:
            named = plan.planners(config)
            return [(name, Costly(planner, name == fails, name == late)) for name, planner in named]

        priced = replace(plan.spending, price=lambda _: Price(1.0, 1.0))
        bot.jobs[MakePlan] = replace(plan, planners=planners, spending=priced)

    return change


POOR = {**FILES, SETTINGS: "budget: {track_usd: 0.005}\n"}


async def the_budget_holds(s: Story) -> None:
    """Tell the story; AssertionError names what did not hold."""
    issue = await s.open_issue()
    await s.label(issue)

    async def settled() -> bool:
        return await s.state(issue) in {"blocked", "review"}

    await s.until("the track is blocked, or a backlog waits", settled)
    assert await s.state(issue) == "blocked", "a track without money went on"
    said = await s.hears(issue, "problem")
    assert said.count("The budget of this track is used up") == 1  # three planners, one sentence
    assert "its ceiling is $0.0050, $0.00 is spent" in said.replace("\\", "")
    assert "/agent budget" in said
    assert await s.pulls() == []
    assert await s.said(issue, "plan") == []


async def test_a_track_whose_budget_is_spent_stops_with_a_comment(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, files=POOR, change=costly()) as s:
        await the_budget_holds(s)


class Bottomless(Ledger):
    """A ledger that knows no ceiling."""

    async def reserve(
        self, work: Work, want: Want, *, track_ceiling: Micros, day_ceiling: Micros
    ) -> Reservation | Wait | Refused:
        return await super().reserve(work, want, track_ceiling=10**12, day_ceiling=10**12)


@pytest.mark.long
async def test_without_the_ceiling_the_story_fails(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    def change(bot: Bot) -> None:
        costly()(bot)
        plan = job(bot, MakePlan, PlanJob)
        kept = plan.spending.ledger
        spending = replace(plan.spending, ledger=Bottomless(kept.database, kept.clock))
        bot.jobs[MakePlan] = replace(plan, spending=spending)

    async with story(tmp_path, judge, webhook_judge, files=POOR, change=change) as s:
        with pytest.raises(AssertionError, match="a track without money went on"):
            await the_budget_holds(s)


@pytest.mark.long
async def test_planners_that_are_out_of_money_leave_the_others_what_there_is(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    files = {**FILES, SETTINGS: "budget: {track_usd: 0.02}\n"}
    async with story(tmp_path, judge, webhook_judge, files=files, change=costly()) as s:
        issue = await s.open_issue()
        # A cent is the least that a run begins with: of two cents two planners get one each.
        await s.to_review(issue)
        lines = await ledger_lines(s)
        assert [(line.role, line.runs, line.micros) for line in lines] == [("planning", 2, 40_000)]


async def test_a_planner_whose_time_is_up_costs_what_was_counted_and_not_all_that_it_might_have(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", change=costly(late="tests")) as s:
        issue = await s.open_issue()
        await s.to_review(issue)
        assert "tests: gave no answer in 20 minutes" in await s.hears(issue, "plan")
        planning = [line for line in await ledger_lines(s) if line.role == "planning"]
        assert [(each.runs, each.micros, each.unknown) for each in planning] == [(3, 60_000, 0)]


@pytest.mark.long
async def test_the_receipt_adds_up_and_counts_what_failed_too(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, change=costly("tests")) as s:
        issue = await s.open_issue()
        await s.to_the_end(issue)
        receipt = await s.hears(issue, "receipt")
        rows = re.findall(
            r"^\| ([^|]+) \| [^|]* \| (\d+) \| (\d+) \| ([\d,]+) \| \$([\d.]+) \|$", receipt, re.M
        )
        *lines, whole = [(work, int(runs), int(calls), int(tokens.replace(",", "")), float(usd)) for work, runs, calls, tokens, usd in rows]  # fmt: skip
        assert whole[0] == "**total**"
        for place in range(1, 5):
            assert round(sum(line[place] for line in lines), 4) == whole[place], receipt
        assert ("planning", 3, 9, 126_000, 0.06) in lines
        stored = sum(line.micros for line in await ledger_lines(s))
        assert stored == round(whole[4] * 1_000_000)


async def ledger_lines(s: Story) -> Sequence[Line]:
    plan = job(s.bot, MakePlan, PlanJob)
    return await plan.spending.ledger.lines(("role", "model"))
