"""Who may begin, with what, and how often."""

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read, state_of
from tests.stories.scripts import FILES
from tests.stories.story import Story, story


async def test_only_the_trigger_label_set_by_somebody_who_may_write_begins_a_track(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    files = FILES | {".github/gitwright.yml": "limits: {workers: many}\nrebase: sometimes\n"}
    async with story(tmp_path, judge, webhook_judge, files=files, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.label(issue, "bug")
        await s.label(issue, by=s.alice)
        assert read(await s.hears(issue, "answer")) == snapshot(
            "`alice` may not start work here: setting `agent:plan` needs the role `write`, theirs is `triage`. Somebody who may write can remove the label and set it again."
        )
        await _nothing_began(s, issue)

        await s.branch("own-work")
        await s.put("notes.md", "Mine.\n", "own-work")
        pull = await s.open_pull("own-work")
        await s.label(pull)
        await s.quiet()
        assert await s.comments(pull) == []

        # As the refusal says.
        await s.label_again(issue)
        await s.in_state(issue, "review")
        assert await s.labels(issue) == {"bug", "agent:plan", "agent:review"}
        assert read(await s.hears(issue, "answer", 2)) == snapshot("""\
`.github/gitwright.yml` has mistakes, so it counts as absent: the defaults hold for all settings until they are mended.

- line 1: `limits.workers`: this must be a whole number. See docs/configuration.md.
- line 2: `rebase`: this must be 'needed', 'always' or 'never'. See docs/configuration.md.\
""")


async def _nothing_began(s: Story, issue: int) -> None:
    await s.quiet()
    assert await s.said(issue, "status") == []
    assert await s.labels(issue) == {"bug", "agent:plan"}
    assert await s.call("GET", f"{s.path}/issues/{issue}/reactions") == []


@pytest.mark.long
async def test_a_label_set_again_after_the_end_begins_a_new_round(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.to_the_end(issue)
        assert len(await s.said(issue, "status")) == len(await s.said(issue, "plan")) == 1

        await s.label_again(issue)
        again = await s.backlog_pull()
        assert again["head"]["ref"] == "agent/issue-1-r2/backlog"
        await s.in_state(issue, "review")
        first, second = map(state_of, await s.said(issue, "status"))
        assert (first["track"], first["state"]) == ("issue-1", "done")
        assert (second["track"], second["state"], second["round"]) == ("issue-1-r2", "review", 2)
        assert await s.labels(issue) == {"agent:plan", "agent:review"}

        await s.close(again["number"])
        await s.in_state(issue, "cancelled")
        assert read(await s.hears(issue, "problem")) == snapshot(
            "Cancelled: #4 was closed without merging. To try again, comment `/agent plan`, or remove the label `agent:plan` and set it again."
        )
        assert await s.labels(issue) == {"agent:plan"}
