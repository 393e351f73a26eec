"""Between finished work and its push: a person is asked, may say yes or no, and nothing is lost while they think."""

import re
import subprocess
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read
from tests.stories.scripts import BYE, BYE_TASK, FILES, JsonDict, agreed, does, new_file, writes
from tests.stories.story import Story, story
from tests.stories.test_boxes import tick
from tests.stories.test_lost_data import lives

TESTED = new_file("tests/test_more.py", "def test_more():\n    assert True\n")
TWICE: JsonDict = {
    "planners": agreed(BYE_TASK),
    "tasks": [does("goodbye", writes("bye.patch"), writes("more.patch", "I added a test."))],
}
PATCHES = {"bye.patch": BYE, "more.patch": TESTED}
ASK = {**FILES, ".github/gitwright.yml": "push: ask\n"}


def shown(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{7,12}\b", "<short>", read(text))


async def asked(s: Story, issue: int, count: int = 1) -> tuple[str, str]:
    """Wait for the question; give it and the command that says yes."""
    await s.task_in_state(issue, "waiting")
    text = await s.hears(issue, "problem", count)
    found = re.search(r"/agent push T-1 [0-9a-f]{7}", text)
    assert found is not None, text
    return text, found[0]


async def begun(s: Story) -> int:
    issue = await s.open_issue()
    await s.merge((await s.to_review(issue))["number"])
    return issue


async def test_nothing_is_pushed_before_a_person_says_so_and_then_exactly_what_they_saw(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, TWICE, PATCHES, ASK) as s:
        issue = await begun(s)
        text, command = await asked(s, issue)
        assert shown(text) == snapshot("""\
`T-1` is done and verified here, and waits for your OK before it is pushed to `agent/issue-1/T-1-a1`: a push runs this repository's CI on what an agent wrote.

- **Commit** `<short>`: 2 files, +7 -0 lines
- **Outside its scope:** nothing
- **Builds and tests start from:** nothing of what changed; CI's own files are protected and unchanged
- **Secrets:** the scan found none
- **Tests:** `python -m pytest -q -p no:cacheprovider` (passed)

<details><summary>The diff</summary>

```diff
diff --git a/src/bye.py b/src/bye.py
new file mode 100644
index <sha>..<sha>
--- /dev/null
+++ b/src/bye.py
@@ -0,0 +1,2 @@
+def bye(name):
+    return f"Bye {name}"
diff --git a/tests/test_bye.py b/tests/test_bye.py
new file mode 100644
index <sha>..<sha>
--- /dev/null
+++ b/tests/test_bye.py
@@ -0,0 +1,5 @@
+from bye import bye
+
+
+def test_bye():
+    assert bye("you") == "Bye you"
```

</details>

Nothing runs meanwhile. What you can do:

- `/agent push T-1 <short>`: push exactly this commit
- `/agent retry T-1`: another attempt with the same spec
- `/agent regenerate T-1 <note>`: another attempt, the spec improved by your note
- `/agent skip T-1`: drop it\
""")
        await s.quiet()
        assert shown(await s.status(issue)) == snapshot("""\
### Gitwright: Working

**Waits for you:** OK the push of `T-1`.

| task | | state | pull request |
|---|---|---|---|
| `T-1` | Say goodbye | waits for your OK to be pushed |  |

**Waits for your OK to be pushed:** `T-1`, by `/agent push T-1 <short>`

- **Commit** `<short>`: 2 files, +7 -0 lines
- **Outside its scope:** nothing
- **Builds and tests start from:** nothing of what changed; CI's own files are protected and unchanged
- **Secrets:** the scan found none
- **Tests:** `python -m pytest -q -p no:cacheprovider` (passed)

```mermaid
graph LR
  T1["T-1 Say goodbye"]
```

**Tick to have it done**, if you may write here:

- [ ] Push `T-1` (`<short>`)

**Last:** T-1 waits for an OK to push `<short>`, because: push: ask (<time>)

**Cost so far:** 0 tokens, $0.00, of at most $10.00.

**Commands now:** `/agent plan`, `/agent revise [task] <note>`, `/agent skip <task>`, `/agent retry [task]`, `/agent regenerate [task] [note]`, `/agent rebase [task]`, `/agent push [task] [sha]`, `/agent pause`, `/agent stop`, `/agent budget <usd>`, `/agent status`, `/agent why [task]`, `/agent help`\
""")
        assert [p["head"]["ref"] for p in await s.pulls("open")] == []
        assert "needs the role `write`" in await s.asks(issue, command, by=s.alice)
        assert shown(await s.asks(issue, "/agent push T-1 0000000")) == snapshot(
            "`T-1` waits with `<short>`, not with what you named: look at that one, then say `/agent push T-1 <short>`."
        )
        assert shown(await s.asks(issue, command)) == snapshot("`<short>` is being pushed for `T-1`.")
        pull = await s.task_pull()
        assert pull["head"]["sha"].startswith(command.split()[-1])
        await s.task_in_state(issue, "in_review")
        # What an agent adds to an open pull request is asked for as well.
        await s.comment(pull["number"], "/agent revise Add a test.")
        text, command = await asked(s, issue, 2)
        told, _, rest = shown(text).partition("\n\n<details>")
        assert told == snapshot("""\
`T-1` is done and verified here, and waits for your OK before it is pushed to the branch of #3: a push runs this repository's CI on what an agent wrote.

- **Commit** `<short>`: 1 file, +2 -0 lines
- **Outside its scope:** `tests/test_more.py`
- **Builds and tests start from:** nothing of what changed; CI's own files are protected and unchanged
- **Secrets:** the scan found none
- **Tests:** `python -m pytest -q -p no:cacheprovider` (passed)\
""")
        assert "+def test_more():" in rest
        await s.comment(issue, command)
        await s.task_in_state(issue, "in_review")
        assert (await s.task_pull())["head"]["sha"].startswith(command.split()[-1])
        await s.merge_all(issue)


@pytest.mark.long
async def test_what_waits_survives_the_end_of_the_bot_and_a_box_lets_it_through(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with lives(tmp_path, judge, webhook_judge) as world:
        async with world.life(quiet=False) as s:
            await s.put(".github/gitwright.yml", "push: ask\n")
            issue = await begun(s)
            _, command = await asked(s, issue)
        (mirror,) = (tmp_path / "bot/mirrors").glob("*.git")
        assert list((tmp_path / "bot/tasks").iterdir()) == []
        for step in (["repack", "-q", "-a", "-d"], ["prune", "--expire=now"]):
            subprocess.run(["git", "--git-dir", str(mirror), *step], check=True, timeout=60)
        async with world.life() as s:
            await tick(s, issue, "status", "push T-1")
            pull = await s.task_pull()
            assert pull["head"]["sha"].startswith(command.split()[-1])
            await s.merge_all(issue)


@pytest.mark.long
async def test_lost_with_all_data_it_is_made_again_and_asked_for_anew(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with lives(tmp_path, judge, webhook_judge) as world:
        async with world.life() as s:
            await s.put(".github/gitwright.yml", "push: ask\n")
            issue = await begun(s)
            await asked(s, issue)
            await s.quiet()
        world.lose_everything()
        async with world.life() as s:
            _, command = await asked(s, issue, 2)
            await s.comment(issue, command)
            await s.merge_all(issue)


@pytest.mark.long
async def test_on_a_public_repository_a_person_is_asked_without_a_word_in_the_settings(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge) as s:
        await s.call("PATCH", s.path, json={"private": False})
        issue = await begun(s)
        await asked(s, issue)
        assert await s.pulls("open") == []
        await s.quiet()
