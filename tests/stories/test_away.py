"""A model's provider that has no more for now: the run waits and says so, and goes on by itself in the same attempt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.agents.scripted_model import serving
from tests.agents.stage import FAKE
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.chance import MovableClock
from tests.stories.reading import read
from tests.stories.repairing import begun
from tests.stories.scripts import FILES, JsonDict
from tests.stories.story import Story, story
from tests.stories.test_acp_agent import SCRIPT, _whole, employing

# Once refused before anything was done, then answered.
SAID: JsonDict = {
    "scenarios": [
        {
            "when": "",
            "plain": True,
            "steps": [
                {"status": 429, "retry_after": 1800, "times": 1},
                {"text": "Hello.", "usage": [700, 40]},
            ],
        }
    ]
}


def about(text: str) -> list[str]:
    """Give the lines about waits and sessions; of a wait beyond midnight the day is named."""
    lines = re.sub(r"\b(?:\d{4}-\d\d-\d\d )?\d\d:\d\d UTC", "12:34 UTC", text).splitlines()
    return [line for line in lines if "provider" in line or "deleted" in line]


@pytest.mark.long
async def test_a_run_waits_for_its_provider_and_goes_on_by_itself(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    clock = MovableClock()
    files = {**FILES, "agent.py": FAKE.read_text("utf-8")}
    with serving(SAID) as model:
        change = employing(model, _whole)
        async with story(
            tmp_path,
            judge,
            webhook_judge,
            SCRIPT,
            {},
            files,
            test="none",
            ci="true",
            change=change,
            clock=clock,
        ) as s:
            issue = await begun(s)

            async def told() -> list[str]:
                return [line for line in about(await s.status(issue)) if "Waits for" in line]

            shown = await s.until("the status comment says what is waited for", told)
            assert shown == snapshot(
                [
                    "**Waits for the model's provider** until 12:34 UTC. Nothing is lost, and it goes on by itself."
                ]
            )
            assert about(await s.asks(issue, "/agent why T-1")) == snapshot(
                [
                    "`run_task` of `T-1` waits for the model's provider until 12:34 UTC. The agent `custom` ended by itself: urllib.error.HTTPError: HTTP Error 429:; its model's provider answered 429."
                ]
            )
            assert await s.task_state(issue, "T-1") == "running"
            asked = len(model.requests)
            await _later(s, clock, 1000)
            assert len(model.requests) == asked, "it was asked before its time"
            await _later(s, clock, 1000)
            pull = await s.task_pull()
            assert pull["head"]["ref"].endswith("/T-1-a1"), "waiting spent an attempt"
            assert "Hello." in read(pull["body"])
            assert about(await s.asks(issue, "/agent status")) == snapshot(
                [
                    "- planners: 3 sessions deleted: processes, state; checked <time>.",
                    "- `T-1`: 2 sessions deleted: processes, sandbox, state, token, worktree; checked <time>; not proved: provider session.",
                ]
            )


async def _later(s: Story, clock: MovableClock, seconds: float) -> None:
    clock.forward(seconds)
    await s.time_passes(0)
    s.bot.runner.wake()
