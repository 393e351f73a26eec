"""Commands from first sight to their end: seen, done, refused, withdrawn, or written into an older comment."""

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read
from tests.stories.story import Story, story


async def _reacted(s: Story, comment: int, wanted: list[str]) -> None:
    async def look() -> bool:
        return sorted(await s.reactions(comment)) == wanted

    await s.until(f"{wanted} on the comment {comment}", look)


async def test_a_command_is_seen_first_and_done_when_what_it_asked_for_has_happened(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        asked = await s.comment(issue, "/agent plan")
        pull = (await s.backlog_pull())["number"]
        await _reacted(s, asked, ["eyes", "rocket"])
        await _reacted(s, await s.comment(issue, "/agent budget 5"), ["eyes", "rocket"])
        await _reacted(s, await s.comment(issue, "/agent budget none"), ["confused"])
        await _reacted(s, await s.comment(pull, "/agent skip T-9"), ["confused"])

        await s.merge(pull)
        first = await s.task_pull()
        await s.task_in_state(issue, "in_review")
        await s.put("notes.md", "Moved.\n")
        rebase = await s.comment(first["number"], "/agent rebase")
        await _reacted(s, rebase, ["eyes", "rocket"])
        assert (await s.task_pull())["head"]["sha"] != first["head"]["sha"]

        again = await s.comment(first["number"], "/agent retry")
        await _reacted(s, again, ["eyes", "rocket"])
        assert (await s.task_pull())["number"] != first["number"]
        await s.merge_all(issue)
        late = await s.comment(issue, "/agent retry T-1")
        await _reacted(s, late, ["confused"])


@pytest.mark.long
async def test_a_deleted_command_is_not_followed_and_an_edit_makes_none(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.to_review(issue)
        await s.in_state(issue, "review")

        await s.fault("delay", event="^issue_comment", count=1, seconds=600)
        slip = await s.comment(issue, "/agent stop")
        await s.comment(issue, "No, wait.")
        await s.call("DELETE", f"{s.path}/issues/comments/{slip}")
        await s.let_go()
        await s.quiet()
        assert await s.state(issue) == "review"
        assert "did not follow /agent stop, because: the comment was deleted" in await s.asks(
            issue, "/agent why"
        )

        words = await s.comment(issue, "Shall we stop this?")
        await s.call("PATCH", f"{s.path}/issues/comments/{words}", json={"body": "/agent stop"})
        assert read(await s.hears(issue, "answer", 2)) == snapshot(
            "A comment is read once, as it was written: this edit changes nothing. To give the command, write a new comment that begins with `/agent stop`."
        )
        assert await s.state(issue) == "review"
        assert await s.reactions(words) == []
