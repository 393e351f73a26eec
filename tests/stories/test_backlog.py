"""The backlog's pull request: edited, invalid, closed, merged elsewhere; what is merged is exactly what runs."""

from pathlib import Path

import pytest
import yaml
from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read
from tests.stories.scripts import BYE, BYE_TASK, JsonDict, agreed, does, new_file, task, writes
from tests.stories.story import story

SHOUT = task("b", "Greet loudly with a shout", ["src/shout.py"])
TWO_TASKS: JsonDict = {
    "planners": agreed(BYE_TASK, SHOUT),
    "tasks": [does("Wave", writes("wave.patch", "I wave.")), does("shout", writes("shout.patch"))],
}
PATCHES = {
    "bye.patch": BYE,
    "wave.patch": new_file("src/wave.py", "def wave():\n    return True\n"),
    "shout.patch": new_file("src/shout.py", "def shout(name):\n    return name.upper()\n"),
}
FILE = "tasks/issue-1/BACKLOG.yaml"


async def test_people_edit_the_file_and_exactly_what_they_merge_runs(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, TWO_TASKS, PATCHES, test="none", ci="true") as s:
        issue = await s.open_issue()
        pull = await s.to_review(issue)
        branch = pull["head"]["ref"]
        check = await s.check(pull["head"]["sha"])
        assert (check["conclusion"], check["output"]["title"]) == snapshot(
            ("success", "2 tasks, ready to merge")
        )

        text = await s.text(FILE, branch)
        broken = text.replace("    kind: simple\n", "    kind: easy\n", 1).replace(
            "depends_on: []", "depends_on: [T-7]", 1
        )
        check = await s.check(await s.put(FILE, broken, branch))
        assert (check["conclusion"], check["output"]["title"]) == snapshot(("failure", "2 problems"))
        assert read(check["output"]["summary"]) == snapshot("""\
- line 9, `SCHEMA`: `kind`: this must be 'documentation', 'simple' or 'complex' (See the format of BACKLOG.yaml, version 1.)
- line 12, `UNKNOWN_DEP`: `T-1` depends on `T-7`, which is no task (Did you mean `T-2`?)
- line 15, `SCOPE_MISSING_FILE`: `src/bye.py` does not exist yet (Right for a new file; else mend it.)
- line 16, `SCOPE_MISSING_FILE`: `tests/test_bye.py` does not exist yet (Right for a new file; or did you mean `tests/test_greet.py`?)
- line 50, `SCOPE_MISSING_FILE`: `src/shout.py` does not exist yet (Right for a new file; or did you mean `src/count.py`?)\
""")
        notes = await s.call("GET", f"{s.path}/check-runs/{check['id']}/annotations")
        lines = broken.splitlines()
        assert [
            (n["title"], lines[n["start_line"] - 1].strip(), n["annotation_level"]) for n in notes
        ] == snapshot(
            [
                ("SCHEMA", "kind: easy", "failure"),
                ("UNKNOWN_DEP", "depends_on: [T-7]", "failure"),
                ("SCOPE_MISSING_FILE", "- src/bye.py", "warning"),
                ("SCOPE_MISSING_FILE", "- tests/test_bye.py", "warning"),
                ("SCOPE_MISSING_FILE", "- src/shout.py", "warning"),
            ]
        )

        # A title of their own, a wider scope, and one task fewer
        edited = yaml.safe_load(text)
        edited["tasks"][0].update(
            title="Wave at people who leave", scope={"paths": ["src/wave.py"]}, context_sha256=""
        )
        edited["tasks"][1]["status"] = "dropped"
        check = await s.check(await s.put(FILE, yaml.safe_dump(edited, sort_keys=False), branch))
        assert (check["conclusion"], check["output"]["title"]) == snapshot(
            ("success", "1 task, ready to merge")
        )

        await s.merge(pull["number"])
        work = await s.task_pull()
        assert work["title"] == "T-1: Wave at people who leave"
        await s.merge_all(issue)
        assert read((await s.said(issue, "receipt"))[0]) == snapshot("""\
### Done: 1 of 2 tasks merged

| task | pull request | attempts | runs |
|---|---|---|---|
| `T-1` Wave at people who leave | #3 | 1 | 1 |
| `T-2` Greet loudly with a shout | dropped | 0 | 0 |

**Agent runs:** 1. **Time:** <duration>. **Cost:**

| work | model | runs | calls | tokens | cost |
|---|---|---:|---:|---:|---:|
| planning | scripted | 3 | 0 | 0 | $0.00 |
| simple | scripted | 1 | 0 | 0 | $0.00 |
| **total** |  | 4 | 0 | 0 | $0.00 |

Nothing is left behind: 4 agent sessions were deleted, each with proof, and no worktree of this track remains.\
""")
        assert [p["head"]["ref"] for p in await s.pulls()] == [branch, "agent/issue-1/T-1-a1"]
        # The task's branch changed its own line and nothing else of what people wrote.
        merged = edited | {"tasks": [edited["tasks"][0] | {"status": "done"}, edited["tasks"][1]]}
        assert yaml.safe_load(await s.text(FILE)) == merged


@pytest.mark.long
async def test_an_invalid_file_that_is_merged_starts_nothing_until_a_valid_one_is_pushed(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        pull = await s.to_review(issue)
        text = await s.text(FILE, pull["head"]["ref"])
        await s.put(FILE, text.replace("  - id: T-1", "  - id: T-1\n    id: T-2"), pull["head"]["ref"])
        await s.merge(pull["number"])
        assert read(await s.hears(issue, "problem")) == snapshot("""\
`tasks/issue-1/BACKLOG.yaml` was merged but cannot be read, so nothing starts. Push a valid file to start.

- line 8, `DUP_YAML_KEY`: The key `id` is written twice (Keep one of them.)\
""")
        await s.in_state(issue, "blocked")

        await s.put("README.md", "# Something else\n")
        await s.put(FILE, "tasks: [\n")
        await s.quiet()
        assert await s.state(issue) == "blocked"
        assert [p["number"] for p in await s.pulls("open")] == []

        await s.put(FILE, text)
        await s.task_pull()
        await s.merge_all(issue)


@pytest.mark.long
async def test_closed_or_merged_elsewhere_it_starts_nothing_and_says_so(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        closed, elsewhere = await s.open_issue(), await s.open_issue()
        pull = await s.to_review(closed)
        await s.close(pull["number"])
        assert read(await s.hears(closed, "problem")) == snapshot(
            "Cancelled: #3 was closed without merging. To try again, comment `/agent plan`, or remove the label `agent:plan` and set it again."
        )
        await s.in_state(closed, "cancelled")
        assert await s.status(closed) == snapshot("""\
### Gitwright: Cancelled

**Last:** `#3` was closed unmerged (<time>)

**Cost so far:** 0 tokens, $0.00, of at most $10.00.\
""")

        await s.branch("release")
        pull = await s.to_review(elsewhere)
        await s.call("PATCH", f"{s.path}/pulls/{pull['number']}", json={"base": "release"})
        await s.merge(pull["number"])
        assert read(await s.hears(elsewhere, "problem")) == snapshot(
            "#4 was merged into `release`, not into `main`, so nothing starts. The work starts when `tasks/issue-2/BACKLOG.yaml` arrives on `main`."
        )
        await s.in_state(elsewhere, "blocked")
        await s.quiet()
        assert await s.pulls("open") == []

        # As the comment says: when the file arrives on the default branch, the work starts.
        path = f"tasks/issue-{elsewhere}/BACKLOG.yaml"
        await s.put(path, await s.text(path, "release"))
        await s.task_pull()


def refined(id_: str, title: str, path: str, **more: object) -> JsonDict:
    """A task as the backlog model of a script gives it."""
    return {"id": id_, "title": title, "scope": {"paths": [path]}, "acceptance": ["It is there."], **more}


async def test_tasks_whose_scopes_the_backlog_model_made_meet_wait_for_each_other(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    said = [refined("T-1", "Say goodbye", "src/bye.py"), refined("T-2", "Greet loudly", "src")]
    script = {**TWO_TASKS, "backlog": said}
    async with story(tmp_path, judge, webhook_judge, script, PATCHES, test="none", ci="true") as s:
        pull = await s.to_review(await s.open_issue())
        file = yaml.safe_load(await s.text(FILE, pull["head"]["ref"]))
        assert [(t["title"], t["depends_on"]) for t in file["tasks"]] == [
            ("Say goodbye", []),
            ("Greet loudly", ["T-1"]),
        ]


async def test_a_backlog_of_the_model_that_is_not_valid_gives_way_to_the_merged_plan(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script = {**TWO_TASKS, "backlog": [refined("T-1", "Say goodbye", "src/bye.py", depends_on=["T-9"])]}
    async with story(tmp_path, judge, webhook_judge, script, PATCHES, test="none", ci="true") as s:
        pull = await s.to_review(await s.open_issue())
        file = yaml.safe_load(await s.text(FILE, pull["head"]["ref"]))
        assert [t["title"] for t in file["tasks"]] == ["Say goodbye", "Greet loudly with a shout"]
        assert [line for line in read(pull["body"]).splitlines() if "gave nothing" in line] == snapshot(
            [
                "The backlog model gave nothing usable (`T-1` depends on `T-9`, which is no task); this is the merged plan as it is."
            ]
        )
