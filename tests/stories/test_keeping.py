"""What the whole flow must keep: people's commits, people's bytes in the backlog, and what an attempt has taught."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bot.core import backlog
from bot.core.actions import ProposeBacklog
from bot.core.attribution import FORMER
from bot.core.track import Track
from bot.core.values import CommitInfo, Repo
from bot.git.mirror import GitMirror
from bot.git.worktrees import WorktreeManager
from bot.jobs.backlog import ProposeBacklogJob
from bot.jobs.learning import Learned, Learning
from bot.ports import Mirror
from bot.wiring import Bot
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.lacking import Change, job, twin
from tests.stories.repairing import Stage, begun, commits, moved, pull_of, reviewable, to_the_end
from tests.stories.scripts import (
    BYE,
    BYE_TASK,
    FILES,
    ONE_TASK,
    JsonDict,
    agreed,
    does,
    new_file,
    task,
    writes,
)

ALWAYS = FILES | {".github/gitwright.yml": "rebase: always\n"}
STRAY = new_file("scratch.py", "print('?')\n") + new_file("notes/try.md", "What if?\n")


@pytest.fixture
def stage(tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge) -> Stage:
    return Stage(tmp_path, (judge, webhook_judge))


async def a_persons_commit_stays(stage: Stage) -> None:
    async with stage(ONE_TASK, {"bye.patch": BYE}, files=ALWAYS) as s:
        issue = await begun(s)
        pull = await pull_of(s, issue)
        await reviewable(s, issue)
        theirs = await s.put("src/more.py", "more = 1\n", pull["head"]["ref"])
        await s.quiet()
        await s.put("README.md", "# Greet everybody\n")
        head = await moved(s, pull, theirs)
        made = [each["sha"] for each in await commits(s, pull["number"])]
        assert theirs in made, "the person's commit is not on the branch any more"
        assert made[-1] == head != theirs
        await to_the_end(s, issue, pull)


async def the_file_stays_as_a_person_wrote_it(stage: Stage) -> None:
    shout = task("b", "Greet loudly with a shout", ["src/shout.py"])
    script = {**ONE_TASK, "planners": agreed(BYE_TASK, shout)}
    async with stage(script, {"bye.patch": BYE}, files=ALWAYS) as s:
        issue = await s.open_issue()
        proposed = await s.to_review(issue)
        path, branch = f"tasks/issue-{issue}/BACKLOG.yaml", proposed["head"]["ref"]
        head, first, second = (await s.text(path, branch)).split("  - id: ")

        def by_hand(second_is: str, first_is: str = "todo", more: str = "") -> str:
            """Write the file with an order, comments and spaces of a person's own."""
            ours, loud = first.replace("todo", first_is, 1), second.replace("todo", second_is, 1)
            return f"# Ours.\n{head}  # loud   first, on purpose\n  - id: {loud}\n{more}  - id:   {ours}"

        async def stays(what: str, ref: str, expected: str) -> None:
            assert await s.text(path, ref) == expected, f"what a person wrote was lost by {what}"

        await s.put(path, by_hand("todo"), branch)
        await s.comment(issue, "/agent skip T-2")
        await s.quiet()
        await stays("a command", branch, by_hand("dropped"))
        await s.merge(proposed["number"])
        pull = await pull_of(s, issue)
        await stays("an attempt", pull["head"]["ref"], by_hand("dropped", "done"))
        await reviewable(s, issue)
        more = "  # people leave, too\n"
        await s.put(path, by_hand("dropped", more=more))
        await moved(s, pull)
        await stays("a rebase", pull["head"]["ref"], by_hand("dropped", "done", more))
        await to_the_end(s, issue, pull)
        await stays("a merge", "main", by_hand("dropped", "done", more))


async def an_attempt_teaches_a_later_task(stage: Stage) -> None:
    script: JsonDict = {
        "planners": agreed(BYE_TASK),
        "tasks": [does("goodbye", writes("stray.patch"), writes("bye.patch"))],
    }
    async with stage(script, {"stray.patch": STRAY, "bye.patch": BYE}, ci=None) as s:
        issue = await begun(s)
        await s.merge((await pull_of(s, issue))["number"])
        later = await s.open_issue("Say goodbye twice")
        pull = await s.to_review(later)
        text = await s.text(f"tasks/issue-{later}/BACKLOG.yaml", pull["head"]["ref"])
        proposed = backlog.load(text).backlog
        assert proposed is not None
        learned = proposed.tasks[0].context.partition("Learned before:")[2]
        assert "Leave `scratch.py` as it is" in learned, "a later task is told nothing of the attempt"


STORIES: Mapping[str, Callable[[Stage], Awaitable[None]]] = {
    "a person's commits": a_persons_commit_stays,
    "surgical saving": the_file_stays_as_a_person_wrote_it,
    "lessons": an_attempt_teaches_a_later_task,
}


# --- bots of which one part has lost its effect ---------------------------------------------------


def mirrors(kind: type[GitMirror]) -> Change:
    """Have everybody work with mirrors of another kind."""

    class Lending(WorktreeManager):
        async def mirror(self, repo: Repo) -> GitMirror:
            return twin(await super().mirror(repo), kind)

    def change(bot: Bot) -> None:
        bot.worktrees.__class__ = Lending

    return change


class Presumptuous(GitMirror):
    """Takes every commit for the bot's own."""

    async def commits(self, old: str, new: str) -> list[CommitInfo]:
        return [replace(each, committer=FORMER) for each in await super().commits(old, new)]


class Reformatting(GitMirror):
    """Saves a backlog that is there already as PyYAML would write it."""

    async def write_tree(self, base: str, files: Mapping[str, bytes | None]) -> str:
        there = await self.read_many(base, [path for path in files if path.endswith("/BACKLOG.yaml")])
        dumped = {
            path: yaml.safe_dump(yaml.safe_load(files[path] or b""), sort_keys=False).encode()
            for path in there
        }
        return await super().write_tree(base, {**files, **dumped})


class Untaught(Learning):
    """Learns nothing from anything."""

    async def learn(self, track: Track, mirror: Mirror, base: str) -> Learned:
        return await self.read(mirror, base)


def untaught(bot: Bot) -> None:
    propose = job(bot, ProposeBacklog, ProposeBacklogJob)
    bot.jobs[ProposeBacklog] = replace(propose, learning=Untaught(propose.learning.store))


# The story, the part that is taken away, and what the story then finds missing.
LOST: Mapping[str, tuple[Change, str]] = {
    "a person's commits": (mirrors(Presumptuous), "the person's commit is not on the branch any more"),
    "surgical saving": (mirrors(Reformatting), "what a person wrote was lost by a command"),
    "lessons": (untaught, "a later task is told nothing of the attempt"),
}


@pytest.mark.long
@pytest.mark.parametrize("name", STORIES)
async def test_the_story_holds_with_every_part_in_place(stage: Stage, name: str) -> None:
    await STORIES[name](stage)


OFTEN = {"surgical saving"}  # in every run; `make check` goes through all of them


@pytest.mark.parametrize(
    "name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.long) for name in LOST]
)
async def test_the_story_fails_without(stage: Stage, name: str) -> None:
    change, missing = LOST[name]
    with pytest.raises(AssertionError) as failure:
        await STORIES[name](replace(stage, change=change))
    assert missing in str(failure.value)
