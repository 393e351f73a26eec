"""Pull requests that do not stay green, told as conversations: what RebaseEngine decides and what people read of it."""

from pathlib import Path

from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read
from tests.stories.scripts import FILES, JsonDict, agreed, does, new_file, task, writes
from tests.stories.story import story

# The workers' test is always green; what CI asks beside it, only CI knows.
CI = 'if grep -rn "TODO" src; then echo "src holds a TODO"; exit 1; fi'
DRAFT = new_file("src/bye.py", "# TODO: say it\nbye = 'Bye'\n")
MENDED = """\
diff --git a/src/bye.py b/src/bye.py
--- a/src/bye.py
+++ b/src/bye.py
@@ -1,2 +1 @@
-# TODO: say it
 bye = 'Bye'
"""


def one_task(*runs: JsonDict) -> JsonDict:
    return {
        "planners": agreed(task("a", "Say goodbye", ["src/bye.py"])),
        "tasks": [does("goodbye", *runs)],
    }


async def test_a_failed_check_is_fixed_forward_on_the_same_pull_request(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script = one_task(writes("draft.patch"), writes("mended.patch", "I took the TODO out."))
    patches = {"draft.patch": DRAFT, "mended.patch": MENDED}
    async with story(tmp_path, judge, webhook_judge, script, patches, FILES, test="true", ci=CI) as s:
        issue = await s.open_issue()
        pull = await s.to_task_pull(issue)
        await s.task_in_state(issue, "in_review")
        [now] = [p for p in await s.pulls("open") if p["number"] == pull["number"]]
        commits = await s.call("GET", f"{s.path}/pulls/{pull['number']}/commits")
        assert len(commits) == 2  # appended, nothing rewritten
        assert commits[0]["sha"] == pull["head"]["sha"]
        assert commits[1]["sha"] == now["head"]["sha"]
        assert read(await s.asks(pull["number"], "/agent why")) == snapshot("""\
**Decisions about `T-1`, newest first**

- <time> checks of `#3` are green, because: tests
- <time> updated `#3` for T-1, because: `true` (passed)
- <time> started run 2 of T-1 in attempt 1, because: fix
- <time> T-1: checks failed: tests; decided: fix forward, because: `tests` fails: the agent gets what failed and adds a commit (fix 1 of 2); red yes, failing `tests`, trend 0, 1, rebased\\_onto\\_tip yes, fixes 0 of 2
- <time> checks of `#3` are red, because: tests
- <time> opened `#3` for T-1, because: `true` (passed)
- <time> started attempt 1 of T-1, because: dependencies merged, a worker is free\
""")
        await s.merge(pull["number"])
        await s.in_state(issue, "done")
