"""What stories of repairs share: their stage, waits that end at once where a person is asked, and parts without effect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bot.core.actions import RunTask
from bot.core.events import TaskAssessed
from bot.core.rebasing import RebaseDecision, RebaseEngine, Situation
from bot.core.runners import TestResult
from bot.core.track import TRACKS, TaskTrack
from bot.jobs.verify import Verification, Verifier
from bot.jobs.work import WorkJob
from bot.wiring import Bot
from handlers.outcomes import repairs
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories import lacking
from tests.stories.scripts import FILES, JsonDict
from tests.stories.story import Story, story

# The workers' test is always green; what CI asks beside it, only CI knows.
CI = 'if grep -rn "TODO" src; then echo "src holds a TODO"; exit 1; fi'


class Asking(RebaseEngine):
    """Leaves everything to people."""

    def decide(self, _situation: Situation) -> RebaseDecision:
        return RebaseDecision("ask_person", "Somebody else shall decide.", ())


def always_asking(bot: Bot) -> None:
    """Take the RebaseEngine's effect away."""
    bot.handlers[:] = [
        repairs(Asking()) if handler.event is TaskAssessed else handler for handler in bot.handlers
    ]


@dataclass(frozen=True, slots=True)
class Moody(Verifier):
    """Runs the tests, and finds a commit's first run red: a test that is flaky at will."""

    seen: dict[str, int]

    async def run(self, *args: Any, **more: Any) -> Verification:
        found = await Verifier.run(self, *args, **more)
        sha = args[2]
        self.seen[sha] = self.seen.get(sha, 0) + 1
        if self.seen[sha] > 1:
            return found
        return replace(found, result=TestResult("red", ("test_moody",), 1, 2), output="test_moody failed")


def moody(bot: Bot) -> None:
    """Let the first run of each commit that an agent made be red."""
    real = lacking.job(bot, RunTask, WorkJob).attempts.judge.verifier
    lacking.judging(bot, verifier=Moody(real.dependencies, seen={}))


def never_messy(bot: Bot) -> None:
    """Take the messy score's effect away."""
    lacking.judging(bot, messy_score=lambda _: 0.0)


Change = Callable[[Bot], None]


@dataclass(frozen=True)
class Stage:
    """Sets the stage of a story; `change` takes a part away."""

    tmp: Path
    judges: tuple[Judge, WebhookJudge]
    change: Change = lacking.nothing

    def __call__(
        self,
        script: JsonDict,
        patches: Mapping[str, str],
        *,
        test: str = "true",
        ci: str | None = CI,
        files: Mapping[str, str] = FILES,
        change: Change = lacking.nothing,
    ) -> AbstractAsyncContextManager[Story]:
        def both(bot: Bot) -> None:
            change(bot)
            self.change(bot)

        return story(self.tmp, *self.judges, script, patches, files, test=test, ci=ci, change=both)


async def decisions(s: Story, task_id: str = "T-1") -> tuple[str, ...]:
    """Give what was decided about a task, oldest first."""
    (found,) = [each for each in await tasks(s) if each.id == task_id]
    return found.decisions


async def tasks(s: Story) -> tuple[TaskTrack, ...]:
    (stored,) = await s.bot.store.all_tracks()
    return TRACKS.validate_python(stored.state).tasks


async def until(s: Story, what: str, look: Callable[[], Awaitable[Any]]) -> Any:
    """Wait for what must happen; where the bot asks a person instead, that is said at once."""

    async def look_twice() -> Any:
        for each in await tasks(s):
            assert each.state != "blocked", f"{each.id} is blocked instead: {each.note}"
        return await look()

    return await s.until(what, look_twice)


async def pull_of(s: Story, issue: int, task_id: str = "T-1") -> JsonDict:
    """Give a task's open pull request, once there is one."""

    async def look() -> list[JsonDict]:
        wanted = f"agent/issue-{issue}/{task_id}-a"
        return [pull for pull in await s.pulls("open") if pull["head"]["ref"].startswith(wanted)]

    return dict((await until(s, f"a pull request for {task_id}", look))[-1])


async def begun(s: Story) -> int:
    """Go from the issue to the merged backlog."""
    issue = await s.open_issue()
    await s.merge((await s.to_review(issue))["number"])
    return issue


async def reviewable(s: Story, issue: int, task_id: str = "T-1") -> None:
    async def look() -> bool:
        return await s.task_state(issue, task_id) == "in_review"

    await until(s, f"{task_id} waits for review", look)


async def commits(s: Story, number: int) -> list[JsonDict]:
    return list(await s.call("GET", f"{s.path}/pulls/{number}/commits"))


async def moved(s: Story, pull: JsonDict, before: str = "") -> str:
    """Wait until a pull request has another head, and give it."""

    async def look() -> str:
        now = str((await s.call("GET", f"{s.path}/pulls/{pull['number']}"))["head"]["sha"])
        return now if now != (before or pull["head"]["sha"]) else ""

    return str(await until(s, f"#{pull['number']} has another head", look))


async def parents(s: Story, sha: str) -> list[str]:
    made = await s.call("GET", f"{s.path}/commits/{sha}")
    return [each["sha"] for each in made["parents"]]


async def to_the_end(s: Story, issue: int, pull: JsonDict) -> None:
    await reviewable(s, issue)
    await s.merge(pull["number"])
    await s.in_state(issue, "done")
