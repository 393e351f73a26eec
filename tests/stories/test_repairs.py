"""Pull requests that do not stay green, told as conversations: what RebaseEngine decides and what people read of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read
from tests.stories.repairing import (
    Stage,
    always_asking,
    begun,
    commits,
    decisions,
    moody,
    moved,
    never_messy,
    parents,
    pull_of,
    reviewable,
    to_the_end,
    until,
)
from tests.stories.scripts import FILES, JsonDict, agreed, does, new_file, task, writes

BYE = new_file("src/bye.py", "bye = 'Bye'\n")
DRAFT = new_file("src/bye.py", "# TODO: say it\nbye = 'Bye'\n")
MENDED = """\
diff --git a/src/bye.py b/src/bye.py
--- a/src/bye.py
+++ b/src/bye.py
@@ -1,2 +1 @@
-# TODO: say it
 bye = 'Bye'
"""
STRAYS = "".join(new_file(f"stray-{n}.txt", "tried this\n") for n in range(6))


def one_task(*runs: JsonDict, files: tuple[str, ...] = ("src/bye.py",)) -> JsonDict:
    return {
        "planners": agreed(task("a", "Say goodbye", list(files))),
        "tasks": [does("goodbye", *runs)],
    }


@pytest.fixture
def stage(tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge) -> Stage:
    return Stage(tmp_path, (judge, webhook_judge))


async def fixed_forward(stage: Stage) -> None:
    script = one_task(writes("draft.patch"), writes("mended.patch", "I took the TODO out."))
    async with stage(script, {"draft.patch": DRAFT, "mended.patch": MENDED}) as s:
        issue = await begun(s)
        pull = await pull_of(s, issue)
        now = await moved(s, pull)
        # Appended, nothing rewritten.
        made = await commits(s, pull["number"])
        assert [each["sha"] for each in made] == [pull["head"]["sha"], now]
        assert "\n\nDecided on the way: fix_forward\n\n" in made[1]["commit"]["message"]
        await reviewable(s, issue)
        why = await s.asks(pull["number"], "/agent why")
        assert "checks failed: tests; decided: fix forward" in why
        assert "fixes 0 of 2" in why
        await to_the_end(s, issue, pull)
        assert "| `fix_forward` |" in read(await s.hears(issue, "receipt"))


async def conflict_resolved(stage: Stage) -> None:
    files = {**FILES, "src/bye.py": "# words\n# end\n"}
    patch = (
        "diff --git a/src/bye.py b/src/bye.py\n--- a/src/bye.py\n+++ b/src/bye.py\n"
        "@@ -1,2 +1,3 @@\n # words\n+bye = 'Bye'\n # end\n"
    )
    script = one_task(writes("bye.patch"), {"behave": "resolve", "say": "Both are wanted."})
    async with stage(script, {"bye.patch": patch}, files=files) as s:
        issue = await begun(s)
        pull = await pull_of(s, issue)
        await reviewable(s, issue)
        tip = await s.put("src/bye.py", "# words\nciao = 'Ciao'\n# end\n")
        assert await parents(s, await moved(s, pull)) == [tip]
        assert await decisions(s) == ("rebase_and_fix",)
        assert (
            await s.text("src/bye.py", pull["head"]["ref"]) == "# words\nciao = 'Ciao'\nbye = 'Bye'\n# end\n"
        )
        await to_the_end(s, issue, pull)


async def rebased_when_red_and_behind(stage: Stage) -> None:
    # CI takes its time, so that the default branch has moved when it is red.
    go = stage.tmp / "go"
    ci = (
        "if grep -rq TODO src && [ ! -e todo-allowed ]; then "
        f"for n in $(seq 600); do [ -e '{go}' ] && exit 1; sleep 0.1; done; exit 1; fi"
    )
    async with stage(one_task(writes("draft.patch")), {"draft.patch": DRAFT}, ci=ci) as s:
        issue = await begun(s)
        pull = await pull_of(s, issue)
        tip = await s.put("todo-allowed", "for now\n")
        go.touch()
        assert await parents(s, await moved(s, pull)) == [tip]
        assert await decisions(s) == ("rebase",)
        await to_the_end(s, issue, pull)


async def regenerated_before_anybody_sees_it(stage: Stage) -> None:
    script = one_task(writes("messy.patch"), writes("bye.patch", "Nothing but bye."))
    async with stage(script, {"messy.patch": BYE + STRAYS, "bye.patch": BYE}) as s:
        issue = await begun(s)
        pull = await pull_of(s, issue)
        # Of the messy attempt nothing was pushed, and no pull request was opened.
        assert pull["head"]["ref"] == f"agent/issue-{issue}/T-1-a2", "the messy attempt was shown"
        branches = await s.call("GET", f"{s.path}/branches", params={"per_page": 100})
        assert not [each["name"] for each in branches if each["name"].endswith("T-1-a1")]
        assert len(await s.pulls()) == 2
        body = read(pull["body"])
        assert "**Spec:** version 2, improved from what earlier attempts showed." in body
        assert "**Decided on the way:** `regenerate`" in body
        spec = await s.text(f"tasks/issue-{issue}/specs/T-1.md", pull["head"]["ref"])
        assert "**Version 2** (reason `messy_run`" in spec
        assert "stray-" in spec
        changed = await s.call("GET", f"{s.path}/pulls/{pull['number']}/files")
        own = [f"tasks/issue-{issue}/BACKLOG.yaml", f"tasks/issue-{issue}/specs/T-1.md"]
        assert sorted(each["filename"] for each in changed) == ["src/bye.py", *own]
        await to_the_end(s, issue, pull)


async def flaky_before_the_push(stage: Stage) -> None:
    async with stage(one_task(writes("bye.patch")), {"bye.patch": BYE}, change=moody) as s:
        issue = await begun(s)
        pull = await pull_of(s, issue)
        assert "`true` (red, then passed on the same commit)" in read(pull["body"])
        assert "`test_moody` failed once and passed on the same commit" in read(pull["body"])
        assert await decisions(s) == ("rerun",)
        await to_the_end(s, issue, pull)


async def people_on_the_branch(stage: Stage) -> None:
    async with stage(one_task(writes("bye.patch")), {"bye.patch": BYE}) as s:
        issue = await begun(s)
        pull = await pull_of(s, issue)
        await reviewable(s, issue)
        theirs = await s.put("src/more.py", "more = 1\n", pull["head"]["ref"])
        await s.quiet()
        # Beside the line that the pull request changes: only a file that the bot writes is in conflict.
        path = f"tasks/issue-{issue}/BACKLOG.yaml"
        tip = await s.put(
            path, (await s.text(path)).replace("    status: todo\n", "    # agreed\n    status: todo\n")
        )
        assert await parents(s, await moved(s, pull, theirs)) == [theirs, tip]
        assert await decisions(s) == ("rebase",)
        assert "    # agreed\n    status: done\n" in await s.text(path, pull["head"]["ref"])
        why = await s.asks(pull["number"], "/agent why")
        assert "a person's commits stay as they are" in why
        await to_the_end(s, issue, pull)


async def waits_for_the_base(stage: Stage) -> None:
    second = task("b", "Say ciao", ["src/ciao.py"], depends_on=["a"])
    script = {
        "planners": agreed(task("a", "Say goodbye", ["src/bye.py"]), second),
        "tasks": [does("goodbye", writes("bye.patch")), does("ciao", writes("ciao.patch"))],
    }
    patches = {"bye.patch": BYE, "ciao.patch": new_file("src/ciao.py", "ciao = 'Ciao'\n")}
    async with stage(script, patches, test="test ! -s broken", ci="true") as s:
        issue = await begun(s)
        first = await pull_of(s, issue)
        await reviewable(s, issue)
        await s.put("broken", "yes\n")
        await s.merge(first["number"])

        async def waits() -> bool:
            return "fails on main too" in await s.status(issue)

        await until(s, "the second task waits for main", waits)
        assert await decisions(s, "T-2") == ("wait_for_base",)
        await s.put("broken", "")
        pull = await pull_of(s, issue, "T-2")
        assert "**Decided on the way:** `wait_for_base`" in read(pull["body"])
        await reviewable(s, issue, "T-2")
        await s.merge(pull["number"])
        await s.in_state(issue, "done")


STORIES: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "fix_forward": fixed_forward,
    "rebase_and_fix": conflict_resolved,
    "rebase": rebased_when_red_and_behind,
    "regenerate": regenerated_before_anybody_sees_it,
    "rerun": flaky_before_the_push,
    "a person's commit": people_on_the_branch,
    "wait_for_base": waits_for_the_base,
}


QUICK = {"rebase_and_fix"}  # in every run; `make check` goes through all


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in STORIES]
)
async def test_a_pull_request_that_does_not_stay_green_gets_what_the_table_says(
    stage: Stage, name: str
) -> None:
    await STORIES[name](stage)


# --- without the part, the story fails -------------------------------------------------------------

OFTEN = {"fix_forward"}  # in every run; `make check` goes through all of them


@pytest.mark.parametrize(
    "name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.long) for name in STORIES]
)
async def test_a_rebase_engine_that_always_asks_a_person_ends_the_story(stage: Stage, name: str) -> None:
    with pytest.raises(AssertionError, match="is blocked instead"):
        await STORIES[name](replace(stage, change=always_asking))


@pytest.mark.long
async def test_a_run_that_is_never_called_messy_is_shown_with_its_strays(stage: Stage) -> None:
    with pytest.raises(AssertionError, match="the messy attempt was shown"):
        await regenerated_before_anybody_sees_it(replace(stage, change=never_messy))
