"""A bad network and a forge that stumbles: the same end, and everything once."""

from collections import Counter
from pathlib import Path

import pytest

from bot.core.ids import parse_marker
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.lacking import unaided
from tests.stories.scripts import JsonDict
from tests.stories.story import Story, story

FAULTS: dict[str, list[JsonDict]] = {
    "deliveries that come twice, late and in the wrong order": [
        {"kind": "duplicate", "event": r"^(issues|pull_request)", "count": 20},
        {"kind": "reorder", "event": "^push", "count": 20, "seconds": 0.4},
        {"kind": "delay", "event": "^check_suite", "count": 20, "seconds": 0.5},
    ],
    "answers that fail before and after the write": [
        {"kind": "error_before", "route": r"POST .*/comments$", "count": 1},
        {"kind": "error_after", "route": r"POST .*/comments$", "count": 2},
        {"kind": "error_after", "route": r"POST .*/pulls$", "count": 2},
        {"kind": "error_before", "route": r"POST .*/check-runs$", "count": 1},
        {"kind": "error_after", "route": r"POST /repos/[^/]+/[^/]+/labels$", "count": 1},
        {"kind": "error_after", "route": r"git-receive-pack$", "count": 1},
        {"kind": "cut", "route": r"PATCH .*/issues/comments/", "count": 1},
    ],
    "a forge that asks to slow down, and one that still computes": [
        {
            "kind": "secondary_limit_retry_after",
            "route": r"POST .*/(comments|pulls)$",
            "count": 2,
            "seconds": 1,
        },
        {"kind": "primary_limit", "route": r"GET .*/collaborators/", "count": 1, "seconds": 1},
        {"kind": "mergeable_null", "count": 1},
    ],
}


QUICK = "deliveries that come twice, late and in the wrong order"  # `make check` goes through all


@pytest.mark.parametrize(
    "trouble", [name if name == QUICK else pytest.param(name, marks=pytest.mark.long) for name in FAULTS]
)
async def test_the_track_ends_well_and_everything_is_there_once(
    trouble: str, tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        for fault in FAULTS[trouble]:
            await s.fault(**fault)
        await s.to_the_end(issue)
        await s.quiet()
        hits = {fault["kind"]: fault["hits"] for fault in await s.call("GET", "/_test/faults")}
        assert all(hits.values()), f"faults that never struck: {hits}"
        await _once(s, issue)


@pytest.mark.long
async def test_deliveries_that_are_lost_are_made_up_for(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    # Nothing but the sweeps below: what a timer finds or a sweep by the clock would be found before it is looked for.
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true", change=unaided) as s:
        issue = await s.open_issue()
        await s.fault("lost", event="", count=1_000)
        await s.label(issue)
        await s.bot.reconciler.sweep(tracks=True)  # in life by the clock
        backlog = await s.backlog_pull()
        await s.in_state(issue, "review")
        await s.merge(backlog["number"])
        await s.bot.reconciler.sweep(tracks=True)
        work = await s.task_pull()
        await s.task_in_state(issue, "checking")
        await s.quiet()
        await s.bot.reconciler.sweep(tracks=True)
        await s.task_in_state(issue, "in_review")
        await s.merge(work["number"])
        await s.bot.reconciler.sweep(tracks=True)
        await s.in_state(issue, "done")
        await _once(s, issue)


async def _once(s: Story, issue: int) -> None:
    kinds = Counter(
        marker.kind for body in (await s.posted())[issue] if (marker := parse_marker(body)) is not None
    )
    assert kinds == {"status": 1, "plan": 1, "receipt": 1}
    assert [p["head"]["ref"] for p in await s.pulls()] == ["agent/issue-1/backlog", "agent/issue-1/T-1-a1"]
    branches = await s.call("GET", f"{s.path}/branches")
    assert sorted(b["name"] for b in branches) == ["agent/issue-1/T-1-a1", "agent/issue-1/backlog", "main"]
    assert await s.labels(issue) == {"agent:plan", "agent:done"}
