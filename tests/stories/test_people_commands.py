"""Slash commands, each cell of the table: what they do before the backlog is merged, and while the work goes on."""

from pathlib import Path

import pytest
import yaml
from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read, state_of
from tests.stories.scripts import BYE, BYE_TASK, FILES, JsonDict, agreed, does, new_file, task, writes
from tests.stories.story import Story, story
from tests.stories.test_buttons import closed

WAVE = task("b", "Wave at the end", ["src/wave.py"], depends_on=["a"])
SHOUT = task("c", "Shout on request", ["src/shout.py"])
THREE: JsonDict = {
    "planners": agreed(BYE_TASK, WAVE, SHOUT),
    "tasks": [
        does("goodbye", writes("bye.patch")),
        does("Wave", writes("wave.patch")),
        does("Shout", writes("shout.patch")),
    ],
}
PATCHES = {
    "bye.patch": BYE,
    "wave.patch": new_file("src/wave.py", "wave = True\n"),
    "shout.patch": new_file("src/shout.py", "shout = True\n"),
    "more.patch": new_file("tests/test_more.py", "def test_more():\n    assert True\n"),
}
FILE = "tasks/issue-1/BACKLOG.yaml"


async def _ids(s: Story, branch: str = "main") -> dict[str, str]:
    """Give each task's id by the first word of its title."""
    return {t["title"].split()[0]: t["id"] for t in yaml.safe_load(await s.text(FILE, branch))["tasks"]}


@pytest.mark.long
async def test_a_command_that_means_nothing_now_is_refused_with_what_does(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        assert await s.asks(issue, "/agent pause") == snapshot(
            "`/agent pause` means nothing now: nothing is planned here. Valid now: `/agent plan`, `/agent status`, `/agent why [task]`, `/agent help`."
        )
        pull = await s.to_review(issue)
        await s.in_state(issue, "review")
        assert await s.asks(issue, "/agent retry T-1") == snapshot(
            "`/agent retry` means nothing now: the state of `issue-1` is “The backlog waits for review”. Valid now: `/agent plan`, `/agent revise [task] <note>`, `/agent skip <task>`, `/agent pause`, `/agent stop`, `/agent budget <usd>`, `/agent status`, `/agent why [task]`, `/agent help`."
        )
        assert await s.asks(issue, "/agent skip T-9 now, please") == snapshot("""\
- There is no task `T-9`; the tasks are `T-1`.
- `now, please` is more than it takes.


Usage: `/agent skip <task>`, for example `/agent skip T-2`.\
""")
        assert await s.asks(issue, "/agent budget lots of it") == snapshot("""\
- `lots` is no amount between 0.01 and 100,000 US dollars.
- `of it` is more than it takes.


Usage: `/agent budget <usd>`, for example `/agent budget 5`.\
""")
        assert await s.asks(issue, "/agent pause a while") == snapshot("""\
`a while` is more than it takes.

Usage: `/agent pause`, for example `/agent pause`.\
""")
        await s.merge(pull["number"])
        work = (await s.task_pull())["number"]
        await s.task_in_state(issue, "in_review")
        assert await s.asks(issue, "/agent revise Make it polite.") == snapshot(
            "The backlog is merged, so a note needs a task: comment it on #3 to have that mended; `/agent plan` begins a new round with other words in the issue. Valid now: `/agent plan`, `/agent revise [task] <note>`, `/agent skip <task>`, `/agent retry [task]`, `/agent regenerate [task] [note]`, `/agent rebase [task]`, `/agent pause`, `/agent stop`, `/agent budget <usd>`, `/agent status`, `/agent why [task]`, `/agent help`."
        )
        assert await s.asks(work, "/agent revise") == snapshot("""\
Say what should be different.

Usage: `/agent revise [task] <note>`, for example `/agent revise Split the parser from the printer.`.\
""")
        assert await s.asks(issue, "/agent resume") == snapshot(
            "`/agent resume` means nothing now: the state of `issue-1` is “Working”. Valid now: `/agent plan`, `/agent revise [task] <note>`, `/agent skip <task>`, `/agent retry [task]`, `/agent regenerate [task] [note]`, `/agent rebase [task]`, `/agent pause`, `/agent stop`, `/agent budget <usd>`, `/agent status`, `/agent why [task]`, `/agent help`."
        )
        assert await s.asks(issue, "/agent regenerate T-7 nicer") == snapshot("""\
There is no task `T-7`; the tasks are `T-1`.

Usage: `/agent regenerate [task] [note]`, for example `/agent regenerate T-2 Keep the old signature.`.\
""")
        await s.merge_all(issue)
        assert await s.asks(issue, "/agent stop") == snapshot(
            "`/agent stop` means nothing now: the state of `issue-1` is “Done”. Valid now: `/agent plan`, `/agent status`, `/agent why [task]`, `/agent help`."
        )


@pytest.mark.long
async def test_skip_drops_a_task_in_the_file_under_review_by_a_commit_of_its_own(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, THREE, PATCHES, test="none", ci="true") as s:
        issue = await s.open_issue()
        pull = await s.to_review(issue)
        await s.in_state(issue, "review")
        branch = pull["head"]["ref"]
        ids = await _ids(s, branch)
        before = "# Mine, do not touch.\n" + await s.text(FILE, branch)
        await s.put(FILE, before, branch)
        said = await s.asks(pull["number"], f"/agent skip {ids['Say'].lower()}")
        assert _named(said, ids) == snapshot("""\
`<Say>` is dropped in the file of #2, by a commit of its own.

`<Wave>` needs it and will not start before you choose: `/agent skip <Wave>` drops it too, or take `<Say>` out of `depends_on` there.\
""")

        async def dropped() -> bool:
            return "status: dropped" in await s.text(FILE, branch)

        await s.until("the line says dropped", dropped)
        at = before.index(f"id: {ids['Say']}\n")
        assert await s.text(FILE, branch) == before[:at] + before[at:].replace("todo", "dropped", 1)
        assert _named(await s.asks(issue, f"/agent skip {ids['Say']}"), ids) == snapshot(
            "`<Say>` is dropped already in #2."
        )
        # As it was told: what needs it is dropped too.
        await s.asks(issue, f"/agent skip {ids['Wave']}")

        async def both() -> bool:
            return (await s.text(FILE, branch)).count("status: dropped") == 2

        await s.until("both lines say dropped", both)
        await s.merge(pull["number"])
        await s.merge_all(issue)
        assert "1 of 3 tasks merged" in (await s.said(issue, "receipt"))[0]


def _named(text: str, ids: dict[str, str]) -> str:
    for word, id_ in ids.items():
        text = text.replace(id_, f"<{word}>")
    return text


@pytest.mark.long
async def test_revise_works_a_note_into_the_file_and_keeps_what_people_wrote(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    revision = [
        {"id": "T-1", "title": "Say goodbye to everybody", "acceptance": ["Everybody is named."]},
        {**_whole("T-2"), "title": "Count the goodbyes", "scope": {"paths": ["src/count_byes.py"]}},
    ]
    again = [{"id": "T-1", "title": "Say goodbye", "priority": "low"}]
    script: JsonDict = {
        "planners": agreed(BYE_TASK),
        "tasks": [does("goodbye", writes("bye.patch")), does("Farewell", writes("bye.patch"))],
        "revisions": [revision, again],
    }
    async with story(tmp_path, judge, webhook_judge, script, PATCHES, test="none", ci="true") as s:
        issue = await s.open_issue()
        pull = await s.to_review(issue)
        number, branch = pull["number"], pull["head"]["ref"]
        await s.in_state(issue, "review")
        text = await s.text(FILE, branch)
        mine = text.replace("title: Say goodbye\n", "title: Farewell, you  # our word\n")
        await s.put(FILE, mine, branch)
        assert await s.asks(number, "/agent revise Name everybody, and count.") == snapshot(
            "Your note is being worked into #2."
        )
        assert read(await s.hears(number, "answer", 2)) == snapshot("""\
Your note was worked into #2:

- `T-1`: acceptance
- `T-2` is new

Kept as people wrote it, though your note would change it:

- `T-1`: title\
""")
        now = await s.text(FILE, branch)
        assert "title: Farewell, you  # our word\n" in now
        assert yaml.safe_load(now)["tasks"][0]["acceptance"] == ["Everybody is named."]
        assert "T-2" in await s.text("tasks/issue-1/specs/T-2.md", branch)
        check = await s.check((await s.call("GET", f"{s.path}/pulls/{number}"))["head"]["sha"])
        assert check["output"]["title"] == "2 tasks, ready to merge"

        # What people wrote before the first note is theirs at the second one as well.
        assert await s.asks(issue, "/agent skip T-2") != ""
        answers = len(await s.said(number, "answer"))
        await s.comment(issue, "/agent revise Not so urgent.")
        assert read(await s.hears(number, "answer", answers + 1)) == snapshot("""\
Your note was worked into #2:

- `T-1`: priority

Kept as people wrote it, though your note would change it:

- `T-1`: title\
""")
        # The script has no third one: nothing usable, and the file stays.
        await s.comment(issue, "/agent revise Once more.")
        assert read(await s.hears(number, "answer", answers + 2)) == snapshot(
            "The backlog model gave nothing usable: the script has no revision 3. Edit the file itself, or say it otherwise."
        )
        await s.merge(number)
        await s.merge_all(issue)
        assert "Farewell, you  # our word" in await s.text(FILE)


def _whole(id_: str) -> JsonDict:
    return {"id": id_, "kind": "simple", "acceptance": ["It is."], "estimate": "S", "votes": 1}


@pytest.mark.long
async def test_pause_starts_nothing_lets_what_runs_finish_and_resume_goes_on(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, THREE, PATCHES, test="none", ci="true") as s:
        issue = await s.open_issue()
        # While it is planned: no pull request comes of it.
        await s.label(issue)
        assert await s.asks(issue, "/agent pause") == snapshot(
            "Paused: nothing new is started. `/agent resume` goes on."
        )
        await s.quiet()
        assert (await s.state(issue), await s.pulls()) == ("paused", [])
        assert await s.asks(issue, "/agent resume") == snapshot("Going on.")
        backlog = await s.backlog_pull()
        await s.in_state(issue, "review")
        ids = await _ids(s, backlog["head"]["ref"])
        await s.merge(backlog["number"])

        # While agents work: what is merged frees nothing.
        bye = await s.task_pull(ids["Say"])
        await s.task_in_state(issue, "in_review", ids["Say"])
        await s.task_in_state(issue, "in_review", ids["Shout"])
        await s.asks(issue, "/agent pause")
        await s.in_state(issue, "paused")
        await s.merge(bye["number"])
        await s.quiet()
        assert await s.task_state(issue, ids["Wave"]) != "checking"
        assert len(await s.pulls("open")) == 1
        await s.asks(issue, "/agent resume")
        await s.task_pull(ids["Wave"])
        await s.merge_all(issue)


@pytest.mark.long
async def test_stop_kills_and_closes_and_resume_undoes_both(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script = THREE | {
        "tasks": [
            does("goodbye", writes("bye.patch")),
            does("Wave", writes("wave.patch")),
            does("Shout", {"behave": "stall"}, writes("shout.patch")),
        ]
    }
    async with story(tmp_path, judge, webhook_judge, script, PATCHES, test="none", ci="true") as s:
        issue = await s.open_issue()
        backlog = await s.to_review(issue)
        await s.in_state(issue, "review")
        assert await s.asks(backlog["number"], "/agent stop") == snapshot(
            "Stopped: what runs is killed and open pull requests are closed; their branches are kept. `/agent resume` opens and starts it again."
        )
        await s.quiet()
        assert await s.pulls("open") == []
        assert await s.state(issue) == "stopped"
        await s.asks(issue, "/agent resume")
        assert (await s.backlog_pull())["number"] == backlog["number"]
        await s.in_state(issue, "review")
        ids = await _ids(s, backlog["head"]["ref"])
        await s.merge(backlog["number"])

        bye = await s.task_pull(ids["Say"])
        await s.task_in_state(issue, "in_review", ids["Say"])
        await s.task_in_state(issue, "running", ids["Shout"])
        await s.asks(issue, "/agent stop")
        await s.quiet()
        assert await s.pulls("open") == []
        assert not [each for each in await s.bot.store.open_sessions() if each.kind == "coder"]
        assert (await s.state(issue), "agent:blocked" in await s.labels(issue)) == ("stopped", True)
        await s.call("GET", f"{s.path}/git/ref/heads/{bye['head']['ref']}")  # its branch is kept
        await s.asks(issue, "/agent resume")
        assert (await s.task_pull(ids["Say"]))["number"] == bye["number"]
        shout = await s.task_pull(ids["Shout"])
        assert shout["head"]["ref"].endswith("-a2")
        await s.merge_all(issue)


async def test_budget_sets_the_ceiling(tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.to_review(issue)
        await s.in_state(issue, "review")
        assert await s.asks(issue, "/agent budget $2.50") == snapshot(
            "The ceiling of `issue-1` is $2.50 now; $0.00 of it is spent."
        )
        await s.quiet()
        assert "of at most $2.50" in await s.status(issue)


@pytest.mark.long
async def test_skip_while_working_stops_the_task_and_what_needs_it_waits_for_a_choice(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script = THREE | {
        "tasks": [
            does("goodbye", {"behave": "stall"}),
            does("Wave", writes("wave.patch")),
            does("Shout", writes("shout.patch")),
        ]
    }
    async with story(tmp_path, judge, webhook_judge, script, PATCHES, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.merge((await s.to_review(issue))["number"])
        ids = await _ids(s)
        shout = (await s.task_pull(ids["Shout"]))["number"]
        await s.task_in_state(issue, "in_review", ids["Shout"])
        await s.task_in_state(issue, "running", ids["Say"])
        assert _named(await s.asks(issue, f"/agent skip {ids['Say']}"), ids) == snapshot("""\
`<Say>` is dropped.

`<Wave>` needs it and will not start before you choose: `/agent skip <Wave>` drops it too, or take `<Say>` out of `depends_on` on the default branch.\
""")
        await s.task_in_state(issue, "blocked", ids["Wave"])
        rows = [line for line in (await s.status(issue)).splitlines() if line.startswith("| `")]
        assert [_named(row, ids) for row in rows] == snapshot(
            [
                "| `<Say>` | Say goodbye | dropped: by maintainer |  |",
                "| `<Wave>` | Wave at the end | blocked: needs <Say>, which was dropped; take that out of its depends\\_on, or drop it too |  |",
                "| `<Shout>` | Shout on request | waits for your review | #3 |",
            ]
        )
        await s.quiet()
        assert not [each for each in await s.bot.store.open_sessions() if each.kind == "coder"]

        # On its pull request no name is needed; nothing follows that could record it, so a pull request does.
        assert _named(await s.asks(shout, "/agent skip"), ids) == snapshot(
            "`<Shout>` is dropped. #3 is closed; its branch is kept."
        )
        await s.quiet()
        assert await s.pulls("open") == []
        await s.asks(issue, f"/agent skip {ids['Wave']}")
        record = (await s.until("the record", lambda: s.pulls("open")))[0]
        assert record["head"]["ref"] == "agent/issue-1/record"
        assert read(record["body"]) == snapshot("""\
Part of #1. Every task is settled. It writes down which tasks were dropped; merging it ends the work on this issue.

Closing it unmerged ends the work too, without the record.\
""")
        await s.quiet()
        assert f"merge #{record['number']}, the record" in await s.status(issue)
        await s.merge(record["number"])
        await s.in_state(issue, "done")
        assert (await s.text(FILE)).count("status: dropped") == 3


@pytest.mark.long
async def test_without_records_a_pull_request_removes_them_before_the_end(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    files = FILES | {".github/gitwright.yml": "keep_records: false\n"}
    async with story(tmp_path, judge, webhook_judge, files=files, test="none", ci="true") as s:
        issue = await s.open_issue()
        work = await s.to_task_pull(issue)
        await s.task_in_state(issue, "in_review")
        await s.merge(work["number"])
        record = (await s.until("the record", lambda: s.pulls("open")))[0]
        assert record["title"] == snapshot("Remove the records of issue-1")
        await s.merge(record["number"])
        await s.in_state(issue, "done")
        found = await s.api.get(f"{s.path}/contents/tasks")
        assert found.status_code == 404


@pytest.mark.long
async def test_retry_begins_another_attempt_and_a_merged_line_set_back_is_asked_about(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    wide = BYE_TASK | {"files": [*BYE_TASK["files"], "tests/test_more.py"]}
    script: JsonDict = {
        "planners": agreed(wide, SHOUT),
        "tasks": [
            does("goodbye", writes("bye.patch"), writes("more.patch")),
            does("Shout", {"behave": "stall"}),
        ],
    }
    async with story(tmp_path, judge, webhook_judge, script, PATCHES, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.merge((await s.to_review(issue))["number"])
        ids = await _ids(s)
        bye = await s.task_pull(ids["Say"])
        await s.task_in_state(issue, "in_review", ids["Say"])
        assert _named(await s.asks(issue, f"/agent retry {ids['Shout']}"), ids) == snapshot(
            "An agent works on `<Shout>` right now: `/agent revise <Shout> <note>` steers it, `/agent skip <Shout>` stops it."
        )
        await s.merge(bye["number"])
        await s.task_in_state(issue, "done", ids["Say"])
        assert _named(await s.asks(issue, f"/agent retry {ids['Say']}"), ids) == snapshot(
            "`<Say>` is merged. To do it again, set its line in `tasks/issue-1/BACKLOG.yaml` back to `todo` first."
        )

        text = await s.text(FILE)
        await s.put(FILE, text.replace("status: done", "status: todo"))
        await s.task_in_state(issue, "reverted", ids["Say"])
        asked = _named(read(await s.hears(issue, "problem"), {bye["number"]: "bye"}), ids)
        assert await s.pulls("open") == []
        assert asked == snapshot(
            "`<Say>` was merged with #<bye>, and its line in `tasks/issue-1/BACKLOG.yaml` says `todo` again. It is not run unasked: `/agent retry <Say>` runs it again; `status: done` or `dropped` in its line leaves it."
        )
        said = _named(await s.asks(issue, f"/agent retry {ids['Say']}"), ids)
        assert said == snapshot("Attempt 2 of `<Say>` begins, with the same spec.")
        again = await s.task_pull(ids["Say"])
        assert again["head"]["ref"].endswith("-a2")
        await s.task_in_state(issue, "in_review", ids["Say"])

        # What is dropped now is written by the next pull request of the track.
        await s.asks(issue, f"/agent skip {ids['Shout']}")
        await s.task_in_state(issue, "dropped", ids["Shout"])

        # On its pull request: the next attempt replaces this one, whose branch is kept.
        await s.comment(again["number"], "/agent regenerate Also say it twice.")
        third = await s.until("the third attempt", lambda: _attempt(s, "-a3"))
        await s.until("the second is closed", lambda: closed(s, again["number"]))
        spec = await s.text(f"tasks/issue-1/specs/{ids['Say']}.md", third["head"]["ref"])
        assert "Also say it twice." in spec
        await s.task_in_state(issue, "in_review", ids["Say"])
        await s.merge_all(issue)
        assert (await s.text(FILE)).count("status: dropped") == 1
        assert (await s.pulls())[-1]["number"] == third["number"], "no other pull request was needed"


async def _attempt(s: Story, end: str) -> JsonDict | None:
    return next((p for p in await s.pulls("open") if p["head"]["ref"].endswith(end)), None)


async def test_revise_steers_a_running_agent_and_mends_a_pull_request(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script: JsonDict = {
        "planners": agreed(BYE_TASK),
        "tasks": [
            does(
                "goodbye",
                {"behave": "stall", "noted": writes("bye.patch", "I heard you.")},
                writes("more.patch", "One more test."),
            )
        ],
    }
    async with story(tmp_path, judge, webhook_judge, script, PATCHES, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.merge((await s.to_review(issue))["number"])
        await s.task_in_state(issue, "running")
        assert await s.asks(issue, "/agent revise T-1 Be quick.") == snapshot(
            "The agent that works on `T-1` is told."
        )
        pull = await s.task_pull()
        assert "I heard you." in pull["body"]
        await s.task_in_state(issue, "in_review")
        assert await s.asks(pull["number"], "/agent revise One more test, please.") == snapshot(
            "An agent mends #3 by your note: it adds a commit, nothing is rewritten."
        )

        async def mended() -> bool:
            commits = await s.call("GET", f"{s.path}/pulls/{pull['number']}/commits")
            return len(commits) == 2 and commits[0]["sha"] == pull["head"]["sha"]

        await s.until("a commit is added", mended)
        await s.task_in_state(issue, "in_review")
        await s.merge_all(issue)


@pytest.mark.long
async def test_rebase_moves_the_branch_only(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        pull = await s.to_task_pull(issue)
        await s.task_in_state(issue, "in_review")
        moved = await s.put("README.md", "# The base moves\n")
        await s.quiet()
        assert await s.asks(pull["number"], "/agent rebase") == snapshot(
            "The branch of #3 is put onto `main`."
        )

        async def rebased() -> bool:
            now = await s.call("GET", f"{s.path}/compare/{moved}...{pull['head']['ref']}")
            return bool(now["status"] == "ahead" and now["ahead_by"] == 1)

        await s.until("the branch stands on the new base", rebased)
        await s.task_in_state(issue, "in_review")
        assert state_of((await s.said(issue, "status"))[0])["tasks"]["T-1"][1:3] == [1, 1]
        await s.merge_all(issue)
