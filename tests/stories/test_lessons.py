"""What one piece of work teaches the next, told as a conversation: a messy attempt, and the plan after it."""

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bot.core import backlog
from bot.core.lessons import LESSONS_PATH, parse_lessons
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read
from tests.stories.scripts import BYE, BYE_TASK, JsonDict, agreed, does, new_file, writes
from tests.stories.story import story

STRAY = new_file("scratch.py", "print('?')\n") + new_file("notes/try.md", "What if?\n")
SCRIPT: JsonDict = {
    "planners": agreed(BYE_TASK),
    "tasks": [does("goodbye", writes("stray.patch"), writes("bye.patch", "I wrote bye."))],
}


@pytest.mark.long
async def test_a_messy_attempt_teaches_the_next_track_in_its_backlogs_pull_request(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    patches = {"stray.patch": STRAY, "bye.patch": BYE}
    async with story(tmp_path, judge, webhook_judge, SCRIPT, patches) as s:
        first = await s.open_issue()
        await s.to_the_end(first)
        second = await s.open_issue("Say goodbye twice")
        pull = await s.to_review(second)
        assert read(pull["body"]) == snapshot("""\
Part of #4. Merging this starts the work; what is merged is exactly what runs.

Edit `tasks/issue-4/BACKLOG.yaml` here as you like: titles, scopes, acceptance, order, tasks. The check `gitwright/backlog` says on every push whether it can be read.

**Learned from earlier attempts**, in `.github/gitwright/lessons.jsonl`; agents that work on these files are told from now on. Edit or delete lines as you like.

- Leave `notes/try.md` as it is unless the task names it: a run changed it unasked. (`issue-1/T-1-a1`)
- Leave `scratch.py` as it is unless the task names it: a run changed it unasked. (`issue-1/T-1-a1`)\
""")
        text = await s.text(LESSONS_PATH, pull["head"]["ref"])
        lessons = parse_lessons(text).lessons
        assert [lesson.evidence for lesson in lessons] == [(f"issue-{first}/T-1-a1",)] * 2
        assert {lesson.hits for lesson in lessons} == {1}  # told to the task of this very backlog
        text = await s.text(f"tasks/issue-{second}/BACKLOG.yaml", pull["head"]["ref"])
        proposed = backlog.load(text).backlog
        assert proposed is not None
        learned = proposed.tasks[0].context.partition("Learned before:")[2]
        assert all(lesson.rule in learned for lesson in lessons)
