"""Chaos: whatever goes wrong with deliveries and calls, the same end state, one comment of a kind, one pull request an attempt.

`make test` plays some seeds, `make check` 200 of them; `CHAOS_SEED=n` plays one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from bot.core.ids import parse_marker
from bot.forges.github import GitHubForge
from bot.wiring import Bot
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.chance import MovableClock, drawn, over_rest
from tests.stories.reading import state_of
from tests.stories.scripts import JsonDict
from tests.stories.story import Story, story
from tests.stories.struck import PROPERTY, summed

FEW, MANY = 2, 200
PATIENCE = 240.0  # seconds for a whole track
STILL = 12  # looks in a row without any change after which what waits for its time is due: on a busy machine they take longer
STEP = 65.0  # seconds: a secondary limit without a header is waited out for 60

SEEDS = [int(os.environ["CHAOS_SEED"])] if "CHAOS_SEED" in os.environ else list(range(MANY))


async def play(s: Story, clock: MovableClock, faults: list[JsonDict]) -> int:
    """Be a maintainer who labels and merges while everything goes wrong; gives the issue."""
    issue = await s.open_issue()
    for fault in faults:
        await s.fault(**fault)
    await s.label(issue)
    deadline = time.monotonic() + PATIENCE
    seen: object = None
    still = 0
    while True:
        state = await merged_what_waits(s, issue)
        if state == "done":
            return issue
        now = (state, await s.bot.store.counts())
        if now != seen:
            seen, still = now, 0
        elif (still := still + 1) > STILL:
            await time_goes_by(s, clock)
            still = 0
        assert time.monotonic() < deadline, f"not done: {now}\n{faults}"
        await asyncio.sleep(0.05)


async def merged_what_waits(s: Story, issue: int) -> str:
    """Merge whatever waits for review, and give the track's state as people read it."""
    bodies = await s.said(issue, "status")
    if not bodies:
        return ""
    block = state_of(bodies[-1])
    waiting = [pull for state, _, _, pull in block["tasks"].values() if state == "in_review"]
    if block["state"] == "review":
        waiting.append(block["backlog_pull"])
    for pull in waiting:
        await s.merge_once(pull)
    return str(block["state"])


async def time_goes_by(s: Story, clock: MovableClock) -> None:
    """Let a minute pass, with the sweep that an hour would bring."""
    clock.forward(STEP)
    await s.time_passes(0)
    s.bot.runner.wake()
    await s.bot.reconciler.sweep(tracks=True)


def as_it_is(_bot: Bot) -> None:
    """Leave everything as it is."""


def over_rest_only(bot: Bot) -> None:
    cast(GitHubForge, bot.forge).leave_graphql()


async def assert_once(s: Story, issue: int) -> None:
    kinds = Counter(
        marker.kind for body in (await s.posted())[issue] if (marker := parse_marker(body)) is not None
    )
    assert kinds == {"status": 1, "plan": 1, "receipt": 1}
    pulls = {p["head"]["ref"]: p["merged_at"] is not None for p in await s.pulls()}
    assert pulls == {"agent/issue-1/backlog": True, "agent/issue-1/T-1-a1": True}
    assert len(await s.pulls()) == 2
    branches = await s.call("GET", f"{s.path}/branches")
    assert sorted(b["name"] for b in branches) == ["agent/issue-1/T-1-a1", "agent/issue-1/backlog", "main"]
    assert await s.labels(issue) == {"agent:plan", "agent:done"}
    assert (await s.call("GET", f"{s.path}/issues/{issue}"))["state"] == "closed"
    assert "status: done" in await s.text("tasks/issue-1/BACKLOG.yaml")


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "seed", [seed if seed < FEW else pytest.param(seed, marks=pytest.mark.long) for seed in SEEDS]
)
async def test_whatever_goes_wrong_the_end_is_the_same(
    seed: int,
    tmp_path: Path,
    judge: Judge,
    webhook_judge: WebhookJudge,
    record_property: Callable[[str, object], None],
) -> None:
    clock, rest = MovableClock(), over_rest(seed)
    faults = drawn(seed, rest=rest)
    change = over_rest_only if rest else as_it_is
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true", clock=clock, change=change) as s:
        issue = await play(s, clock, faults)
        told = await s.call("GET", "/_test/faults")
        record_property(PROPERTY, summed(seed, "REST" if rest else "GraphQL", told))
        assert any(each["hits"] for each in told), f"nothing struck: {faults}"
        await s.call("DELETE", "/_test/faults")
        await time_goes_by(s, clock)
        await s.quiet()
        await assert_once(s, issue)
