"""A whole track whose boxes are containers, as its pull request says; programs come from their image."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.healthy import BYE, GREET, SCOPE, TEST, TEST_BYE
from tests.stories.scripts import JsonDict, agreed, does, new_file, task, writes
from tests.stories.story import story
from tests.support.containers import containers

SCRIPT: JsonDict = {
    "planners": agreed(task("a", "Say goodbye", SCOPE)),
    "tasks": [does("goodbye", writes("bye.patch"))],
}
PATCHES = {"bye.patch": new_file("bye.py", BYE) + new_file("tests/test_bye.py", TEST_BYE)}


@pytest.mark.long
async def test_a_track_ends_with_boxes_that_are_containers(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    made = await asyncio.to_thread(containers)
    asked = {
        "container": made.program,
        "container_image": made.image,
        "container_runtime": made.runtime,
        "sandbox": "strong",
    }
    test = TEST.replace("python ", "python3 ")
    async with story(
        tmp_path, judge, webhook_judge, SCRIPT, PATCHES, GREET, test=test, ci="true", operator=asked
    ) as s:
        issue = await s.open_issue()
        pull = await s.to_task_pull(issue)
        assert "in a sandbox of level `strong` (podman" in pull["body"]
        assert f"**Verification:** `{test}` (passed)" in pull["body"]
        await s.merge_all(issue)
