"""What people do to an issue while its track is under way: edit, close, reopen, unlabel, delete, move it."""

from functools import partial
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read, state_of
from tests.stories.scripts import BYE_TASK, ONE_TASK, JsonDict, agreed, does
from tests.stories.story import Story, story

STALLS: JsonDict = {"planners": agreed(BYE_TASK), "tasks": [does("goodbye", {"behave": "stall"})]}


async def _change(s: Story, issue: int, **changes: str) -> None:
    await s.call("PATCH", f"{s.path}/issues/{issue}", json=changes)


@pytest.mark.long
async def test_an_edited_issue_goes_on_with_the_frozen_text_and_says_so_once(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        pull = await s.to_review(issue)
        await s.check(pull["head"]["sha"])
        await s.in_state(issue, "review")
        await _change(s, issue, body="People leave. Say farewell.")

        async def stale() -> bool:
            check = (await s.checks(pull["head"]["sha"], "gitwright/backlog"))[-1]
            return str(check["output"]["title"]).startswith("stale")

        await s.until("the check says stale", stale)
        check = (await s.checks(pull["head"]["sha"], "gitwright/backlog"))[-1]
        assert (check["conclusion"], check["output"]["title"]) == snapshot(
            ("success", "stale: issue edited; 1 task, ready to merge")
        )
        await s.quiet()
        assert "**stale: issue edited.**" in await s.status(issue)
        assert await s.said(issue, "answer") == []

        # Taken back, it is forgotten.
        await _change(s, issue, body="People leave. Say bye.")

        async def fresh() -> bool:
            return "stale" not in await s.status(issue)

        await s.until("the status is no longer stale", fresh)

        # While work goes on it is said once.
        await s.merge(pull["number"])
        await s.task_pull()
        await _change(s, issue, title="Say farewell")
        await _change(s, issue, body="Say farewell, and mean it.")
        assert read(await s.hears(issue, "answer")) == snapshot(
            "The issue was edited. The work goes on with the text of before, which is what was planned and reviewed. `/agent plan` begins a new round with the new text."
        )
        await s.merge_all(issue)
        assert len(await s.said(issue, "answer")) == 1


PLANS = """query($owner: String!, $name: String!, $number: Int!) { repository(owner: $owner, name: $name) {
  issue(number: $number) { comments(first: 100) { nodes { body minimizedReason } } } } }"""


async def _plans_are(s: Story, issue: int, wanted: list[str | None]) -> bool:
    """Tell whether the plan comments are shown like this, oldest first; None: as any other."""
    _, owner, name = s.path.rsplit("/", 2)
    asked = {"query": PLANS, "variables": {"owner": owner, "name": name, "number": issue}}
    told = await s.call("POST", "/graphql", json=asked)
    comments = told["data"]["repository"]["issue"]["comments"]["nodes"]
    return [each["minimizedReason"] for each in comments if "gitwright:plan" in each["body"]] == wanted


async def test_the_label_removed_cancels_what_is_not_merged_and_nothing_that_is(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        pull = await s.to_review(issue)
        await s.call("DELETE", f"{s.path}/issues/{issue}/labels/agent:plan")
        await s.in_state(issue, "cancelled")
        assert read(await s.hears(issue, "problem")) == snapshot(
            "Cancelled: `maintainer` removed the label `agent:plan`. `/agent plan` begins again."
        )
        await s.quiet()
        assert (await s.call("GET", f"{s.path}/pulls/{pull['number']}"))["state"] == "closed"
        assert read((await s.said(pull["number"], "answer"))[0]) == snapshot(
            "Cancelled: maintainer removed the label agent:plan. Its branch is kept."
        )
        assert await s.labels(issue) == set()

        # Set again it begins a new round.
        await s.label(issue)
        again = await s.backlog_pull("issue-1-r2")
        await s.until("the older plan is folded", partial(_plans_are, s, issue, ["outdated", None]))
        await s.merge(again["number"])
        await s.call("DELETE", f"{s.path}/issues/{issue}/labels/agent:plan")
        await s.task_pull()
        await s.merge_all(issue)
        assert [state_of(body)["state"] for body in await s.said(issue, "status")] == ["superseded", "done"]


@pytest.mark.long
async def test_the_label_set_again_while_a_round_is_under_way_is_answered(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.merge((await s.to_review(issue))["number"])
        await s.task_pull()
        await s.label_again(issue)
        assert read(await s.hears(issue, "answer")) == snapshot(
            "`issue-1` is under way already (working), so `agent:plan` changes nothing. `/agent plan` ends it and begins a new round."
        )
        await s.merge_all(issue)


async def test_a_closed_issue_pauses_and_a_reopened_one_goes_on(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        pull = await s.to_review(issue)
        await s.in_state(issue, "review")
        await _change(s, issue, state="closed")
        await s.in_state(issue, "paused")
        assert "agent:blocked" in await s.labels(issue)
        assert (await s.status(issue)).splitlines()[:3] == snapshot(
            [
                "### Gitwright: Paused",
                "",
                "**Waits for you:** `/agent resume` goes on; until then nothing new is started, what runs may finish.",
            ]
        )

        # What is merged meanwhile starts nothing.
        await s.merge(pull["number"])
        await s.quiet()
        assert (await s.state(issue), await s.pulls("open")) == ("paused", [])
        await _change(s, issue, state="open")
        await s.task_pull()
        await s.task_in_state(issue, "in_review")
        assert await s.state(issue) == "working"

        # At work as well; a pull request merged meanwhile counts, and the end is the end.
        await _change(s, issue, state="closed")
        await s.in_state(issue, "paused")
        await s.merge((await s.task_pull())["number"])
        await s.in_state(issue, "done")


@pytest.mark.parametrize("how", ["deleted", "transferred"])
async def test_an_issue_that_is_gone_stops_everything_and_nothing_is_posted_where_it_was(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge, how: str
) -> None:
    async with story(tmp_path, judge, webhook_judge, STALLS, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.merge((await s.to_review(issue))["number"])
        await s.task_in_state(issue, "running")
        key = (await s.bot.store.all_tracks())[0].key

        async def at_work() -> bool:
            return any(each.kind == "coder" for each in await s.bot.store.open_sessions())

        await s.until("an agent is at work", at_work)
        gone = f"/_test{s.path}/issues/{issue}"
        if how == "deleted":
            await s.call("DELETE", gone)
        else:
            await s.call("POST", "/user/repos", json={"name": "elsewhere"})
            await s.call("POST", f"{gone}/transfer", json={"repository": "elsewhere"})

        async def stopped() -> bool:
            stored = await s.bot.store.load(key)
            return stored is not None and stored.state["state"] == "stopped" and not await at_work()

        await s.until("the track is stopped and its agent gone", stopped)
        await s.quiet()
        assert await s.pulls("open") == []


@pytest.mark.long
async def test_a_new_round_by_command_ends_the_older_one(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, ONE_TASK, test="none", ci="true") as s:
        issue = await s.open_issue()
        # Without a label too
        await s.comment(issue, "/agent plan")
        first = await s.backlog_pull("/issue-1")
        await s.in_state(issue, "review")
        await s.comment(issue, "/agent plan")
        second = await s.backlog_pull("issue-1-r2")
        await s.quiet()
        assert (await s.call("GET", f"{s.path}/pulls/{first['number']}"))["state"] == "closed"
        assert read((await s.said(first["number"], "answer"))[0]) == snapshot(
            "Superseded by `issue-1-r2`, a new round for #1. Its branch is kept."
        )
        await s.call("GET", f"{s.path}/git/ref/heads/{first['head']['ref']}")  # its branch is kept

        # While working too
        await s.merge(second["number"])
        work = await s.task_pull(track="issue-1-r2")
        await s.comment(issue, "/agent plan And say it politely.")
        third = await s.backlog_pull("issue-1-r3")
        await s.quiet()
        assert (await s.call("GET", f"{s.path}/pulls/{work['number']}"))["state"] == "closed"
        states = [state_of(body)["state"] for body in await s.said(issue, "status")]
        assert states == ["superseded", "superseded", "review"]
        assert len(await s.said(issue, "plan")) == 3
        plan = await s.text("tasks/issue-1-r3/PLAN.md", third["head"]["ref"])
        assert "And say it politely." in plan

        # On a pull request it is answered where to say it; by somebody who may not it is refused.
        assert await s.asks(third["number"], "/agent plan") == snapshot(
            "A new round begins on the issue: comment `/agent plan` on #1."
        )
        assert await s.asks(issue, "/agent plan", by=s.alice) == snapshot(
            "`/agent plan` needs the role `write` here; yours is `triage`."
        )
