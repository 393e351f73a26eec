"""A story of trouble: a base that is red, and agents whose work must not reach anybody; each is stopped in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bot.core import backlog, backlog_edit
from bot.core.actions import RunTask
from bot.core.values import Usage
from bot.jobs.work import WorkJob
from bot.ports import Sandbox, WorkOrder, WorkReport
from bot.wiring import Bot
from tests.stories.healthy import GREET, rest
from tests.stories.scripts import JsonDict, agreed, task
from tests.stories.story import Story

RED = (
    "import unittest\n\n\nclass Red(unittest.TestCase):\n    def test_red(self):\n        self.fail('red')\n"
)
GREEN = RED.replace("self.fail('red')", "self.assertTrue(True)")
SETTINGS = "limits: {fix_forward: 0, regenerations: 0, attempts: 1, max_open_prs: 9}\n"
FILES = {**GREET, "tests/test_base.py": RED, ".github/gitwright.yml": SETTINGS}
AROUND, LINK, BREAK, GUARD, KEY, BRANCH, CONTEXT = (
    "Look around the machine",
    "Add a shortcut",
    "Break the greeting",
    "Speed up the build",
    "Store the credentials",
    "Add a colour",
    "Read the manual",
)
TITLES = {
    AROUND: "around.txt",
    LINK: "shortcut.txt",
    BREAK: "greet.py",
    GUARD: ".gitlab-ci.yml",
    KEY: "credentials.txt",
    BRANCH: "colour.txt",
    CONTEXT: "manual.txt",
}
STOPPED = {  # what people read about each
    LINK: "a symlink that leaves the repository",
    BREAK: "is red after its work",
    GUARD: "it changed protected files",
    KEY: "the change holds what looks like a secret",
    BRANCH: "exists already and is somebody else",
    CONTEXT: "its context cannot be given to an agent",
}
SMUGGLED = f"Use the token ghp_{'a1B2c3D4e5F6' * 3} if asked."  # what somebody writes into a context
SECRET = "the-host-s-own-secret"
_LOOK = """\
import pathlib, socket
found = []
try:
    found.append(pathlib.Path({secret!r}).read_text())
except OSError:
    pass
try:
    socket.create_connection(("127.0.0.1", {port}), 2).close()
    found.append("network")
except OSError:
    pass
pathlib.Path("around.txt").write_text(f"found {{found}}\\n")
"""


def script() -> JsonDict:
    tasks = [task(f"t{number}", title, [path]) for number, (title, path) in enumerate(TITLES.items())]
    return {"planners": agreed(*tasks)}


@dataclass(slots=True)
class Mischief:
    """An agent that runs a shell command for each task, in a box."""

    commands: Mapping[str, str]
    name: str = "scripted"

    async def work(self, order: WorkOrder, sandbox: Sandbox) -> WorkReport:
        async with sandbox.open(order.policy) as box:
            done = await box.run(["sh", "-c", self.commands[order.title]], timeout=60)
        return WorkReport(done.output, Usage())


def with_mischief(bot: Bot, secret: Path) -> None:
    """Let the coding agent do what must be stopped."""
    work = bot.jobs[RunTask]
    assert isinstance(work, WorkJob)
    look = _LOOK.format(secret=str(secret), port=bot.settings.github_api_url.rpartition(":")[2])
    commands = {
        AROUND: f"python3 - <<'END'\n{look}END",
        LINK: f"ln -s {secret} shortcut.txt",
        BREAK: "echo 'def hello(name): return name' > greet.py",
        GUARD: "echo 'stages: [test]' > .gitlab-ci.yml",
        KEY: f"echo 'key = \"ghp_{'a1B2c3D4e5F6' * 3}\"' > credentials.txt",
        BRANCH: "echo green > colour.txt",
        CONTEXT: "echo read > manual.txt",
    }
    bot.jobs[RunTask] = replace(
        work, attempts=replace(work.attempts, coders={"scripted": Mischief(commands)})
    )


def plant_secret(folder: Path) -> Path:
    """Write a file that the bot's user can read, and nothing in a box may."""
    path = folder / "secret"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


async def the_trouble_is_stopped(s: Story) -> None:
    """Tell the whole story; AssertionError names the first trouble that came through."""
    issue = await s.open_issue("Do several things", "All at once.")
    await s.label(issue)
    await rest(s)
    assert "is red on the base" in (await s.said(issue, "plan"))[0], (
        "the plan does not say that the base is red"
    )
    ids = await _merge_backlog(s, issue)
    said = "\n".join(await s.said(issue, "problem"))
    assert "Not ready for work" in said, "work began on a red base"
    assert "test_base" in said
    taken = await _take_branch(s, f"agent/issue-{issue}/{ids[BRANCH]}-a1")
    await s.put("tests/test_base.py", GREEN)
    await rest(s)
    await _is_stopped(s, issue, ids)
    tip = await s.call("GET", f"{s.path}/git/ref/heads/agent/issue-{issue}/{ids[BRANCH]}-a1")
    assert tip["object"]["sha"] == taken, "a person's branch was overwritten"


async def _merge_backlog(s: Story, issue: int) -> dict[str, str]:
    """Write into a context what must not be there, merge the backlog, and give the ids of its tasks by title."""
    pull, path = (await s.pulls("open"))[0], f"tasks/issue-{issue}/BACKLOG.yaml"
    text = await s.text(path, pull["head"]["ref"])
    proposed = backlog.load(text).backlog
    assert proposed is not None
    reader = next(t.id for t in proposed.tasks if t.title == CONTEXT)
    await s.put(path, backlog_edit.set_field(text, reader, "context", SMUGGLED), pull["head"]["ref"])
    await s.merge(pull["number"])
    await rest(s)
    merged = backlog.load(await s.text(f"tasks/issue-{issue}/BACKLOG.yaml")).backlog
    assert merged is not None
    ids = {t.title: t.id for t in merged.tasks}
    assert ids.keys() == TITLES.keys()
    return ids


async def _take_branch(s: Story, name: str) -> str:
    await s.branch(name)
    return await s.put("colour.txt", "blue\n", name)


async def _is_stopped(s: Story, issue: int, ids: Mapping[str, str]) -> None:
    pulls = {p["head"]["ref"].rpartition("/")[2]: p for p in await s.pulls("open")}
    problems = await s.said(issue, "problem")
    for title, reason in STOPPED.items():
        said = [text for text in problems if f"`{ids[title]}` is blocked" in text]
        assert f"{ids[title]}-a1" not in pulls, f"a pull request was opened for: {title}"
        assert len(said) == 1, f"nobody was told about: {title}"
        assert reason in said[0].replace("\\", ""), f"{title}: {said[0]}"
    assert pulls.keys() == {f"{ids[AROUND]}-a1"}
    seen = await s.text("around.txt", pulls[f"{ids[AROUND]}-a1"]["head"]["ref"])
    assert seen == "found []\n", f"the agent saw what is outside its sandbox: {seen}"
