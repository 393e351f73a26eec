"""Work without a sandbox, which only the operator can choose: for private repositories and their maintainers, and said."""

from __future__ import annotations

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read
from tests.stories.scripts import FILES
from tests.stories.story import Story, story


async def _may(s: Story, role: str) -> None:
    await s.call("PUT", f"/_test{s.path}/collaborators/alice", json={"role": role})


async def _publish(s: Story) -> None:
    await s.call("PATCH", s.path, json={"private": False})
    await s.quiet()


async def _nothing_began(s: Story, issue: int) -> None:
    await s.quiet()
    assert await s.said(issue, "status") == []


async def test_a_public_repository_is_refused_whoever_asks_and_whatever_its_settings_say(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    files = FILES | {".github/gitwright.yml": "commands: {default: read, plan: read}\n"}
    async with story(tmp_path, judge, webhook_judge, files=files, operator={"sandbox": "none"}) as s:
        await _publish(s)
        issue = await s.open_issue()
        await s.label(issue)
        assert read(await s.hears(issue, "answer")) == snapshot(
            "This bot runs agents and tests without a sandbox (`GITWRIGHT_SANDBOX=none`), and this repository is public: whoever writes into it would get the bot's own rights. Nothing is started here. Its operator can give it a sandbox: `gitwright doctor` there says what is missing, and the fix."
        )
        assert await s.asks(issue, "/agent plan") == read(await s.hears(issue, "answer"))
        await _nothing_began(s, issue)


async def test_in_a_private_one_only_maintainers_start_something(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, operator={"sandbox": "none"}) as s:
        await _may(s, "write")
        issue = await s.open_issue()
        await s.label(issue, by=s.alice)
        assert read(await s.hears(issue, "answer")) == snapshot(
            "This bot runs agents and tests without a sandbox (`GITWRIGHT_SANDBOX=none`), so only its maintainers start something: that needs the role `maintain` here, and this is `write`. One of them can ask for the same. Its operator can give it a sandbox: `gitwright doctor` there says what is missing, and the fix."
        )
        assert await s.asks(issue, "/agent plan", by=s.alice) == read(await s.hears(issue, "answer"))
        await _nothing_began(s, issue)

        await _may(s, "maintain")
        await s.comment(issue, "/agent plan", by=s.alice)
        pull = await s.backlog_pull()
        assert "without a sandbox" in await s.hears(issue, "plan")

        # Who may only write can merge, and nothing runs for it; they are answered what would.
        await _may(s, "write")
        await s.merge(pull["number"], by=s.alice)
        await s.in_state(issue, "paused")
        assert read(await s.hears(issue, "problem")) == snapshot(
            "This bot runs agents and tests without a sandbox (`GITWRIGHT_SANDBOX=none`), so only its maintainers start something: that needs the role `maintain` here, and this is `write`. One of them can ask for the same. Its operator can give it a sandbox: `gitwright doctor` there says what is missing, and the fix. They can comment `/agent resume`."
        )
        assert [p for p in await s.pulls() if "/T-1-" in p["head"]["ref"]] == []

        # Nor does reopening the issue get round that.
        for state in ("closed", "open"):
            await s.call("PATCH", f"{s.path}/issues/{issue}", json={"state": state}, by=s.alice)
            await s.quiet()
        await s.in_state(issue, "paused")
        assert "needs the role `maintain` here, and this is `write`" in (await s.said(issue, "answer"))[-1]
        assert [p for p in await s.pulls() if "/T-1-" in p["head"]["ref"]] == []

        await s.comment(issue, "/agent resume")
        made = await s.task_pull()
        for state in ("closed", "open"):
            await s.call("PATCH", f"{s.path}/pulls/{made['number']}", json={"state": state}, by=s.alice)
            await s.quiet()
        assert "needs the role `maintain` here" in (await s.said(made["number"], "answer"))[-1]
        assert await s.task_state(issue, "T-1") == "held"
        for state in ("closed", "open"):  # as a maintainer
            await s.call("PATCH", f"{s.path}/pulls/{made['number']}", json={"state": state})
            await s.quiet()
        assert "**without a sandbox**, with the bot's own rights (its operator's choice)" in made["body"]
        await s.merge_all(issue)


@pytest.mark.long
async def test_one_that_is_made_public_meanwhile_runs_nothing_more(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, operator={"sandbox": "none"}) as s:
        issue = await s.open_issue()
        pull = await s.to_review(issue)
        await _publish(s)
        await s.merge(pull["number"])
        await s.in_state(issue, "paused")
        await s.comment(issue, "/agent resume")
        await s.quiet()
        assert [p for p in await s.pulls() if "/T-1-" in p["head"]["ref"]] == []
        assert read((await s.said(issue, "answer"))[-1]) == snapshot(
            "This bot runs agents and tests without a sandbox (`GITWRIGHT_SANDBOX=none`), and this repository is public: whoever writes into it would get the bot's own rights. Nothing is started here. Its operator can give it a sandbox: `gitwright doctor` there says what is missing, and the fix."
        )
