"""The whole way: a label, a plan, a reviewed backlog, a pull request, a receipt."""

from pathlib import Path

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.story import story


async def test_a_labelled_issue_becomes_a_merged_pull_request(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge) as s:
        issue = await s.open_issue()
        await s.to_the_end(issue)

        assert await s.labels(issue) == {"agent:plan", "agent:done"}
        assert (await s.call("GET", f"{s.path}/issues/{issue}"))["state"] == "closed"
        assert "Done: 1 of 1 tasks merged" in (await s.said(issue, "receipt"))[0]
        assert len(await s.said(issue, "status")) == 1
        assert len(await s.said(issue, "plan")) == 1
