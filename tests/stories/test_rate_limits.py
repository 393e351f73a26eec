"""GitHub's limits as people see them: what waits says so, what they ask for goes on, and nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from contextlib import closing
from pathlib import Path

from inline_snapshot import snapshot

from bot.wiring import build
from tests.judges.openapi import Judge
from tests.judges.served import judged_forge
from tests.judges.webhooks import WebhookJudge
from tests.stories import stage
from tests.stories.chance import MovableClock
from tests.stories.scripts import BYE, FILES, ONE_TASK, JsonDict
from tests.stories.story import Story, story

HOUR = 3700.0  # seconds; a little more than the limits' window


def timeless(text: str) -> str:
    """Leave out the hour, which differs from run to run, and the day, which is named where it is the next one."""
    return re.sub(r"\b(?:\d{4}-\d\d-\d\d )?\d\d:\d\d UTC", "12:34 UTC", text)


def about_limit(text: str) -> list[str]:
    return [line for line in timeless(text).splitlines() if "rate limit" in line]


async def later(s: Story, clock: MovableClock, seconds: float) -> None:
    clock.forward(seconds)
    await s.time_passes(0)
    s.bot.runner.wake()


async def test_what_nobody_waits_for_waits_when_little_is_left_and_people_are_told(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    clock = MovableClock()
    async with story(tmp_path, judge, webhook_judge, test="none", clock=clock) as s:
        issue = await s.open_issue()
        await s.to_review(issue)
        await s.in_state(issue, "review")
        await s.quiet()
        await s.call("PUT", "/_test/limits", json={"remaining": 400})
        # Commands are urgent, and the answers of their calls tell the bot how little is left.
        assert about_limit(await s.asks(issue, "/agent status")) == []
        await s.call("PATCH", f"{s.path}/issues/{issue}", json={"body": "Changed my mind."})
        await s.until("an edit of the comment waits", lambda: _waits(s, "sync_status"))
        assert about_limit(await s.asks(issue, "/agent status")) == snapshot(
            ["**Waits for GitHub's rate limit** until 12:34 UTC. Nothing is lost, and it goes on by itself."]
        )
        assert about_limit(await s.asks(issue, "/agent why")) == snapshot(
            ["`sync_status` waits for GitHub's rate limit until 12:34 UTC."]
        )

        async def said() -> list[str]:
            return about_limit(await s.status(issue))

        shown = await s.until("the comment itself says what is waited for", said)
        assert shown == snapshot(
            ["**Waits for GitHub's rate limit** until 12:34 UTC. Nothing is lost, and it goes on by itself."]
        )
        left = {quota.resource: quota.remaining for quota in s.bot.forge.quotas() if quota.installation}
        assert 300 < left["core"] < 400, "what nobody waits for used none of it"

        await s.call("PUT", "/_test/limits", json={"remaining": 5000})
        await later(s, clock, HOUR)

        async def unsaid() -> bool:
            return not about_limit(await s.status(issue))

        await s.until("the comment says so no more", unsaid)
        assert "stale: issue edited" in await s.status(issue)


async def _waits(s: Story, kind: str) -> bool:
    waiting = await s.bot.store.unsubmitted(s.bot.clock.now().replace(year=9999), 100)
    return any(row.kind == kind and "rate limit" in (row.error or "") for row in waiting)


async def test_what_the_limit_put_off_survives_a_kill_and_is_done_once(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    clock = MovableClock()
    written = stage.write_script(tmp_path / "script", ONE_TASK, {"bye.patch": BYE})
    with judged_forge(tmp_path / "forge", judge, webhook_judge) as forge, stage.kept_port() as port:
        with closing(stage.listener(port)) as listening:
            app = await asyncio.to_thread(stage.prepare, forge, port, FILES, None, tmp_path)
            settings = stage.settings(forge, app, tmp_path, written, "none")
            bot = await build(settings, clock)
            async with stage.forge_client(forge, forge.token) as api, stage.served(bot, listening):
                s = Story(forge, bot, api, api)
                await s.fault("primary_limit", route="POST .*/pulls$", seconds=3600)
                issue = await s.open_issue()
                await s.label(issue)
                await s.until("the pull request waits", lambda: _waits(s, "propose_backlog"))
                # As a kill leaves it: with all that is on the disk at this moment.
                await asyncio.to_thread(shutil.copytree, settings.data_dir, tmp_path / "killed")
        calls = len(_asked(forge.data))
        again = settings.model_copy(update={"data_dir": tmp_path / "killed"})
        with closing(stage.listener(port)) as listening:
            bot = await build(again, clock)
            async with stage.forge_client(forge, forge.token) as api, stage.served(bot, listening):
                s = Story(forge, bot, api, api)
                assert await _waits(s, "propose_backlog")
                await asyncio.sleep(1.0)
                assert not [
                    each
                    for each in _asked(forge.data)[calls:]
                    if each["method"] == "POST" and "/pulls" in each["path"]
                ]
                await later(s, clock, HOUR)
                await s.in_state(issue, "review")
                assert len(await s.pulls()) == 1
                await s.quiet()
                assert about_limit(await s.status(issue)) == []


def _asked(data: Path) -> list[JsonDict]:
    lines = (data / "requests.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
