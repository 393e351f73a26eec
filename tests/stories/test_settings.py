"""A repository's settings reach whatever they are about: what no other story depends on is told here at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.core import config
from bot.core.actions import MakePlan
from bot.core.config import RepoConfig
from bot.jobs.plan import PlanJob
from bot.ports import PlanBrief, Planner, Proposed
from bot.wiring import Bot
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.lenient import job
from tests.stories.reading import read
from tests.stories.story import FILES, TEST, Story, story

OWN_WAY = f"""\
test: {TEST} --strict-markers
known_failing: [tests/test_old.py::test_old]
tasks_dir: plans/agents
branch_prefix: bots/x
labels: {{trigger: go, planning: is-planned, review: is-reviewed, working: is-worked-on, blocked: is-stuck, done: is-done}}
close_issue: false
"""


async def state(s: Story, issue: int) -> dict[str, object]:
    [stored] = await s.bot.store.all_tracks()
    return dict(stored.state)


@pytest.mark.long
async def test_a_repository_that_names_everything_its_own_way_is_served_so(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    old = "def test_old():\n    assert False\n"
    files = {**FILES, config.PATH: OWN_WAY, "tests/test_old.py": old}
    async with story(tmp_path, judge, webhook_judge, files=files, test=None, ci="true") as s:
        issue = await s.open_issue()
        await s.label(issue)
        await s.quiet()
        assert await s.bot.store.all_tracks() == []
        await s.label(issue, "go")
        pull = await s.backlog_pull()
        assert pull["head"]["ref"] == f"bots/x/issue-{issue}/backlog"
        assert "Say goodbye" in await s.text(f"plans/agents/issue-{issue}/BACKLOG.yaml", pull["head"]["ref"])
        await s.in_state(issue, "review")
        await s.quiet()
        assert await s.labels(issue) == {"agent:plan", "go", "is-reviewed"}
        assert (await state(s, issue))["tests"] == [f"{TEST} --strict-markers"]
        await s.merge(pull["number"])
        task = await s.task_pull()
        assert task["head"]["ref"] == f"bots/x/issue-{issue}/T-1-a1"
        await s.in_state(issue, "working")
        assert "is-worked-on" in await s.labels(issue)
        await s.merge_all(issue)
        await s.quiet()
        assert await s.labels(issue) == {"agent:plan", "go", "is-done"}
        assert (await s.call("GET", f"{s.path}/issues/{issue}"))["state"] == "open"


@dataclass
class _Slow:
    """Planners that think for a while, one of them for too long; counts how many do at once."""

    most: int = 0
    now: int = 0

    def change(self, bot: Bot) -> None:
        plan = job(bot, MakePlan, PlanJob)

        def planners(settings: RepoConfig) -> Sequence[tuple[str, Planner]]:
            return [(name, _Thinking(self, name, each)) for name, each in plan.planners(settings)]

        bot.jobs[MakePlan] = replace(plan, planners=planners)


@dataclass(frozen=True, slots=True)
class _Thinking:
    slow: _Slow
    name: str
    planner: Planner

    async def propose(self, brief: PlanBrief) -> Proposed:
        self.slow.now += 1
        self.slow.most = max(self.slow.most, self.slow.now)
        try:
            if self.name == "smallest":
                await asyncio.sleep(3600)
            # What ends in time begins and ends at once: a busy machine has no time to be late.
            for _ in range(9):
                await asyncio.sleep(0)
        finally:
            self.slow.now -= 1
        return await self.planner.propose(brief)


async def test_planners_and_pull_requests_follow_the_settings(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    files = {**FILES, config.PATH: "draft: true\nlimits: {planners: 1, plan_minutes: 0.02}\n"}
    slow = _Slow()
    async with story(
        tmp_path, judge, webhook_judge, files=files, test="none", ci="true", change=slow.change
    ) as s:
        issue = await s.open_issue()
        pull = await s.to_task_pull(issue)
        assert pull["draft"]
        assert slow.most == 1
        assert "smallest: gave no answer in 0.02 minutes" in read(await s.hears(issue, "plan"))
