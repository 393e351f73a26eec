"""The data directory is gone: what was under way ends where it would have, and what is finished is left alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.wiring import build
from tests.judges.openapi import Judge
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge
from tests.stories import stage
from tests.stories.endings import check_endings
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
    with judged_forge(tmp / "forge", judge, webhook_judge) as forge:
        with closing(stage.listener()) as taken:
            port = taken.getsockname()[1]
        app = stage.prepare(forge, port, FILES, ci, tmp)
        yield Lives(forge, app, tmp, port, written, test)


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
