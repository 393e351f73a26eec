"""Tasks that do not go straight: agents that fail, changes that are refused, CI and people that say no."""

import re
from pathlib import Path

import pytest
import yaml
from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read
from tests.stories.scripts import BYE, FILES, JsonDict, agreed, does, new_file, task, writes
from tests.stories.story import Story, story

FILE = "tasks/issue-1/BACKLOG.yaml"
SECRET = "ghp_" + "abcdefghijklmnopqrst" + "UVWXYZ0123456789"
# A test command that costs nothing: red where a file says so, and then with evidence.
CHECK = {"check.sh": 'if [ -e src/bad.py ]; then echo "evidence: bad is bad"; exit 1; fi\necho fine\n'}

BEHAVIORS: JsonDict = {
    "planners": agreed(
        task("a", "Recover from a crash", ["src/crash.py"]),
        task("b", "Wander into another folder", ["src/wander.py"]),
        task("c", "Idle until the end", ["src/idle.py"]),
        task("d", "Touch the workflow of the repository", ["src/flow.py"]),
        task("e", "Configure the upload", ["src/upload.py"]),
        task("f", "Break what was green", ["src/bad.py"]),
    ),
    "tasks": [
        does("crash", writes("crash.patch", behave="crash"), writes("crash.patch", "Second time lucky.")),
        does("Wander", writes("wander.patch", behave="outside_scope")),
        does("Idle", {"behave": "no_change", "say": "Nothing to do."}),
        does("workflow", writes("flow.patch")),
        does("upload", writes("upload.patch", f"The token is {SECRET}.")),
        does("Break", writes("bad.patch")),
    ],
}
PATCHES = {
    "crash.patch": new_file("src/crash.py", "crash = False\n"),
    "wander.patch": new_file("src/wander.py", "wander = True\n"),
    "flow.patch": new_file(".github/workflows/steal.yml", "on: push\n"),
    "upload.patch": new_file("src/upload.py", f'TOKEN = "{SECRET}"\n'),
    "bad.patch": new_file("src/bad.py", "bad = True\n"),
}


@pytest.mark.long
async def test_agents_that_fail_and_changes_that_are_refused_end_in_words(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(
        tmp_path, judge, webhook_judge, BEHAVIORS, PATCHES, FILES | CHECK, test="sh check.sh", ci="true"
    ) as s:
        issue = await s.open_issue()
        await s.merge((await s.to_review(issue))["number"])
        ids = await _ids(s)
        crashed, wandered = await s.task_pull(ids["Recover"]), await s.task_pull(ids["Wander"])
        for word in ("Idle", "Touch", "Configure", "Break"):
            await s.task_in_state(issue, "blocked", ids[word])
        for word in ("Recover", "Wander"):
            await s.task_in_state(issue, "in_review", ids[word])
        await s.quiet()
        said = await _problems(s, issue, ids)
        assert said["Idle"] == snapshot("""\
`<task>` is blocked in attempt 4: the agent ended without changing anything

What you can do:

- `/agent retry <task>`: another attempt with the same spec
- `/agent regenerate <task> <note>`: another attempt, the spec improved by your note
- `/agent skip <task>`: drop it\
""")
        assert said["Touch"] == snapshot("""\
`<task>` is blocked in attempt 1: it changed protected files: `.github/workflows/steal.yml`

- `.github/workflows/steal.yml`: CI runs it before anybody looks, perhaps with secrets

What you can do:

- `/agent retry <task>`: another attempt with the same spec
- `/agent regenerate <task> <note>`: another attempt, the spec improved by your note
- `/agent skip <task>`: drop it\
""")
        assert said["Configure"] == snapshot("""\
`<task>` is blocked in attempt 1: the change holds what looks like a secret

- `src/upload.py` line 1: GitHub token

What you can do:

- `/agent retry <task>`: another attempt with the same spec
- `/agent regenerate <task> <note>`: another attempt, the spec improved by your note
- `/agent skip <task>`: drop it\
""")
        assert said["Break"] == snapshot("""\
`<task>` is blocked in attempt 4: the agent ended without changing anything; it was to mend this: `sh check.sh` is red after its work

What you can do:

- `/agent retry <task>`: another attempt with the same spec
- `/agent regenerate <task> <note>`: another attempt, the spec improved by your note
- `/agent skip <task>`: drop it\
""")

        assert crashed["head"]["ref"].endswith("-a2")
        assert "Second time lucky." in crashed["body"]
        assert [line for line in read(wandered["body"]).splitlines() if "outside" in line] == snapshot(
            ["**Changed outside its scope:** `OUTSIDE.txt`"]
        )
        assert len(await s.pulls("open")) == 2
        everything = [text for texts in (await s.posted()).values() for text in texts]
        assert not any(SECRET in text for text in everything)

        # As the comments say: drop what cannot be done, on the default branch.
        file = await s.text(FILE)
        for word in ("Idle", "Touch", "Configure", "Break"):
            file = re.sub(rf"(id: {ids[word]}\n(?:.*\n)*?    status: )todo", r"\1dropped", file)
        await s.put(FILE, file)
        await s.merge_all(issue)


async def _ids(s: Story) -> dict[str, str]:
    """Give each task's id by the first word of its title."""
    return {t["title"].split()[0]: t["id"] for t in yaml.safe_load(await s.text(FILE))["tasks"]}


async def _problems(s: Story, issue: int, ids: dict[str, str]) -> dict[str, str]:
    """Give what was said of each task, with its id named."""
    found = {}
    for body in map(read, await s.said(issue, "problem")):
        for word, id_ in ids.items():
            if f"`{id_}`" in body:
                found[word] = body.replace(id_, "<task>")
    return found


REVIEWED: JsonDict = {
    "planners": agreed(
        task("a", "Redden the pipeline", ["src/red.py"]),
        task("b", "Displease the maintainer", ["src/ugly.py"]),
        task("c", "Follow the pipeline", ["src/after.py"], depends_on=["a"]),
    ),
    "tasks": [
        does("Redden", writes("red.patch")),
        does("Displease", writes("ugly.patch")),
        does("Follow", writes("after.patch")),
    ],
}


@pytest.mark.long
async def test_a_red_pull_request_waits_for_a_fix_and_a_closed_one_is_held(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    patches = {
        "red.patch": new_file("src/red.py", "red = True\n"),
        "ugly.patch": new_file("src/ugly.py", "ugly = True\n"),
        "after.patch": new_file("src/after.py", "after = True\n"),
    }
    ci = "! grep -qs True src/red.py"
    async with story(tmp_path, judge, webhook_judge, REVIEWED, patches, test="none", ci=ci) as s:
        issue = await s.open_issue()
        await s.merge((await s.to_review(issue))["number"])
        ids = await _ids(s)
        red, ugly = await s.task_pull(ids["Redden"]), await s.task_pull(ids["Displease"])
        await s.task_in_state(issue, "blocked", ids["Redden"])
        names = {red["number"]: "red", ugly["number"]: "ugly"}
        assert read(await s.hears(issue, "problem"), names).replace(ids["Redden"], "<task>") == snapshot(
            """\
#<red> (`<task>`) is blocked in attempt 1: the agent ended without changing anything; it was to mend this: checks failed: tests

What you can do:

- push a fix to the branch of #<red>, or comment `/agent revise <note>` there
- `/agent retry <task>`: another attempt with the same spec
- `/agent regenerate <task> <note>`: another attempt, the spec improved by your note
- `/agent skip <task>`: drop it\
"""
        )

        await s.close(ugly["number"])
        await s.task_in_state(issue, "held", ids["Displease"])
        await s.in_state(issue, "blocked")
        assert _rows(await s.status(issue, names)) == snapshot(
            [
                "> [!WARNING]",
                "> Nothing can go on before this is mended:",
                ">",
                "> - `<task>` is blocked: the agent ended without changing anything; it was to mend this: checks failed: tests",
                "> - `<task>` is held: `#<ugly>` was closed by maintainer",
                ">",
                "> For each of them: `/agent retry <task>`, `/agent skip <task>`, push a fix to the branch of its open pull request, or set its `status` to `done` or `dropped` in `tasks/issue-1/BACKLOG.yaml` on `main`.",
                "| `<task>` | Redden the pipeline | blocked: the agent ended without changing anything; it was to mend this: checks failed: tests | #<red> |",
                "| `<task>` | Displease the maintainer | held: `#<ugly>` was closed by maintainer | #<ugly> |",
                "| `<task>` | Follow the pipeline | waits for its dependencies |  |",
            ]
        )

        # As the comment says: push a fix to its branch.
        await s.put("src/red.py", "red = False\n", red["head"]["ref"])
        await s.task_in_state(issue, "in_review", ids["Redden"])
        await s.in_state(issue, "working")
        await s.merge(red["number"])
        await s.task_pull(ids["Follow"])
        file = await s.text(FILE)
        await s.put(
            FILE, re.sub(rf"(id: {ids['Displease']}\n(?:.*\n)*?    status: )todo", r"\1dropped", file)
        )
        await s.merge_all(issue)


def _rows(status: str) -> list[str]:
    return [
        re.sub(r"`T-\d`", "`<task>`", line) for line in status.splitlines() if line.startswith(("| `", ">"))
    ]


@pytest.mark.long
async def test_without_any_ci_a_pull_request_is_reviewed_as_it_is(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci=None) as s:
        issue = await s.open_issue()
        await s.to_task_pull(issue)
        await s.is_checked(issue)
        await s.time_passes(20)
        await s.task_in_state(issue, "in_review")
        assert _rows(await s.status(issue)) == snapshot(
            ["| `<task>` | Say goodbye | waits for your review: this repository has no checks | #3 |"]
        )
        await s.merge_all(issue)


@pytest.mark.long
async def test_a_red_baseline_is_no_reason_not_to_plan_but_work_waits_until_it_is_green(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    files = FILES | CHECK | {"src/bad.py": "bad = True\n"}
    async with story(
        tmp_path, judge, webhook_judge, None, {"bye.patch": BYE}, files, test="sh check.sh", ci="true"
    ) as s:
        issue = await s.open_issue()
        await s.merge((await s.to_review(issue))["number"])
        assert read(await s.hears(issue, "problem")) == snapshot("""\
Not ready for work:

- `BASELINE`: `sh check.sh` is red on the base: it ends with an error. Mend the base, or list the failing tests under `known_failing` in `.github/gitwright.yml`.

Every push to `main` is looked at again.\
""")
        await s.in_state(issue, "blocked")
        assert await s.pulls("open") == []
        await s.put("check.sh", "echo fine\n")
        await s.task_pull()
        await s.merge_all(issue)
