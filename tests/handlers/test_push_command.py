"""What people write after `/agent push`: a task, a commit, both, neither, and words that are neither."""

from __future__ import annotations

import pytest

from bot.core.actions import Decision, PostComment, RunTask
from bot.core.commands import Invocation, parse
from bot.core.push_gate import PushAsk
from bot.core.track import Track
from bot.handler import Asked
from handlers.calling import Given, called
from tests.core.builders import DANA, NOW, REPO, a_task, a_track

LETTERS_FIRST = "e123456" + "0" * 33


def waiting(id_: str, sha: str) -> Track:
    ask = PushAsk(sha=sha, files=1, plus=1, minus=0)
    return a_track(a_task(id_, state="waiting", attempt=1, run=1, ask=ask), a_task("T-9"))


def say(body: str, track: Track) -> Decision:
    invocation = parse(body, ["push"])
    assert isinstance(invocation, Invocation)
    asked = Asked(repo=REPO, number=12, is_pull=False, actor=DANA, key="comment-5")
    return called(track, asked, invocation, Given(role="write"), NOW).decision


def pushed(decision: Decision) -> list[str]:
    return [action.head for action in decision.actions if isinstance(action, RunTask)]


def said(decision: Decision) -> str:
    return "\n".join(action.body for action in decision.actions if isinstance(action, PostComment))


@pytest.mark.parametrize(
    "body",
    [
        "/agent push",
        "/agent push T-1",
        "/agent push t-1 e123456",
        "/agent push T-1 E123456",
        "/agent push e123456",
        f"/agent push {LETTERS_FIRST}",
        "/agent push T-1 e123456\n\nThanks, this looks good to me!",
        "/agent push\n\nLooks good.",
    ],
)
def test_the_commit_that_waits_is_pushed_however_it_is_named(body: str) -> None:
    assert pushed(say(body, waiting("T-1", LETTERS_FIRST))) == [LETTERS_FIRST]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("/agent push T-1 looks good", "`looks good` is more than it takes."),
        ("/agent push T-1 e12", "`e12` is more than it takes."),
        ("/agent push T-1 e123456 now", "`now` is more than it takes."),
        ("/agent push T-7", "There is no task `T-7`"),
        ("/agent push e1", "There is no task `e1`"),
        ("/agent push T-1 f123456", "waits with `e12345600000`, not with what you named"),
    ],
)
def test_what_is_neither_a_task_nor_that_commit_is_named_and_pushes_nothing(body: str, wanted: str) -> None:
    decision = say(body, waiting("T-1", LETTERS_FIRST))
    assert pushed(decision) == []
    assert decision.refused
    assert wanted in said(decision)


def test_it_is_done_when_it_is_pushed_and_not_before() -> None:
    decision = say("/agent push", waiting("T-1", LETTERS_FIRST))
    assert decision.track is not None
    assert [(owed.key, owed.until, owed.task) for owed in decision.track.promised] == [
        ("comment-5", "branch", "T-1")
    ]
