"""A repository whose tests need a package: it is installed before an agent comes, and nothing reaches the network later."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.scripts import JsonDict, agreed, does, task, writes
from tests.stories.story import Story, story
from tests.support.index import index

TEST = "python -m unittest discover -s tests -t ."
_SUITE = """\
import unittest

from app import greet


class Greeting(unittest.TestCase):
    def test_greet(self):
        self.assertEqual(greet(), "hello")
"""
FILES = {
    "requirements.txt": "greetlib==1.0\n",
    "app.py": "import greetlib\n\n\ndef greet():\n    return greetlib.WORD\n",
    "tests/__init__.py": "",
    "tests/test_app.py": _SUITE,
    ".github/gitwright.yml": "setup: pip install -q -r requirements.txt && mkdir -p built && echo x >built/x\n",
}
PATCH = """\
diff --git a/requirements.txt b/requirements.txt
--- a/requirements.txt
+++ b/requirements.txt
@@ -1 +1 @@
-greetlib==1.0
+greetlib==2.0
diff --git a/app.py b/app.py
--- a/app.py
+++ b/app.py
@@ -2,4 +2,4 @@ import greetlib
 
 
 def greet():
-    return greetlib.WORD
+    return greetlib.LATER
"""
SCRIPT: JsonDict = {
    "planners": agreed(
        task("a", "Greet as version 2 does", ["app.py", "requirements.txt", "tests/test_app.py"])
    ),
    "tasks": [does("version 2", writes("later.patch"))],
}


LONG = 300.0  # seconds; virtual environments are made on a machine that may be busy


async def proposed(s: Story) -> bool:
    return len(await s.pulls("open")) == 1


@pytest.mark.long
@pytest.mark.timeout(3 * LONG)
async def test_packages_are_installed_before_the_work_and_an_agents_own_for_its_commit(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    with index() as served:
        served.add_wheel("greetlib", "1.0", {"greetlib.py": "WORD = 'hello'\n"})
        served.add_wheel("greetlib", "2.0", {"greetlib.py": "LATER = 'hello'\n"})
        monkeypatch.setenv("GITWRIGHT_REGISTRIES", served.url)
        monkeypatch.setenv("PIP_INDEX_URL", served.indexes["PIP_INDEX_URL"])
        patches = {"later.patch": PATCH}
        async with story(tmp_path, judge, webhook_judge, SCRIPT, patches, FILES, test=TEST, ci="true") as s:
            issue = await s.open_issue()
            await s.label(issue)
            await s.in_state(issue, "review", LONG)
            backlog = await s.backlog_pull()
            assert served.asked.count("/files/greetlib-1.0-py3-none-any.whl") == 1
            assert not any("2.0" in path for path in served.asked)
            await s.merge(backlog["number"])
            await s.until("the task's pull request", lambda: proposed(s), LONG)
            pull = await s.task_pull()
            assert f"**Verification:** `{TEST}` (passed)" in pull["body"]
            assert "**Dependencies changed:** `requirements.txt`." in pull["body"]
            changed = await s.call("GET", f"{s.path}/pulls/{pull['number']}/files")
            assert sorted(file["filename"] for file in changed) == [
                "app.py",
                "requirements.txt",
                "tasks/issue-1/BACKLOG.yaml",
            ]
            # One layer of the default branch, one of the agent's commit alone.
            assert [
                path.count("-1.0-") + 2 * path.count("-2.0-") for path in served.asked if "files" in path
            ] == [1, 2]
            assert len(list((tmp_path / "bot/layers").glob("*/*/layer.json"))) == 2
            await s.merge(pull["number"])
            await s.in_state(issue, "done")
