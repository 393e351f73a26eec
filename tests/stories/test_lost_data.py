"""The data directory is gone: what was under way ends where it would have, and what is finished is left alone."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from bot.core.track import TRACKS
from bot.demo.duplicates import find_duplicates
from bot.demo.evidence import open_evidence
from bot.wiring import build
from tests.judges.openapi import Judge
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge
from tests.stories import stage
from tests.stories.endings import check_endings
from tests.stories.reading import state_of
from tests.stories.scripts import (
    BYE,
    BYE_TASK,
    FILES,
    ONE_TASK,
    TEST,
    JsonDict,
    agreed,
    does,
    new_file,
    task,
    writes,
)
from tests.stories.story import Story

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
SHOUT = task("b", "Greet loudly with a shout", ["src/shout.py"], depends_on=["a"])
TWO_TASKS: JsonDict = {
    "planners": agreed(BYE_TASK, SHOUT),
    "tasks": [does("goodbye", writes("bye.patch")), does("shout", writes("shout.patch"))],
}
PATCHES = {
    "bye.patch": BYE,
    "shout.patch": new_file("src/shout.py", "def shout(name):\n    return name.upper()\n"),
}


@dataclass
class Lives:
    """A forge that stays, and bots that come and go; each finds what the one before it left, or nothing."""

    forge: JudgedForge
    app: JsonDict
    tmp: Path
    port: int
    script: Path
    test: str | None

    @asynccontextmanager
    async def life(self, *, quiet: bool = True) -> AsyncIterator[Story]:
        """Let a bot live; without `quiet` it ends in the middle of whatever it does."""
        with closing(stage.listener(self.port)) as listening:
            bot = await build(stage.settings(self.forge, self.app, self.tmp, self.script, self.test))
            async with (
                stage.served(bot, listening),
                stage.forge_client(self.forge, self.forge.token) as api,
                stage.forge_client(self.forge, self.app["alice"]) as alice,
            ):
                told = Story(self.forge, bot, api, alice)
                yield told
                if quiet:
                    await told.quiet()
                    await check_endings(told, internal_errors=False)

    def write(self, script: Mapping[str, Any]) -> None:
        """Give the next bot another script."""
        self.script.write_text(yaml.safe_dump(dict(script)))

    def lose_everything(self) -> None:
        shutil.rmtree(self.tmp / "bot")

    def writes(self) -> list[str]:
        """Name each call of the bot that changes something, tokens aside."""
        found = []
        for line in (self.forge.data / "requests.jsonl").read_text().splitlines():
            call = json.loads(line)
            path, method = str(call["path"]), str(call["method"])
            if path.endswith("/git-receive-pack") or (
                method in WRITES
                and str(call["actor"]).endswith("[bot]")
                and not path.endswith(("/access_tokens", "/installation/token", "/git-upload-pack"))
                and call.get("mutation") is not False  # a query of GraphQL reads
            ):
                found.append(f"{method} {path}")
        return found

    async def deliver_all_again(self) -> int:
        """Send every webhook of the forge to the bot again, oldest first, with the id it had; gives how many."""
        with closing(sqlite3.connect(self.forge.data / "forge.sqlite", timeout=20)) as connection:
            rows = connection.execute(
                "SELECT guid, event, body FROM webhook_deliveries WHERE redelivery = 0 ORDER BY id"
            ).fetchall()
        key = str(self.app["webhook_secret"]).encode()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30) as client:
            for guid, event, body in rows:
                signature = hmac.new(key, str(body).encode(), hashlib.sha256).hexdigest()
                headers = {
                    "X-GitHub-Delivery": guid,
                    "X-GitHub-Event": event,
                    "X-Hub-Signature-256": f"sha256={signature}",
                    "Content-Type": "application/json",
                }
                answer = await client.post("/webhook", content=str(body).encode(), headers=headers)
                assert answer.status_code == 202, answer.text
        return len(rows)


@asynccontextmanager
async def lives(
    tmp: Path,
    judge: Judge,
    webhook_judge: WebhookJudge,
    script: Mapping[str, Any] = ONE_TASK,
    patches: Mapping[str, str] | None = None,
    *,
    test: str | None = TEST,
    ci: str | None = TEST,
) -> AsyncIterator[Lives]:
    written = stage.write_script(tmp / "script", script, patches or {"bye.patch": BYE})
    with judged_forge(tmp / "forge", judge, webhook_judge) as forge, stage.kept_port() as port:
        app = stage.prepare(forge, port, FILES, ci, tmp)
        yield Lives(forge, app, tmp, port, written, test)


@pytest.mark.long
async def test_a_full_redelivery_of_a_finished_track_to_an_empty_bot_writes_nothing(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with lives(tmp_path, judge, webhook_judge) as world:
        async with world.life() as s:
            issue = await s.open_issue()
            await s.comment(issue, "/agent help")
            await s.to_the_end(issue)
        world.lose_everything()
        async with world.life() as s:
            await s.quiet()
            before = world.writes()
            assert await world.deliver_all_again() > 20
            await s.quiet()
            assert world.writes()[len(before) :] == []
            assert [t.status for t in await s.bot.store.all_tracks()] == ["done"]


def stalls(script: JsonDict, task_number: int = 0, run: int = 0) -> JsonDict:
    """Let a run never come to its end, so that the data is lost in the middle of it."""
    copy: JsonDict = json.loads(json.dumps(script))
    copy["tasks"][task_number]["runs"][run]["behave"] = "stall"
    return copy


async def end_without_doubles(world: Lives, s: Story, issue: int) -> None:
    """Go to the end as a maintainer would, and see that nothing was done twice and nothing left."""
    pulls = [p for p in await s.pulls("open") if p["head"]["ref"].endswith("/backlog")]
    if pulls:
        await s.in_state(issue, "review")
        await s.merge_once(pulls[0]["number"])
    await s.merge_all(issue)
    await s.quiet()
    assert len(await s.said(issue, "status")) == 1
    assert len(await s.said(issue, "plan")) == 1
    assert len(await s.said(issue, "receipt")) == 1
    assert await s.labels(issue) == {"agent:plan", "agent:done"}
    with open_evidence(world.tmp) as evidence:
        assert find_duplicates(evidence) == []
    heads = [p["head"]["ref"] for p in await s.pulls()]
    assert len(heads) == len(set(heads))


@pytest.mark.long
async def test_data_lost_while_planning_is_planned_anew(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with lives(tmp_path, judge, webhook_judge) as world:
        # One planner that never ends: however late somebody looks, the track is planned.
        world.write({**ONE_TASK, "planners": [{"fail": "stall"}, *ONE_TASK["planners"][1:]]})
        async with world.life(quiet=False) as s:
            issue = await s.open_issue()
            await s.label(issue)
            await s.in_state(issue, "planning")
        assert not [call for call in world.writes() if call.endswith("/pulls")], "planning had ended"
        world.lose_everything()
        world.write(ONE_TASK)
        async with world.life() as s:
            await s.backlog_pull()
            await end_without_doubles(world, s, issue)


@pytest.mark.long
async def test_data_lost_while_the_backlog_is_reviewed_waits_for_the_same_pull_request(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with lives(tmp_path, judge, webhook_judge) as world:
        async with world.life() as s:
            issue = await s.open_issue()
            backlog = await s.to_review(issue)
            await s.in_state(issue, "review")
            frozen = TRACKS.validate_python((await s.bot.store.all_tracks())[0].state).frozen
        world.lose_everything()
        async with world.life() as s:
            await s.until("the track is known again", s.bot.store.all_tracks)
            track = TRACKS.validate_python((await s.bot.store.all_tracks())[0].state)
            assert (track.state, track.backlog_pull) == ("review", backlog["number"])
            assert track.frozen == frozen
            await end_without_doubles(world, s, issue)


@pytest.mark.long
async def test_a_backlog_merged_while_the_data_is_lost_and_nobody_listens_starts_the_work(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with lives(tmp_path, judge, webhook_judge, TWO_TASKS, PATCHES, test="true", ci="true") as world:
        async with world.life() as s:
            issue = await s.open_issue()
            backlog = await s.to_review(issue)
            await s.in_state(issue, "review")
        world.lose_everything()
        with world.forge.client() as person:
            stage.ok(person.put(f"/repos/{stage.OWNER}/{stage.REPO}/pulls/{backlog['number']}/merge"))
        async with world.life() as s:
            await end_without_doubles(world, s, issue)


@pytest.mark.long
async def test_data_lost_while_an_agent_runs_and_a_pull_request_is_open_ends_as_it_would_have(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with lives(tmp_path, judge, webhook_judge, TWO_TASKS, PATCHES, test="true", ci="true") as world:
        world.write(stalls(TWO_TASKS))
        async with world.life(quiet=False) as s:
            issue = await s.open_issue()
            await s.merge((await s.to_review(issue))["number"])
            await s.task_in_state(issue, "running")
        world.lose_everything()
        world.write(TWO_TASKS)
        async with world.life() as s:
            await s.task_in_state(issue, "in_review")
        world.lose_everything()
        async with world.life() as s:
            await end_without_doubles(world, s, issue)
            assert sorted(p["head"]["ref"] for p in await s.pulls()) == [
                f"agent/issue-{issue}/T-1-a1",
                f"agent/issue-{issue}/T-2-a1",
                f"agent/issue-{issue}/backlog",
            ]


@pytest.mark.long
async def test_data_lost_while_a_red_pull_request_is_mended_mends_the_same_pull_request(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    broken = new_file("src/bye.py", 'def bye(name):\n    return f"Bye {nme}"\n')
    mended = '--- a/src/bye.py\n+++ b/src/bye.py\n@@ -1,2 +1,2 @@\n def bye(name):\n-    return f"Bye {nme}"\n+    return f"Bye {name}"\n'
    script = {
        "planners": agreed(BYE_TASK),
        "tasks": [does("goodbye", writes("broken.patch"), writes("mended.patch"))],
    }
    patches = {"broken.patch": broken, "mended.patch": mended}
    ci = "! grep -q nme src/bye.py"
    async with lives(tmp_path, judge, webhook_judge, script, patches, test="true", ci=ci) as world:
        world.write(stalls(script, run=1))
        async with world.life(quiet=False) as s:
            issue = await s.open_issue()
            await s.merge((await s.to_review(issue))["number"])

            async def mending() -> bool:
                track = TRACKS.validate_python((await s.bot.store.all_tracks())[0].state)
                told = state_of((await s.said(issue, "status"))[0])["tasks"]
                return bool(track.tasks) and track.tasks[0].run == 2 and told["T-1"][2] == 2

            await s.until("a second run is under way", mending)
        world.lose_everything()
        world.write(script)
        async with world.life() as s:
            await end_without_doubles(world, s, issue)
            assert len([p for p in await s.pulls() if "T-1" in p["head"]["ref"]]) == 1


@pytest.mark.long
async def test_what_people_asked_for_is_remembered_without_the_data(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with lives(tmp_path, judge, webhook_judge, TWO_TASKS, PATCHES, test="true", ci="true") as world:
        async with world.life() as s:
            issue = await s.open_issue()
            await s.merge((await s.to_review(issue))["number"])
            await s.task_in_state(issue, "in_review")
            await s.comment(issue, "/agent skip T-2")
            await s.task_in_state(issue, "dropped", "T-2")
            await s.comment(issue, "/agent budget 3")
            await s.comment(issue, "/agent pause")
            await s.in_state(issue, "paused")
        world.lose_everything()
        async with world.life() as s:
            await s.until("the track is known again", s.bot.store.all_tracks)
            await s.quiet()
            before = world.writes()
            await world.deliver_all_again()
            await s.quiet()
            assert [call for call in world.writes()[len(before) :] if "comments/" not in call] == []
            track = TRACKS.validate_python((await s.bot.store.all_tracks())[0].state)
            assert (track.state, track.budget_usd) == ("paused", 3.0)
            assert [task.state for task in track.tasks] == ["in_review", "dropped"]
            await s.comment(issue, "/agent resume")
            await s.in_state(issue, "working")
            await s.merge((await s.task_pull())["number"])
            record = await s.until("the record's pull request", lambda: s.pulls("open"))
            await s.merge(record[0]["number"])
            await s.in_state(issue, "done")


@pytest.mark.long
async def test_a_full_redelivery_of_two_rounds_to_an_empty_bot_writes_nothing(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with lives(tmp_path, judge, webhook_judge, test="true", ci="true") as world:
        async with world.life() as s:
            issue = await s.open_issue()
            await s.to_review(issue)
            await s.in_state(issue, "review")
            await s.comment(issue, "/agent plan")
            second = await s.backlog_pull(f"/issue-{issue}-r2")
            await s.in_state(issue, "review")
            await s.merge(second["number"])
            await s.merge_all(issue)
        world.lose_everything()
        async with world.life() as s:
            await s.quiet()
            before = world.writes()
            await world.deliver_all_again()
            await s.quiet()
            assert world.writes()[len(before) :] == []
            tracks = {t.key: t.status for t in await s.bot.store.all_tracks()}
            assert tracks == {"1/issue-1": "superseded", "1/issue-1-r2": "done"}


async def test_a_command_that_was_accepted_and_lost_with_the_data_is_taken_up_again(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with lives(tmp_path, judge, webhook_judge) as world:
        async with world.life() as s:
            issue = await s.open_issue()
            await s.label(issue)
            await s.backlog_pull()
            await s.in_state(issue, "review")
        world.lose_everything()
        with closing(stage.listener(world.port)) as listening:
            async with stage.swallowing(listening):
                with httpx.Client(base_url=world.forge.url, timeout=30) as person:
                    person.headers["Authorization"] = f"Bearer {world.forge.token}"
                    said = await asyncio.to_thread(
                        person.post, f"{s.path}/issues/{issue}/comments", json={"body": "/agent pause"}
                    )
                await asyncio.to_thread(world.forge.settle)
        assert said.status_code == 201
        async with world.life() as s:
            await s.in_state(issue, "paused")
            assert len([c for c in await s.comments(issue) if c["body"] == "/agent pause"]) == 1
