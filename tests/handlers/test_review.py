"""Which words of a review reach the agent: what is a command there is followed by itself, or by nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from bot.core.actions import Decision, NoteRun, PostComment, RunTask
from bot.core.config import RepoConfig
from bot.core.events import ReviewSubmitted
from bot.core.track import Track
from bot.core.values import Repo, ReviewComment, Role
from bot.handler import TrackReads
from handlers import review
from tests.core.builders import DANA, NOW, REPO, SHA, a_task, a_track


@dataclass
class _World:
    lines: tuple[str, ...] = ()
    role: Role = "write"

    @property
    def forge(self) -> _World:
        return self

    unboxed = False

    async def config(self, _repo: Repo) -> tuple[RepoConfig, tuple[str, ...]]:
        return RepoConfig(), ()

    async def permission(self, _repo: Repo, _login: str) -> Role:
        return self.role

    async def review_comments(self, _repo: Repo, _pull: int, _review: int) -> list[ReviewComment]:
        return [ReviewComment("src/a.py", 3, body) for body in self.lines]


async def submit(
    body: str,
    *lines: str,
    state: str = "changes_requested",
    number: int = 14,
    role: Role = "write",
    running: bool = False,
) -> Decision:
    event = ReviewSubmitted(repo=REPO, number=number, review=9, state=state, body=body, author=DANA)
    track = a_track(
        a_task(
            state="running" if running else "in_review", attempt=1, run=2, mode="fix", pull=14, head_sha=SHA
        ),
        backlog_pull=13,
        merged_sha=SHA,
    )
    facts = await review.gather(track, event, cast(TrackReads, _World(lines, role)))
    return review.decide(track, event, facts, NOW)


def kept(decision: Decision) -> Track:
    assert decision.track is not None
    return decision.track


def answers(decision: Decision) -> list[str]:
    return [action.body for action in decision.actions if isinstance(action, PostComment)]


async def test_while_a_run_mends_the_pull_request_a_review_steers_its_agent() -> None:
    decision = await submit("Shorter.", "Why?", running=True)
    (note,) = [action for action in decision.actions if isinstance(action, NoteRun)]
    assert (note.task, note.key) == ("T-1", "review-9")
    assert note.note.endswith(":\nShorter.\nsrc/a.py:3: Why?")
    assert kept(decision).tasks[0].state == "running"
    assert not [action for action in decision.actions if isinstance(action, RunTask)]
    stranger = await submit("Shorter.", running=True, role="read")
    assert not [action for action in stranger.actions if isinstance(action, NoteRun)]


async def test_a_command_on_a_line_is_not_followed_a_second_time() -> None:
    decision = await submit("Shorter.", "/agent revise Rename it.", "Why?")
    assert kept(decision).tasks[0].feedback.endswith(":\nShorter.\nsrc/a.py:3: Why?")
    alone = await submit("", "/agent revise Rename it.", "/agnt retry")
    assert (alone.actions, kept(alone).tasks[0].reviewed) == ((), True)


async def test_a_note_in_a_reviews_text_is_words_for_the_agent() -> None:
    decision = await submit("/agent revise Rename it.")
    assert kept(decision).tasks[0].feedback.endswith(":\nRename it.")
    assert answers(decision) == []


@pytest.mark.parametrize(
    ("body", "state", "number"),
    [
        ("/agent retry", "changes_requested", 14),
        ("/agent retry", "commented", 14),
        ("/agent revise X", "commented", 14),
        ("/agent revise X", "changes_requested", 13),
    ],
)
async def test_another_command_in_a_reviews_text_is_answered(body: str, state: str, number: int) -> None:
    decision = await submit(body, state=state, number=number)
    (said,) = answers(decision)
    assert f"`{' '.join(body.split()[:2])}` is not followed in the text of a review" in said
    assert not [action for action in decision.actions if isinstance(action, RunTask)]
    assert (await submit(body, state=state, number=number, role="read")).actions == ()


@pytest.mark.parametrize("command", ["/agent rebase", "/agnt rebase"])
async def test_words_below_a_command_in_a_reviews_text_reach_the_agent(command: str) -> None:
    decision = await submit(f"\n{command}\r\n\r\nAlso rename foo to bar.")
    assert kept(decision).tasks[0].feedback.endswith(":\nAlso rename foo to bar.")
    assert len(answers(decision)) == 1


async def test_what_people_do_not_see_of_a_review_reaches_nobody_and_somebody_is_told() -> None:
    decision = await submit("Shorter. <!-- evil -->", "Why?", '<b title="evil">Here</b>')
    (said,) = answers(decision)
    assert said.splitlines()[1:] == [
        "<!-- gitwright-key: review-9-hidden -->",
        "The agent gets the review by `dana` as people see it. Taken out, because people do not see it: "
        "HTML comments, attributes of HTML.",
    ]
    assert "evil" not in kept(decision).tasks[0].feedback
    assert answers(await submit("Shorter.", "Why?")) == []


async def test_a_review_that_nobody_sees_makes_no_work_and_is_answered() -> None:
    decision = await submit("<!-- evil -->")
    (said,) = answers(decision)
    assert "The agent gets nothing of the review by `dana`. Taken out, because" in said
    assert kept(decision).tasks[0].feedback == ""
    assert answers(await submit("<!-- evil -->", state="commented")) == []
    assert answers(await submit("<!-- evil -->", role="read")) == []


async def test_a_note_in_a_reviews_text_is_told_of_as_other_words_are() -> None:
    [said] = answers(await submit("/agent revise Rename it. <!-- evil -->"))
    assert "people do not see it: HTML comments." in said
    both = answers(await submit("/agent retry", "Why? <!-- evil -->"))
    assert len({text.splitlines()[1] for text in both}) == 2, "one would stand for the other"
