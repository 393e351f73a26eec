"""Waits and limits in the whole flow: a forge that stumbles and has no checks, a base that moved, an agent that hangs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bot.core import backlog
from bot.core.actions import RunTask
from bot.core.drift_axes import Axes
from bot.engine.store import Store
from bot.forges.github import GitHubForge
from bot.forges.github.transport import Api
from bot.jobs.contract import Contracts
from bot.jobs.work import WorkJob
from bot.ports import Coder, Sandbox, WorkOrder, WorkReport
from bot.wiring import Bot
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.lacking import Change, attempting, job, nothing, unaided
from tests.stories.scripts import BYE, FILES, JsonDict, agreed, does, task, writes
from tests.stories.story import Story, story

IDLE = "Idle for ever"
SCRIPT: JsonDict = {
    "planners": agreed(
        task("a", "Say goodbye", ["src/bye.py"]),
        task("b", IDLE, ["src/idle.py"]),
        task("c", "Count anything", ["src/count.py"]),
    ),
    "tasks": [does("goodbye", writes("bye.patch")), does("Idle", {"behave": "stall"})],
}
ONCE = "limits: {attempts: 1, fix_forward: 0, regenerations: 0, task_minutes: 0.1}\n"
AT_ONCE = 2  # calls of the forge's API


class Watched(Api):
    """Counts how many calls travel at once, each a little longer than it must."""

    travelling = most = 0

    async def _once(self, *args: Any) -> Any:
        self.travelling += 1
        self.most = max(self.most, self.travelling)
        try:
            await asyncio.sleep(0.15)
            return await super()._once(*args)
        finally:
            self.travelling -= 1


@dataclass(frozen=True, slots=True)
class Unwatched:
    """An agent that has all the time in the world, but for the task that is named."""

    inner: Coder
    watched: str = ""
    name: str = "scripted"

    async def work(self, order: WorkOrder, sandbox: Sandbox) -> WorkReport:
        patient = order if order.title == self.watched else replace(order, timeout=3600.0, idle=3600.0)
        return await self.inner.work(patient, sandbox)


def _unwatched(bot: Bot, watched: str = "") -> None:
    coders = job(bot, RunTask, WorkJob).attempts.coders
    attempting(bot, coders={name: Unwatched(coder, watched) for name, coder in coders.items()})


def _api(bot: Bot) -> Api:
    assert isinstance(bot.forge, GitHubForge)
    return bot.forge._api


async def the_work_gets_through(s: Story) -> None:
    """Tell the whole story; AssertionError names the first thing that is missing."""
    issue = await s.open_issue()
    await s.fault("error_before", route=r"POST .*/comments$", count=2)
    merged = await s.to_review(issue)

    async def told() -> bool:
        return all([await s.said(issue, kind) for kind in ("status", "plan")])

    await s.until("what the forge did not take is posted again", told)
    found = await s.call("GET", f"{s.path}/contents/src/count.py")
    gone = {"message": "Count no more", "sha": found["sha"]}
    await s.call("DELETE", f"{s.path}/contents/src/count.py", json=gone)
    await s.merge(merged["number"])
    loaded = backlog.load(await s.text(f"tasks/issue-{issue}/BACKLOG.yaml")).backlog
    assert loaded is not None
    ids = {each.title: each.id for each in loaded.tasks}
    await s.task_pull(ids["Say goodbye"])
    await s.is_checked(issue, ids["Say goodbye"])
    await s.time_passes(20)
    await _becomes(s, issue, ids["Say goodbye"], "in_review", "the task waits for review without checks")
    await _becomes(s, issue, ids[IDLE], "blocked", "the agent that hangs is ended")
    await s.quiet()  # a status may say it before the comment does
    problems = "\n".join(await s.said(issue, "problem"))
    assert "did not end in time" in problems
    assert "every file of the scope is gone" in problems, "an agent was sent where everything is gone"
    api = _api(s.bot)
    assert isinstance(api, Watched)
    assert api.most <= AT_ONCE, f"{api.most} calls of the API at once"
    assert api.most == AT_ONCE, "calls never met, so their limit showed nothing"


async def _becomes(s: Story, issue: int, task_id: str, state: str, what: str) -> None:
    async def look() -> bool:
        return await s.task_state(issue, task_id) == state

    await s.until(what, look)


async def _tell(
    tmp: Path,
    judges: tuple[Judge, WebhookJudge],
    monkeypatch: pytest.MonkeyPatch,
    change: Change,
    in_vain: str = "",
) -> None:
    monkeypatch.setenv("GITWRIGHT_API_CALLS", str(AT_ONCE))

    def changed(bot: Bot) -> None:
        _api(bot).__class__ = Watched
        _unwatched(bot, IDLE)  # however long a busy machine takes for what ends by itself
        change(bot)

    files = FILES | {".github/gitwright.yml": ONCE}
    async with story(
        tmp, *judges, SCRIPT, {"bye.patch": BYE}, files, test="none", ci=None, change=changed
    ) as s:
        s.in_vain = in_vain
        await the_work_gets_through(s)


@pytest.mark.long
async def test_the_work_gets_through(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _tell(tmp_path, (judge, webhook_judge), monkeypatch, nothing)


# --- bots of which one part has lost its effect ---------------------------------------------------


class Resigned(Store):
    """Tries again what failed, but not in this life."""

    async def retry_action(self, id_: str, not_before: datetime | None, error: str) -> bool:
        return await super().retry_action(id_, datetime.max.replace(tzinfo=not_before.tzinfo), error)


class Timeless(Store):
    """Has no timer that goes off."""

    async def fire_timers(self, now: datetime) -> int:
        return 0


class Crowded(Watched):
    """Lets every call travel at once."""

    def _places(self, path: str) -> list[asyncio.Semaphore]:
        return []


class Unmoved(Contracts):
    """Sees nothing that has changed since the plan."""

    async def _axes(self, *_: object) -> Axes:
        return Axes("go", (), False)


def resigned(bot: Bot) -> None:
    unaided(bot)
    bot.store.__class__ = Resigned


def timeless(bot: Bot) -> None:
    unaided(bot)
    bot.store.__class__ = Timeless


def crowded(bot: Bot) -> None:
    _api(bot).__class__ = Crowded


def unmoved(bot: Bot) -> None:
    known = job(bot, RunTask, WorkJob).attempts.contracts
    attempting(bot, contracts=Unmoved(known.compressor, known.verifier, known.specs))


def unwatched(bot: Bot) -> None:
    _unwatched(bot)


# The part that is taken away, how, and what the story then finds missing.
LIMITS: dict[str, tuple[Change, str]] = {
    "another try of what failed": (resigned, "what the forge did not take is posted again"),
    "timers": (timeless, "the task waits for review without checks"),
    "API calls at once": (crowded, " calls of the API at once"),
    "drift before dispatch": (unmoved, "an agent was sent where everything is gone"),
    "watchdog": (unwatched, "the agent that hangs is ended"),
}


@pytest.mark.long
@pytest.mark.parametrize("part", LIMITS)
async def test_it_does_not_without(
    part: str,
    tmp_path: Path,
    judge: Judge,
    webhook_judge: WebhookJudge,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change, missing = LIMITS[part]
    with pytest.raises(AssertionError) as failure:
        await _tell(tmp_path, (judge, webhook_judge), monkeypatch, change, missing)
    assert missing in str(failure.value)
