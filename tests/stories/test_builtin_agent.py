"""The built-in agent in the whole flow, where nobody chose an agent or a model for tasks: its work is merged and paid for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.agents import make_coder
from bot.agents.supplies import Supplies
from bot.core.actions import RunTask
from bot.core.config import RepoConfig
from bot.gateway.endpoints import Endpoints
from bot.jobs.work import WorkJob
from bot.models.names import named
from bot.wiring import Bot
from tests.agents.scripted_model import ScriptedModel, serving
from tests.agents.stage import QUICK
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.lacking import Change, attempting, job
from tests.stories.scripts import FILES, JsonDict
from tests.stories.story import story
from tests.stories.test_acp_agent import KEY, MODEL, SCRIPT, the_agent_does_the_task

ROW = f"| complex | {MODEL} | 1 | 2 | 740 |"  # where no models are named for a class, it takes those of the next
SAID: JsonDict = {
    "scenarios": [
        {
            "when": "Say that it is done",
            "steps": [
                {"calls": [{"write": {"path": "done.txt", "text": "done\n"}}], "usage": [300, 20]},
                {"text": "Hello.", "usage": [400, 20]},
            ],
        }
    ]
}


def employing(model: ScriptedModel) -> Change:
    """Let the default agent work with the default model, whose provider is a server on loopback."""
    supplies = Supplies(endpoints=Endpoints({"OPENAI_API_KEY": KEY}, model.url), limits=QUICK)

    def change(bot: Bot) -> None:
        work = job(bot, RunTask, WorkJob)
        override = work.repositories.override
        default = RepoConfig().agent
        work.repositories.override = lambda config: override(config).model_copy(update={"agent": default})
        spending = replace(
            work.attempts.spending, named=lambda config, role: named(None, _plain(config), role)
        )
        attempting(bot, coders={"builtin": make_coder("builtin", supplies)}, spending=spending)

    return change


def _plain(config: RepoConfig) -> RepoConfig:
    """Give the settings of a repository that names no agent."""
    return config.model_copy(update={"agent": RepoConfig().agent})


@pytest.mark.long
async def test_the_default_agent_does_the_task(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    with serving(SAID) as model:
        change = employing(model)
        async with story(
            tmp_path, judge, webhook_judge, SCRIPT, {}, FILES, test="none", ci="true", change=change
        ) as s:
            await the_agent_does_the_task(s, model, ROW)
