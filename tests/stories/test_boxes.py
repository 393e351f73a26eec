"""Check boxes in the bot's texts: a tick is a command of whoever ticked, is done once, and is written anew."""

import re
from pathlib import Path

import httpx
import pytest
import yaml
from inline_snapshot import snapshot

from bot.core.ids import parse_marker
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories import stage
from tests.stories.chance import MovableClock
from tests.stories.reading import read
from tests.stories.scripts import (
    BYE,
    BYE_TASK,
    FILES,
    ONE_TASK,
    JsonDict,
    does,
    new_file,
    planner,
    task,
    writes,
)
from tests.stories.story import Story, story

WAVE = task("b", "Wave at the end", ["src/wave.py", "src/bye.py"], depends_on=["a"])
SHOUT = task("c", "Shout on request", ["src/shout.py"])
DIVIDED: JsonDict = {
    "planners": [
        planner("architecture", BYE_TASK, WAVE),
        planner("tests", BYE_TASK, SHOUT),
        planner("smallest", BYE_TASK),
    ],
    "tasks": [does("goodbye", writes("bye.patch")), does("Wave", writes("wave.patch"))],
}
PATCHES = {"bye.patch": BYE, "wave.patch": new_file("src/wave.py", "wave = True\n")}
FILE = "tasks/issue-1/BACKLOG.yaml"
STRICT = FILES | {".github/gitwright.yml": "commands: {default: write, rebase: maintain}\n"}


async def shown(s: Story, issue: int, kind: str) -> JsonDict:
    """The bot's one comment of a kind; it may come a moment after what it is about."""
    await s.hears(issue, kind)
    found = [c for c in await s.comments(issue) if c["user"]["type"] == "Bot"]
    return next(c for c in reversed(found) if (m := parse_marker(c["body"])) is not None and m.kind == kind)


async def tick(s: Story, issue: int, kind: str, box: str, by: httpx.AsyncClient | None = None) -> str:
    """Tick a box as the forge's page does, and give the text with it."""
    comment = await s.until(f"a box {box}", lambda: _with_box(s, issue, kind, box))
    body = re.sub(rf"- \[ \] (<!-- box:{box}(?: #\d+)? -->)", r"- [x] \1", comment["body"])
    path = f"{s.path}/issues/comments/{comment['id']}"
    await s.call("PATCH", path, json={"body": body.replace("\n", "\r\n")}, by=by)
    return str(body)


async def _with_box(s: Story, issue: int, kind: str, box: str) -> JsonDict | None:
    comment = await shown(s, issue, kind)
    return comment if re.search(rf"- \[ \] <!-- box:{box}(?: #\d+)? -->", comment["body"]) else None


def boxes(body: str) -> list[str]:
    return [line for line in read(body).splitlines() if "box" in line or line.startswith("- [")]


async def ids(s: Story, branch: str) -> dict[str, tuple[str, list[str]]]:
    """Each task's id and needs by the first word of its title."""
    tasks = yaml.safe_load(await s.text(FILE, branch))["tasks"]
    return {t["title"].split()[0]: (t["id"], t["depends_on"]) for t in tasks}


async def test_a_box_of_the_plan_takes_in_what_it_leaves_out(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, DIVIDED, PATCHES, test="none", ci="true") as s:
        issue = await s.open_issue()
        pull = await s.to_review(issue)
        branch = pull["head"]["ref"]
        await s.in_state(issue, "review")
        plan = await shown(s, issue, "plan")
        assert boxes(plan["body"]) == snapshot(
            ["- [ ] `M-1` Wave at the end (architecture)", "- [ ] `M-2` Shout on request (tests)"]
        )
        assert await ids(s, branch) == {"Say": ("T-1", [])}
        await s.put(FILE, (await s.text(FILE, branch)).replace("tasks:\n", "tasks:  # mine\n"), branch)

        await tick(s, issue, "plan", "include M-1")
        assert read(await s.hears(issue, "answer")) == snapshot(
            "`maintainer` ticked the box `include M-1`. `M-1` is taken into #2."
        )
        assert read(await s.hears(pull["number"], "answer")) == snapshot("""\
Taken in, by a commit of its own; change it there as you like:

- `M-1` is `T-2` in #2: `Wave at the end`, which waits for `T-1`\
""")
        assert await ids(s, branch) == {"Say": ("T-1", []), "Wave": ("T-2", ["T-1"])}
        assert "tasks:  # mine\n" in await s.text(FILE, branch)
        assert "Wave at the end" in await s.text("tasks/issue-1/specs/T-2.md", branch)
        await s.quiet()
        plan = await shown(s, issue, "plan")
        assert boxes(plan["body"]) == snapshot(["- [ ] `M-2` Shout on request (tests)"])

        # The same in words; then there is nothing left to tick.
        said = await s.comment(issue, "/agent include m-2")
        assert read(await s.hears(issue, "answer", 2)) == snapshot("`M-2` is taken into #2.")
        await s.hears(pull["number"], "answer", 2)
        assert (await ids(s, branch))["Shout"] == ("T-3", [])
        await s.quiet()
        assert sorted(await s.reactions(said)) == ["eyes", "rocket"]
        assert boxes((await shown(s, issue, "plan"))["body"]) == []
        assert await s.asks(issue, "/agent include M-2") == snapshot("`M-2` is taken in, as `T-3` of #2.")
        assert await s.asks(issue, "/agent include M-9 please") == snapshot("""\
- The plan leaves out no `M-9`, but `M-1`, `M-2`.
- `please` is more than it takes.


Usage: `/agent include <M-n>`, for example `/agent include M-1`.\
""")


@pytest.mark.long
async def test_boxes_of_the_status_act_once_for_whoever_may(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(
        tmp_path, judge, webhook_judge, ONE_TASK, {"bye.patch": BYE}, STRICT, test="none", ci="true"
    ) as s:
        issue = await s.open_issue()
        pull = await s.to_task_pull(issue)
        await s.task_in_state(issue, "in_review")
        await s.quiet()
        assert boxes((await shown(s, issue, "status"))["body"]) == snapshot(["- [ ] Rebase `T-1` (#3)"])

        # By somebody who may write, but not this.
        await s.call("PUT", f"/_test/repos/{s.slug}/collaborators/alice", json={"role": "write"})
        await tick(s, issue, "status", "rebase T-1", by=s.alice)
        assert read(await s.hears(issue, "answer")) == snapshot(
            "`alice` ticked the box `rebase T-1`. `/agent rebase` needs the role `maintain` here; yours is `write`."
        )
        await s.quiet()
        assert boxes((await shown(s, issue, "status"))["body"]) == snapshot(["- [ ] Rebase `T-1` (#3)"])

        # By somebody who may: the branch is put onto the new head.
        await s.put("notes.md", "Moved.\n")
        ticked = await tick(s, issue, "status", "rebase T-1")
        assert read(await s.hears(issue, "answer", 2)) == snapshot(
            "`maintainer` ticked the box `rebase T-1`. The branch of #3 is put onto `main`."
        )
        await s.quiet()
        after = await s.call("GET", f"{s.path}/pulls/{pull['number']}")
        assert after["head"]["sha"] != pull["head"]["sha"]

        # The same tick again, from a page that was open all the time, is not acted on, and that is said; the text is made good.
        status = await shown(s, issue, "status")
        path = f"{s.path}/issues/comments/{status['id']}"
        await s.call("PATCH", path, json={"body": ticked.replace("[x]", "[ ]")})
        await s.call("PATCH", path, json={"body": ticked})
        assert "Nothing was done for it: the box was ticked before" in await s.hears(issue, "answer", 3)
        await s.quiet()
        assert boxes((await shown(s, issue, "status"))["body"]) == ["- [ ] Rebase `T-1` (#3)"]

        # What was closed can be begun anew.
        await s.close(pull["number"])
        await s.in_state(issue, "blocked")
        await tick(s, issue, "status", "retry T-1")
        again = await s.task_pull("T-1")
        assert again["head"]["ref"].endswith("T-1-a2")
        await s.merge_all(issue)
        assert boxes((await shown(s, issue, "status"))["body"]) == []


@pytest.mark.long
async def test_a_box_ticked_before_the_pull_request_is_there_is_remembered(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    clock = MovableClock()
    async with story(
        tmp_path, judge, webhook_judge, DIVIDED, PATCHES, test="none", ci="true", clock=clock
    ) as s:
        issue = await s.open_issue()
        await s.fault("error_before", route="POST /repos/.*/pulls$", count=1_000)
        await s.label(issue)
        await s.hears(issue, "plan")
        await tick(s, issue, "plan", "include M-1")
        assert "as soon as the backlog's pull request is open" in await s.hears(issue, "answer")
        await s.let_go()
        clock.forward(600)  # so that it is tried again now, however often it failed
        s.bot.runner.wake()
        pull = await s.backlog_pull()
        await s.hears(pull["number"], "answer")
        assert (await ids(s, pull["head"]["ref"]))["Wave"] == ("T-2", ["T-1"])


async def test_a_persons_own_box_and_a_strangers_text_are_left_alone(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, DIVIDED, PATCHES, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.to_review(issue)
        await s.in_state(issue, "review")
        fake = "<!-- gitwright:plan track=issue-1 -->\n- [ ] <!-- box:include M-1 -->Take it"
        mine = await s.comment(issue, fake, by=s.alice)
        path = f"{s.path}/issues/comments/{mine}"
        await s.call("PATCH", path, json={"body": fake.replace("[ ]", "[x]")}, by=s.alice)
        # One that the bot never offered, written and ticked in one go.
        plan = await shown(s, issue, "plan")
        extra = f"{plan['body']}\n- [x] <!-- box:include M-9 -->Mine\n- [x] <!-- box:launch M-1 -->Mine"
        await s.call("PATCH", f"{s.path}/issues/comments/{plan['id']}", json={"body": extra})
        await s.quiet()
        assert await s.said(issue, "answer") == []
        assert stage.ok(await s.api.get(path))["body"] == fake.replace("[ ]", "[x]")
