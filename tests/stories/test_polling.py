"""A bot that GitHub cannot reach fetches its own deliveries, wherever they went, and works as if they had come in."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from bot.wiring import build
from tests.judges.openapi import Judge
from tests.judges.served import judged_forge
from tests.judges.webhooks import WebhookJudge
from tests.stories import stage
from tests.stories.endings import check_endings
from tests.stories.scripts import BYE, FILES, ONE_TASK, TEST
from tests.stories.story import Story


async def test_a_label_is_heard_where_no_webhook_can_come_in(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script = stage.write_script(tmp_path / "script", ONE_TASK, {"bye.patch": BYE})
    with judged_forge(tmp_path / "forge", judge, webhook_judge) as forge:
        sink = stage.listener()
        app = stage.prepare(forge, sink.getsockname()[1], FILES, TEST, tmp_path)
        settings = stage.settings(forge, app, tmp_path, script, TEST)
        behind = settings.model_copy(update={"poll_deliveries": True, "webhook_secret": ()})
        with closing(stage.listener()) as listening:
            bot = await build(behind)
            async with (
                stage.swallowing(sink),
                stage.served(bot, listening),
                stage.forge_client(forge, forge.token) as api,
                stage.forge_client(forge, app["alice"]) as alice,
            ):
                s = Story(forge, bot, api, alice)
                issue = await s.open_issue()
                await s.label(issue)
                await s.in_state(issue, "review", 60)
                await s.quiet()
                await check_endings(s, internal_errors=False)
