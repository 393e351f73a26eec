"""Commands on lines of a pull request: a note names its line, anything else is left to people."""

from dataclasses import dataclass
from typing import cast

from bot.core.actions import Decision, NoteRun, PostComment
from bot.core.config import RepoConfig
from bot.core.events import LineCommented
from bot.core.track import Track
from bot.core.values import Comment, Repo, Role
from bot.handler import TrackReads
from handlers import line_comment
from tests.core.builders import DANA, NOW, REPO, a_task, a_track


@dataclass
class _World:
    role: Role = "write"
    answered: Comment | None = None
    asked: int = 0

    @property
    def forge(self) -> "_World":
        return self

    async def config(self, _repo: Repo) -> tuple[RepoConfig, tuple[str, ...]]:
        self.asked += 1
        return RepoConfig(), ()

    async def permission(self, _repo: Repo, _login: str) -> Role:
        return self.role

    async def find_comment(self, _repo: Repo, _number: int, _marker: str) -> Comment | None:
        return self.answered


def working(**changes: str) -> Track:
    return a_track(a_task(state="running", attempt=1, run=2, pull=14), **changes)


async def say(body: str, world: _World | None = None, track: Track | None = None) -> Decision:
    event = LineCommented(repo=REPO, number=14, comment=9, path="src/a.py", line=3, body=body, author=DANA)
    track = track or working()
    assert set(line_comment.HANDLER.keys(event)) <= set(track.keys())
    facts = await line_comment.gather(track, event, cast(TrackReads, world or _World()))
    return line_comment.decide(track, event, facts, NOW)


async def test_a_note_on_a_line_is_told_with_the_line() -> None:
    decision = await say("/agent revise Use a set here.")
    (note,) = [action for action in decision.actions if isinstance(action, NoteRun)]
    assert note.note == "src/a.py:3: Use a set here."
    (answer,) = [action for action in decision.actions if isinstance(action, PostComment)]
    assert answer.number == 14


async def test_what_is_no_command_costs_nothing_and_says_nothing() -> None:
    world = _World()
    assert (await say("Use a set here.", world)).actions == ()
    assert (await say("/agent rebaes", world)).actions == ()
    assert world.asked == 0


async def test_who_may_not_is_told_so() -> None:
    (answer,) = (await say("/agent revise Use a set.", _World("read"))).actions
    assert isinstance(answer, PostComment)
    assert "`/agent revise` needs the role `write` here; yours is `read`." in answer.body


async def test_a_track_that_was_lost_does_not_answer_twice() -> None:
    lost = working(heard_until="2026-01-01T00:00:00Z")
    known = _World(answered=Comment(1, "", DANA))
    assert (await say("/agent revise Use a set.", known, lost)).actions == ()
    assert (await say("/agent revise Use a set.", _World(), lost)).actions != ()
