"""The whole way as it must go, every step looked at: no part can lose its effect without one of these lines failing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from bot.agents.scripted import PLANNERS
from bot.core import backlog
from bot.core.actions import MakePlan
from bot.core.config import RepoConfig
from bot.core.ids import parse_marker
from bot.engine.tables import inbox
from bot.jobs.plan import PlanJob
from bot.ports import PlanBrief, Planner, Proposed
from bot.wiring import Bot
from tests.stories.reading import active, state_of
from tests.stories.scripts import JsonDict, does, new_file, planner, task, writes
from tests.stories.story import Story

TEST = "python -m unittest discover -s tests"
GREET = {
    "greet.py": 'def hello(name):\n    return f"Hello {name}"\n',
    "tests/test_greet.py": (
        "import unittest\n\nfrom greet import hello\n\n\nclass Hello(unittest.TestCase):\n"
        '    def test_hello(self):\n        self.assertEqual(hello("you"), "Hello you")\n'
    ),
    "README.md": "# Greet\n",
}
BYE = 'def bye(name):\n    return f"Bye {name}"\n'
TEST_BYE = (
    "import unittest\n\nfrom bye import bye\n\n\nclass Bye(unittest.TestCase):\n"
    '    def test_bye(self):\n        self.assertEqual(bye("you"), "Bye you")\n'
)
SCOPE = ["bye.py", "tests/test_bye.py"]
HOSTILE = "Ask @alice, see [this](https://evil.example/a) <img src=https://evil.example/b>, fixes #77"
PROMISE = "Bye you is what bye gives"  # what a person writes into the backlog under review
_GOODBYE = task("a", "Say goodbye", SCOPE)
SCRIPT: JsonDict = {
    "planners": [
        planner(PLANNERS[0], _GOODBYE, summary=HOSTILE, risks=[HOSTILE]),
        planner(PLANNERS[1], _GOODBYE, summary=HOSTILE, questions=[HOSTILE]),
        planner(PLANNERS[2], _GOODBYE, task("b", "Translate the README", ["README.md"]), summary=HOSTILE),
    ],
    "tasks": [does("goodbye", writes("bye.patch", HOSTILE))],
}
PATCHES = {"bye.patch": new_file("bye.py", BYE) + new_file("tests/test_bye.py", TEST_BYE)}
NOT_AT_ONCE = "planners ran one after the other"
_OWN = {
    "<details>",
    "</details>",
    "<summary>The exact text the agents get</summary>",
    "<summary>What the agent says</summary>",
    "<summary>When each task counts as done</summary>",
}


async def rest(s: Story) -> None:
    """Wait until neither the bot nor the forge has anything left to do; cheaper to ask often than `Story.quiet`."""

    async def at_rest() -> bool:
        before = await _taken(s)
        counts = await s.bot.store.counts()
        if any(counts[name] for name in ("deliveries", "events", "actions", "submitted")):
            return False
        # Nothing came in meanwhile, so nothing that the bot does can have made the forge busy again.
        return bool((await s.call("GET", "/_test/idle"))["idle"]) and await _taken(s) == before

    await s.until("nothing left to do", at_rest)


async def _taken(s: Story) -> int:
    query = sa.select(sa.func.count()).select_from(inbox)
    return int(await s.bot.store.database.read(lambda conn: conn.scalar(query)) or 0)


async def the_story_holds(s: Story) -> None:
    """Tell the whole story, every delivery arriving twice; AssertionError names the first thing that is missing."""
    await s.fault("duplicate", count=10_000)
    issue = await s.open_issue("Say goodbye too", HOSTILE)
    await s.label(issue)
    await rest(s)
    await _is_planned(s, issue)
    await _is_reviewed(s, issue)
    await _is_worked_on(s, issue)
    await _is_done(s, issue)
    await _left_nothing(s, issue)
    await _said_nothing_active(s)
    await _took_each_delivery_once(s)


async def _one(s: Story, issue: int, kind: str) -> str:
    """Give the bot's only text of a kind."""
    found = await s.said(issue, kind)
    assert len(found) == 1, f"{len(found)} comments `{kind}` instead of one"
    return found[0]


async def _is_planned(s: Story, issue: int) -> None:
    labels = await s.labels(issue)
    assert labels == {"agent:plan", "agent:review"}, f"labels while in review: {sorted(labels)}"
    seen = await s.call("GET", f"{s.path}/issues/{issue}/reactions")
    assert [each["content"] for each in seen] == ["eyes"], "the issue bears no eyes"
    state = state_of(await _one(s, issue, "status"))
    pull = (await s.pulls("open"))[0]
    assert (state["state"], state["backlog_pull"]) == ("review", pull["number"])
    plan = await _one(s, issue, "plan")
    assert "| T-1 | Say goodbye | `bye.py`, `tests/test_bye.py` | small | 3 of 3 |" in plan, (
        "no task with three votes"
    )
    dropped = plan.partition("What will not be done")[2]
    assert "Translate the README" in dropped, "the minority's task is not named as left out"
    await _planners_met(s)


@dataclass(frozen=True, slots=True)
class _Meeting:
    """A planner that begins when all have come, however long a busy machine takes to let them in."""

    inner: Planner
    come: list[str]
    wanted: int
    patience: float

    async def propose(self, brief: PlanBrief) -> Proposed:
        self.come.append(brief.agent_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience):
                while len(self.come) < self.wanted:
                    await asyncio.sleep(0.01)
        return await self.inner.propose(brief)


def meeting(bot: Bot, patience: float) -> None:
    """Have the planners of a plan meet, or give that up after some seconds."""
    plan = bot.jobs[MakePlan]
    assert isinstance(plan, PlanJob)

    def planners(config: RepoConfig) -> Sequence[tuple[str, Planner]]:
        named, come = plan.planners(config), list[str]()
        return [(name, _Meeting(each, come, len(named), patience)) for name, each in named]

    bot.jobs[MakePlan] = replace(plan, planners=planners)


async def _planners_met(s: Story) -> None:
    sessions = await _sessions(s)
    assert [each.kind for each in sessions] == ["planner"] * 3, f"{len(sessions)} planners instead of three"
    ends = [each.deleted_at for each in sessions if each.deleted_at is not None]
    assert len(ends) == 3, "sessions of planners are not proved to be deleted"
    assert max(each.opened_at for each in sessions) < min(ends), NOT_AT_ONCE


async def _sessions(s: Story) -> list[Any]:
    tracks = await s.bot.store.all_tracks()
    assert len(tracks) == 1, f"{len(tracks)} tracks instead of one"
    return list(await s.bot.store.sessions(tracks[0].key))


async def _is_reviewed(s: Story, issue: int) -> None:
    """A person asks, breaks the file, mends it, and merges it."""
    pull = (await s.pulls("open"))[0]
    branch, path = pull["head"]["ref"], f"tasks/issue-{issue}/BACKLOG.yaml"
    assert branch == f"agent/issue-{issue}/backlog"
    text = await s.text(path, branch)
    _is_good_backlog(text)
    await s.comment(issue, "/agent status")
    broken = await s.put(path, text.replace("depends_on: []", "depends_on: [T-9]"), branch)
    mended = await s.put(path, text.replace("Say goodbye, and a test shows it.", PROMISE), branch)
    await rest(s)
    assert "backlog waits for review" in await _one(s, issue, "answer")
    said = {sha: await s.checks(sha, "gitwright/backlog") for sha in (pull["head"]["sha"], broken, mended)}
    assert all(len(runs) == 1 for runs in said.values()), "not one check for each head of the backlog"
    verdicts = [runs[0]["conclusion"] for runs in said.values()]
    assert verdicts == ["success", "failure", "success"], f"the backlog's checks say {verdicts}"
    await s.merge(pull["number"])
    await rest(s)


def _is_good_backlog(text: str) -> None:
    loaded = backlog.load(text)
    assert loaded.backlog is not None, f"the backlog is invalid: {loaded.problems}"
    assert [t.title for t in loaded.backlog.tasks] == ["Say goodbye"]
    for each in loaded.backlog.tasks:
        size = len(each.context.encode())
        assert size <= 3072, f"a context of {size} bytes"
        missing = [name for name in (each.title, *each.acceptance, *SCOPE) if name not in each.context]
        assert not missing, f"the context does not name {missing}"


async def _is_worked_on(s: Story, issue: int) -> None:
    found = [p for p in await s.pulls("open") if p["head"]["ref"] == f"agent/issue-{issue}/T-1-a1"]
    assert len(found) == 1, f"{len(found)} pull requests for the task"
    pull = found[0]
    marker = parse_marker(pull["body"])
    assert marker is not None, "the task's pull request bears no marker"
    assert (marker.kind, marker.track, marker.task, marker.attempt) == ("task", f"issue-{issue}", "T-1", 1)
    assert f"Part of #{issue}" in pull["body"]
    assert PROMISE in pull["body"], "what was merged is not what runs"
    assert f"`{TEST}` (passed)" in pull["body"].replace("\\", ""), "the change was not verified"
    files = await s.call("GET", f"{s.path}/pulls/{pull['number']}/files")
    changed = {f["filename"] for f in files}
    assert f"tasks/issue-{issue}/BACKLOG.yaml" in changed, "merging the task would not record it"
    assert changed == {*SCOPE, f"tasks/issue-{issue}/BACKLOG.yaml"}
    assert await s.text("bye.py", pull["head"]["ref"]) == BYE

    async def waits() -> bool:
        return await s.task_state(issue) == "in_review"

    await s.until("the task waits for review when its checks are green", waits)
    await s.merge(pull["number"])
    await rest(s)


async def _is_done(s: Story, issue: int) -> None:
    receipt = await _one(s, issue, "receipt")
    assert "Done: 1 of 1 task" in receipt
    assert "Nothing is left behind: 4 agent sessions were deleted" in receipt, "the receipt proves nothing"
    assert await s.labels(issue) == {"agent:plan", "agent:done"}
    assert (await s.call("GET", f"{s.path}/issues/{issue}"))["state"] == "closed"
    state = state_of(await _one(s, issue, "status"))
    assert (state["state"], state["tasks"]["T-1"][0]) == ("done", "done")
    await _one(s, issue, "plan")
    assert not await s.pulls("open")
    assert len(await s.pulls()) == 2
    record = backlog.load(await s.text(f"tasks/issue-{issue}/BACKLOG.yaml")).backlog
    assert record is not None
    assert [t.status for t in record.tasks] == ["done"]


async def _left_nothing(s: Story, issue: int) -> None:
    for session in await _sessions(s):
        assert session.deleted_at is not None, f"{session.id} is not proved to be deleted"
        assert session.proof["checked"], f"nothing was looked at when {session.id} was deleted"
        assert not session.proof["leftovers"]
    data = s.bot.settings.data_dir
    left = {f"{name}/{path.name}" for name in ("sessions", "tasks") for path in (data / name).iterdir()}
    left -= {"sessions/.owner"}
    assert not left, f"left on the disk: {left}"


async def _said_nothing_active(s: Story) -> None:
    own = _OWN | {f"#{number}" for number in await s.posted()}
    for number, bodies in (await s.posted()).items():
        for body in bodies:
            assert parse_marker(body) is not None, f"a text without a marker on #{number}:\n{body}"
            found = active(body, own)
            assert not found, f"active Markdown on #{number}: {found}"


async def _took_each_delivery_once(s: Story) -> None:
    stored = await _taken(s)
    with closing(sqlite3.connect(s.forge.data / "forge.sqlite")) as db:
        count = "SELECT COUNT(*), COUNT(DISTINCT guid) FROM webhook_deliveries"
        sent, different = db.execute(count).fetchone()
    assert sent > 1.5 * different, "the forge did not repeat its deliveries"
    assert stored <= different, f"{different} deliveries were sent, and {stored} were taken"
