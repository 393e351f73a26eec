"""A lost database in review: the plan and what was taken in come back, and what cannot be known is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import pytest
from inline_snapshot import snapshot

from bot.core.actions import Decision, IncludeTasks, PostComment, React, SyncPlan
from bot.core.backlog import Loaded
from bot.core.config import RepoConfig
from bot.core.events import TrackLost
from bot.core.messages_status import status
from bot.core.plan_text import frozen_sha256, plan_text
from bot.core.planning import MergedPlan, PlannedTask
from bot.core.track import Frozen, Included, Promise, Track
from bot.core.values import Comment, Pull, Repo
from bot.handler import TrackReads
from handlers import restored
from tests.core.builders import DANA, GOOD, NOW, REPO, a_track
from tests.core.test_restoring import a_pull, remains

PLAN = MergedPlan(
    planners=3,
    proposals=3,
    tasks=(PlannedTask(key="one", title="One", files=("a.py",), votes=3),),
    minority=(
        PlannedTask(key="two", title="Two", files=("b.py",)),
        PlannedTask(key="three", title="Three", files=("c.py",)),
    ),
)
OPEN = a_pull(13, head_branch="agent/issue-12/backlog")
ISSUE = Frozen(title="Greet", body="Hi.", comments=(), sha256=frozen_sha256("Greet", "Hi.", []), by="dana")
REVIEW = a_track(state="review", plan=PLAN, backlog_pull=13, frozen=ISSUE)


@dataclass
class _Forge:
    comment: Comment

    async def bot_ids(self, _repo: Repo) -> frozenset[int]:
        return frozenset({DANA.id})

    async def comments(self, _repo: Repo, _issue: int) -> list[Comment]:
        return [self.comment]

    async def pull(self, _repo: Repo, _number: int) -> Pull:
        return OPEN

    async def branch_sha(self, _repo: Repo, _branch: str) -> str:
        return "main"


@dataclass
class _Reads:
    """A repository whose backlog's branch holds the plan and its file."""

    track: Track
    forge: _Forge

    unboxed = False

    async def config(self, _repo: Repo) -> tuple[RepoConfig, tuple[str, ...]]:
        return RepoConfig(), ()

    async def file(self, _repo: Repo, sha: str, path: str) -> str | None:
        here = sha == OPEN.head_sha and path == "tasks/issue-12/PLAN.md"
        return plan_text("issue-12", 12, PLAN, self.track.frozen) if here else None

    async def backlog(self, _repo: Repo, sha: str, _path: str) -> Loaded | None:
        return GOOD if sha == OPEN.head_sha else None


async def lost(track: Track) -> Decision:
    """Lose the database, and take the track up again."""
    said = Comment(41, status(track, ()), DANA, created_at="2026-11-22T11:30:00Z")
    event = TrackLost(repo=REPO, issue=12, comment=41)
    facts = await restored.gather(None, event, cast(TrackReads, _Reads(track, _Forge(said))))
    return restored.decide(None, event, facts, NOW)


def owing(*comments: int) -> tuple[Promise, ...]:
    return tuple(Promise(key=f"comment-{comment}", until="file") for comment in comments)


async def test_the_plan_is_read_back_from_its_file_and_its_boxes_stay() -> None:
    decision = await lost(REVIEW)
    assert decision.track is not None
    assert decision.track.plan == PLAN
    assert SyncPlan() in decision.actions


async def test_what_was_taken_in_is_known_from_the_block_and_from_the_file() -> None:
    noted = Included(name="M-2", task="T-9", by="dana", key="comment-5")
    decision = await lost(replace(REVIEW, included=(noted,)))
    assert decision.track is not None
    assert decision.track.included == (noted, Included(name="M-1", by="", key="", task="T-2"))
    assert not [a for a in decision.actions if isinstance(a, IncludeTasks)]


async def test_what_was_to_be_taken_in_is_written_in_unless_the_file_has_it() -> None:
    asked = tuple(
        Included(name=name, by="dana", key=f"comment-{comment}") for name, comment in (("M-1", 5), ("M-2", 6))
    )
    decision = await lost(replace(REVIEW, included=asked, promised=owing(5, 6)))
    assert decision.track is not None
    assert [a for a in decision.actions if isinstance(a, IncludeTasks | React | PostComment)] == [
        React(repo=REPO, subject="comment", id=5, content="rocket"),
        IncludeTasks(names=("M-2",), by="dana", key="comment-6"),
    ]
    assert decision.track.promised == owing(6)


@pytest.mark.parametrize("state", ["review", "paused"])
async def test_a_note_of_which_nobody_knows_whether_it_was_worked_in_is_told(state: str) -> None:
    track = replace(REVIEW, state=state, resume_to="review" if state == "paused" else None)  # type: ignore[arg-type]
    decision = await lost(replace(track, promised=(*owing(5), Promise(key="comment-6", until="plan"))))
    assert decision.track is not None
    assert decision.track.promised == (Promise(key="comment-6", until="plan"),)
    assert React(repo=REPO, subject="comment", id=5, content="confused") in decision.actions
    [said] = [a for a in decision.actions if isinstance(a, PostComment)]
    assert said.number == 13
    assert said.body == snapshot("""\
<!-- gitwright:answer track=issue-12 -->
<!-- gitwright-key: lost-comment-5 -->
The bot's data was lost while a command was under way that changes the backlog's file; its comment bears 😕 now. See in #13 whether the file says it already, and give the command again if it does not.
""")


async def test_a_plan_that_is_made_anew_has_nothing_of_the_old_one_taken_in() -> None:
    asked = Included(name="M-1", by="dana", key="comment-5")
    planning = a_track(state="planning", plan=PLAN, included=(asked,), promised=owing(5))
    decision = restored.decide(
        None, TrackLost(repo=REPO, issue=12, comment=41), restored.Facts(remains(planning)), NOW
    )
    assert decision.track is not None
    assert (decision.track.plan, decision.track.included, decision.track.promised) == (None, (), ())
    assert React(repo=REPO, subject="comment", id=5, content="confused") in decision.actions
