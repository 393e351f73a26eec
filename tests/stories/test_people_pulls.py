"""What people do to the bot's pull requests beside merging them: close, reopen, retarget, push, review."""

import re
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read
from tests.stories.scripts import BYE, BYE_TASK, JsonDict, agreed, does, new_file, task, writes
from tests.stories.story import Story, story

TESTED = new_file("tests/test_more.py", "def test_more():\n    assert True\n")
FIXED: JsonDict = {
    "planners": agreed(BYE_TASK),
    "tasks": [does("goodbye", writes("bye.patch"), writes("more.patch", "I added a test."))],
}
PATCHES = {"bye.patch": BYE, "more.patch": TESTED}
FILE = "tasks/issue-1/BACKLOG.yaml"


async def _state(s: Story, number: int, state: str) -> None:
    await s.call("PATCH", f"{s.path}/pulls/{number}", json={"state": state})


async def _review(
    s: Story, number: int, event: str, body: str, line: str = "", by: str = "alice", role: str = "write"
) -> None:
    """Somebody else reviews: nobody may review a pull request of their own."""
    assert by == "alice"
    await s.call("PUT", f"/_test{s.path}/collaborators/alice", json={"role": role})
    comments = [{"path": "src/bye.py", "line": 1, "body": line}] if line else []
    review = {"event": event, "body": body, "comments": comments}
    await s.call("POST", f"{s.path}/pulls/{number}/reviews", json=review, by=s.alice)


@pytest.mark.long
async def test_a_closed_backlog_is_cancelled_and_a_reopened_one_is_in_review_again(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        pull = await s.to_review(issue)
        await s.in_state(issue, "review")
        await s.close(pull["number"])
        await s.in_state(issue, "cancelled")
        assert read(await s.hears(issue, "problem"), {pull["number"]: "backlog"}) == snapshot(
            "Cancelled: #<backlog> was closed without merging. To try again, comment `/agent plan`, or remove the label `agent:plan` and set it again."
        )
        await _state(s, pull["number"], "open")
        await s.in_state(issue, "review")
        await s.merge(pull["number"])
        await s.merge_all(issue)


@pytest.mark.long
async def test_a_cancelled_backlog_of_an_older_round_stays_closed_for_good(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        pull = await s.to_review(issue)
        await s.in_state(issue, "review")
        await s.close(pull["number"])
        await s.in_state(issue, "cancelled")
        await s.comment(issue, "/agent plan")
        await s.backlog_pull("issue-1-r2")
        await _state(s, pull["number"], "open")
        await s.quiet()
        first = next(b for b in await s.said(issue, "status") if "track=issue-1 -->" in b)
        assert "Superseded by a later round" in first


@pytest.mark.long
async def test_another_base_is_warned_of_before_it_is_merged_in_vain(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.branch("release")
        pull = await s.to_review(issue)
        await s.in_state(issue, "review")
        await s.call("PATCH", f"{s.path}/pulls/{pull['number']}", json={"title": "Only the title"})
        await s.call("PATCH", f"{s.path}/pulls/{pull['number']}", json={"base": "release"})
        assert read(await s.hears(pull["number"], "answer")) == snapshot(
            "This goes into `release` now. Only when it is merged into `main`, the work starts; merged elsewhere it starts nothing and finishes nothing."
        )
        await s.call("PATCH", f"{s.path}/pulls/{pull['number']}", json={"base": "main"})
        await s.merge(pull["number"])

        work = (await s.task_pull())["number"]
        await s.task_in_state(issue, "in_review")
        await s.call("PATCH", f"{s.path}/pulls/{work}", json={"base": "release"})
        assert read(await s.hears(work, "answer")) == snapshot(
            "This goes into `release` now. Only when it is merged into `main`, `T-1` is done; merged elsewhere it starts nothing and finishes nothing."
        )
        await s.quiet()
        assert "goes into release, not into main" in await s.status(issue)
        await s.call("PATCH", f"{s.path}/pulls/{work}", json={"base": "main"})
        await s.merge_all(issue)


@pytest.mark.long
async def test_a_closed_task_is_held_and_a_reopened_one_goes_on_once_its_files_are_free(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script: JsonDict = {
        "planners": agreed(
            task("a", "Say goodbye", ["src/bye.py"], priority="high"),
            task("b", "Wave at the end", ["src/bye.py", "src/wave.py"]),
        ),
        "tasks": [does("goodbye", writes("bye.patch")), does("Wave", writes("wave.patch"))],
    }
    patches = {
        "bye.patch": new_file("src/bye.py", "bye = True\n"),
        "wave.patch": new_file("src/wave.py", "wave = True\n"),
    }
    async with story(tmp_path, judge, webhook_judge, script, patches, test="none", ci="true") as s:
        issue = await s.open_issue()
        backlog = await s.to_review(issue)
        branch = backlog["head"]["ref"]
        text = await s.text(FILE, branch)  # overlapping scopes depend on each other; people may undo that
        await s.put(FILE, re.sub(r"depends_on:\n +- T-\d\n", "depends_on: []\n", text), branch)
        await s.merge(backlog["number"])
        bye = (await s.task_pull("T-1"))["number"]
        await s.task_in_state(issue, "in_review")
        await s.close(bye)
        await s.task_in_state(issue, "held")

        # Its lease is freed: the other one starts, and it waits for that when it is opened again.
        wave = (await s.task_pull("T-2"))["number"]
        await s.task_in_state(issue, "in_review", "T-2")
        await _state(s, bye, "open")
        await s.task_in_state(issue, "waiting")
        rows = [line for line in (await s.status(issue)).splitlines() if line.startswith("| `T-1`")]
        assert rows == snapshot(
            [
                "| `T-1` | Say goodbye | waits for a free slot: open again; waits for its files, in use by issue-1/T-2 | #3 |"
            ]
        )
        await s.merge(wave)
        await s.task_in_state(issue, "in_review")
        await s.merge_all(issue)
        assert [p["number"] for p in await s.pulls()] == [backlog["number"], bye, wave]


@pytest.mark.long
async def test_no_agent_goes_on_mending_what_a_person_closed(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script: JsonDict = {
        "planners": agreed(BYE_TASK),
        "tasks": [does("goodbye", writes("bye.patch"), {"behave": "stall"}, writes("bye.patch"))],
    }
    async with story(tmp_path, judge, webhook_judge, script, PATCHES, test="none", ci="true") as s:
        issue = await s.open_issue()
        number = (await s.to_task_pull(issue))["number"]
        await s.task_in_state(issue, "in_review")
        await s.comment(number, "/agent revise One more test, please.")

        async def at_work() -> bool:
            return any(each.kind == "coder" for each in await s.bot.store.open_sessions())

        await s.until("an agent mends it", at_work)
        await s.close(number)
        await s.task_in_state(issue, "held")
        await s.quiet()
        assert not await at_work()

        # What people want again takes its place; merged after all, it is the record nevertheless.
        await s.asks(issue, "/agent retry T-1")
        again = await s.until("another attempt", lambda: _attempt(s, "-a2"))
        await s.task_in_state(issue, "in_review")
        await _state(s, number, "open")
        assert read(
            await s.hears(number, "answer", 2), {number: "first", again["number"]: "second"}
        ) == snapshot(
            "Attempt 2 of `T-1` (#<second>) took the place of this one, and no agent works on it any more. Merged into `main` it finishes `T-1`, and the later attempt is ended; else close it again."
        )
        assert "waits for your review" in await s.asks(number, "/agent why")
        await s.merge(number)
        await s.in_state(issue, "done")
        await s.quiet()
        assert (await s.call("GET", f"{s.path}/pulls/{again['number']}"))["state"] == "closed"


async def _attempt(s: Story, end: str) -> JsonDict | None:
    return next((p for p in await s.pulls("open") if p["head"]["ref"].endswith(end)), None)


async def test_what_a_person_pushes_to_a_tasks_branch_is_followed_and_never_rewritten(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        pull = await s.to_task_pull(issue)
        await s.task_in_state(issue, "in_review")
        mine = await s.put("src/mine.py", "mine = True\n", pull["head"]["ref"])

        async def followed() -> bool:
            track = (await s.bot.store.all_tracks())[0].state
            return bool(track["tasks"][0]["head_sha"] == mine and track["tasks"][0]["state"] == "in_review")

        await s.until("the new head is followed and green", followed)
        await s.put("README.md", "# The base moves\n")
        await s.quiet()
        tip = await s.call("GET", f"{s.path}/git/ref/heads/{pull['head']['ref']}")
        assert tip["object"]["sha"] == mine
        assert "new commits on" in await s.asks(pull["number"], "/agent why")
        await s.merge_all(issue)
        assert await s.text("src/mine.py") == "mine = True\n"


async def test_a_review_that_asks_for_changes_goes_to_the_agent_in_its_own_words(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    told: list[str] = []
    async with story(
        tmp_path, judge, webhook_judge, FIXED, PATCHES, test="none", ci="true", change=_listening(told)
    ) as s:
        issue = await s.open_issue()
        pull = await s.to_task_pull(issue)
        number, first = pull["number"], pull["head"]["sha"]
        await s.task_in_state(issue, "in_review")

        # A stranger's review is for people to read, and so is one that only comments.
        await _review(s, number, "REQUEST_CHANGES", "I do not like it.", role="triage")
        await s.quiet()
        await _review(s, number, "COMMENT", "Nice.")
        await s.quiet()
        assert (await s.call("GET", f"{s.path}/pulls/{number}"))["head"]["sha"] == first

        await _review(s, number, "REQUEST_CHANGES", "One more test, please.", line="And a docstring.")

        async def fixed() -> JsonDict | None:
            now: JsonDict = await s.call("GET", f"{s.path}/pulls/{number}")
            return now if now["head"]["sha"] != first else None

        await s.until("the pull request is mended", fixed)
        commits = await s.call("GET", f"{s.path}/pulls/{number}/commits")
        assert commits[0]["sha"] == first, "a commit is added, nothing is rewritten"
        assert "One more test, please.\nsrc/bye.py:1: And a docstring." in told[-1]
        await s.task_in_state(issue, "in_review")
        await s.merge_all(issue)
        assert "def test_more" in await s.text("tests/test_more.py")


def _listening(told: list[str]):  # type: ignore[no-untyped-def]  # hands itself to `change`
    from bot.core.actions import RunTask
    from bot.ports import Coder, Sandbox, WorkOrder, WorkReport
    from bot.wiring import Bot

    class Listening:
        """The scripted agent, which writes down what it is told."""

        name = "scripted"

        def __init__(self, inner: Coder) -> None:
            self._inner = inner

        async def work(self, order: WorkOrder, sandbox: Sandbox) -> WorkReport:
            told.append(order.prompt)
            return await self._inner.work(order, sandbox)

    def change(bot: Bot) -> None:
        job = bot.jobs[RunTask]
        coders = job.attempts.coders  # type: ignore[attr-defined]  # the job of this very action
        coders["scripted"] = Listening(coders["scripted"])

    return change
