"""A story of runs that go wrong before anybody sees them: one in circles, one messy; each begins anew, and better."""

from __future__ import annotations

from dataclasses import replace

from bot.core.actions import RunTask
from bot.core.rebasing import RebaseDecision, RebaseEngine, Situation
from bot.core.routing import ModelRouter, Route
from bot.core.specs import Spec, SpecRepository
from bot.jobs.work import WorkJob
from bot.wiring import Bot
from handlers.outcomes import repairs
from tests.stories.healthy import rest
from tests.stories.lacking import attempting, job, judging
from tests.stories.scripts import BYE, JsonDict, agreed, does, new_file, task, writes
from tests.stories.story import Story

CIRCLES, MESS = "Say goodbye", "Explain it"
STRAY = new_file("scratch.py", "print('?')\n") + new_file("notes/try.md", "What if?\n")
GUIDE = new_file("docs/guide.md", "# Guide\n\nBe polite.\n")
PATCHES = {"bye.patch": BYE, "stray.patch": STRAY, "guide.patch": GUIDE}
SCRIPT: JsonDict = {
    "planners": agreed(
        task("a", CIRCLES, ["src/bye.py", "tests/test_bye.py"]), task("b", MESS, ["docs/guide.md"])
    ),
    "tasks": [
        does(CIRCLES, {"say": "Let me see.", "behave": "loop"}, writes("bye.patch")),
        does(MESS, writes("stray.patch"), writes("guide.patch")),
    ],
}


async def the_runs_are_mended(s: Story) -> None:
    """Tell the whole story; AssertionError names the first thing that is missing."""
    issue = await s.open_issue()
    await s.label(issue)
    await rest(s)
    await s.merge((await s.pulls("open"))[0]["number"])
    await rest(s)
    pulls = {p["title"].partition(": ")[2]: p for p in await s.pulls() if "/T-" in p["head"]["ref"]}
    refs = sorted(p["head"]["ref"].rpartition("/")[2] for p in pulls.values())
    assert refs == ["T-1-a2", "T-2-a2"], f"pull requests of attempts: {refs}"
    for title, kind in ((CIRCLES, "simple"), (MESS, "documentation")):
        body = pulls[title]["body"].replace("\\", "")
        assert f"routed as {kind}: " in body, f"{title}: not routed as {kind}"
        assert "**Decided on the way:** `regenerate`" in body, (
            f"{title}: nothing was decided about its first run"
        )
        assert "**Spec:** version 2" in body
    circles = await _spec(s, issue, pulls[CIRCLES])
    assert "Do not repeat the same command" in circles, "the spec says nothing of the circles"
    mess = await _spec(s, issue, pulls[MESS])
    assert "Do not change files outside `docs/guide.md`" in mess, "the spec says nothing of the mess"


async def _spec(s: Story, issue: int, pull: JsonDict) -> str:
    """Read the spec that an attempt's own commit holds."""
    id_ = pull["title"].partition(":")[0]
    return await s.text(f"tasks/issue-{issue}/specs/{id_}.md", pull["head"]["ref"])


# --- bots of which one part has lost its effect ---------------------------------------------------


class Timid(RebaseEngine):
    def decide(self, situation: Situation) -> RebaseDecision:
        """Ask a person, whatever it is."""
        return RebaseDecision("ask_person", "who knows", ())


def undecided(bot: Bot) -> None:
    """Take RebaseEngine away."""
    timid = repairs(Timid())
    bot.handlers[:] = [timid if each.event is timid.event else each for each in bot.handlers]


class Patient:
    """Sees steps, and nothing in them."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def observe(self, _step: object) -> tuple[()]:
        return ()


def patient(bot: Bot) -> None:
    """Take ContextDriftDetector away."""
    attempting(bot, detector=Patient)


def tolerant(bot: Bot) -> None:
    """Take the messy score away."""
    judging(bot, messy_score=lambda _: 0.0)


class Stubborn(SpecRepository):
    def improve(self, spec: Spec, *_: object) -> Spec:
        """Learn nothing."""
        return spec


def stubborn(bot: Bot) -> None:
    """Take SpecRepository's improving away."""
    known = job(bot, RunTask, WorkJob).attempts.contracts
    attempting(bot, contracts=replace(known, specs=Stubborn()))


class Extravagant(ModelRouter):
    def classify(self, *_: object, **__: object) -> Route:
        """Take every task for a complex one."""
        return Route("complex", ("who knows",))


def extravagant(bot: Bot) -> None:
    """Take ModelRouter away."""
    known = job(bot, RunTask, WorkJob).attempts.spending
    attempting(bot, spending=replace(known, router=Extravagant()))
