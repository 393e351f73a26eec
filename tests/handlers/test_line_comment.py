"""Commands on lines of a pull request: heard as any other, and a note names its line."""

from dataclasses import dataclass
from typing import cast

import pytest

from bot.core.actions import Decision, NoteRun, PostComment, React, ReviseBacklog
from bot.core.config import RepoConfig
from bot.core.events import BacklogRevised, LineCommented
from bot.core.promises import kept
from bot.core.track import Promise, Track
from bot.core.values import Actor, Repo, Role
from bot.handler import TrackReads
from handlers import line_comment
from tests.core.builders import DANA, NOW, REPO, SHA, a_task, a_track

HELPER = Actor(77, "helper[bot]", True)


@dataclass
class _World:
    role: Role = "write"
    acknowledged: bool = False
    asked: int = 0

    @property
    def forge(self) -> "_World":
        return self

    unboxed = False

    async def config(self, _repo: Repo) -> tuple[RepoConfig, tuple[str, ...]]:
        self.asked += 1
        return RepoConfig(), ()

    async def permission(self, _repo: Repo, _login: str) -> Role:
        return self.role

    async def bot_ids(self, _repo: Repo) -> frozenset[int]:
        return frozenset()

    async def reacted(self, _repo: Repo, _comment: int, place: str) -> bool:
        assert place == "line"
        return self.acknowledged


def working(**changes: str) -> Track:
    return a_track(a_task(state="running", attempt=1, run=2, pull=14), **changes)


async def say(
    body: str,
    world: _World | None = None,
    track: Track | None = None,
    comment: int = 9,
    author: Actor = DANA,
) -> Decision:
    event = LineCommented(
        repo=REPO, number=14, comment=comment, path="src/a.py", line=3, body=body, author=author
    )
    track = track or working()
    assert set(line_comment.HANDLER.keys(event)) <= set(track.keys())
    facts = await line_comment.gather(track, event, cast(TrackReads, world or _World()))
    return line_comment.decide(track, event, facts, NOW)


def seen(decision: Decision) -> list[tuple[str, int, str]]:
    return [(each.subject, each.id, each.content) for each in decision.actions if isinstance(each, React)]


def answer(decision: Decision) -> str:
    (said,) = [action for action in decision.actions if isinstance(action, PostComment)]
    assert said.number == 14
    return said.body


async def test_a_note_on_a_line_is_told_with_the_line() -> None:
    decision = await say("/agent revise Use a set here.")
    (note,) = [action for action in decision.actions if isinstance(action, NoteRun)]
    assert note.note == "src/a.py:3: Use a set here."
    assert "The agent that works on `T-1` is told." in answer(decision)
    assert seen(decision) == [("line", 9, "eyes"), ("line", 9, "rocket")]


async def test_each_note_on_a_line_of_the_backlog_is_worked_in_and_acknowledged_for_itself() -> None:
    track = a_track(state="review", backlog_pull=14)
    notes = []
    for comment in (9, 10):
        decision = await say("/agent revise Split it.", track=track, comment=comment)
        (note,) = [action for action in decision.actions if isinstance(action, ReviseBacklog)]
        notes.append(note.key)
        assert "Your note is being worked into #14." in answer(decision)
        assert seen(decision) == [("line", comment, "eyes")]
        assert decision.track is not None
        track = decision.track
    assert notes == ["line-9", "line-10"]
    done = BacklogRevised(key="line-10", head_sha=SHA, text="", changed=("T-1",))
    after = kept(Decision(track=track), done)
    assert seen(after) == [("line", 10, "rocket")]
    assert after.track is not None
    assert after.track.promised == (Promise(key="line-9", until="file"),)


async def test_what_is_no_command_costs_nothing_and_says_nothing() -> None:
    world = _World()
    assert (await say("Use a set here.", world)).actions == ()
    assert world.asked == 0


async def test_a_near_miss_is_answered_to_those_who_may_command() -> None:
    decision = await say("/agent rebaes")
    assert "There is no command `/agent rebaes`. Did you mean `/agent rebase`?" in answer(decision)
    assert seen(decision) == [("line", 9, "confused")]
    assert (await say("/agent rebaes", _World("read"))).actions == ()


async def test_who_may_not_is_told_so() -> None:
    decision = await say("/agent revise Use a set.", _World("read"))
    assert "`/agent revise` needs the role `write` here; yours is `read`." in answer(decision)
    assert seen(decision) == [("line", 9, "confused")]


async def test_a_bot_that_nobody_named_is_told_what_it_would_need() -> None:
    assert "its id is 77" in answer(await say("/agent stop", author=HELPER))


@pytest.mark.parametrize("acknowledged", [True, False])
async def test_a_track_that_was_lost_does_not_follow_twice(acknowledged: bool) -> None:
    lost = working(heard_until="2026-01-01T00:00:00Z")
    decision = await say("/agent revise Use a set.", _World(acknowledged=acknowledged), lost)
    assert (decision.actions == ()) == acknowledged


async def test_a_note_on_a_line_that_nobody_sees_is_none() -> None:
    decision = await say("/agent revise <!-- evil -->", track=working())
    (said,) = (action.body for action in decision.actions if isinstance(action, PostComment))
    assert "Say what should be different. Taken out, because people do not see it: HTML comments." in said
    assert not [action for action in decision.actions if isinstance(action, NoteRun)]
