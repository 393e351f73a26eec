"""What people read of a long wait: in the bot's own words, once for what waits, however often it is tried."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import pytest

from bot.core.ids import identity
from bot.core.values import Actor, Comment, Repo
from bot.errors import LockedError
from bot.jobs.telling import telling
from bot.ports import Forge
from tests.core.builders import NOW, a_track

HOUR = timedelta(hours=1)


@dataclass
class Issue:
    """Keeps the comments of one issue; each call takes a moment."""

    comments: dict[int, str] = field(default_factory=dict)

    async def find_comment(self, _repo: Repo, _number: int, marker: str) -> Comment | None:
        await asyncio.sleep(0)
        found = [id_ for id_, body in self.comments.items() if identity(body) == marker]
        return Comment(found[0], self.comments[found[0]], Actor(1, "bot", True)) if found else None

    async def create_comment(self, _repo: Repo, _number: int, body: str, *, first: bool = False) -> int:
        await asyncio.sleep(0)
        self.comments[len(self.comments) + 1] = body
        return len(self.comments)

    async def update_comment(self, _repo: Repo, comment_id: int, body: str) -> None:
        self.comments[comment_id] = body


@pytest.fixture
def issue() -> Issue:
    return Issue()


HOSTILE: Mapping[str, str] = {
    "<!-- swallowed": "&lt;",
    "<img src=//host/p.png>": "&lt;img",
    "<details><summary>x": "&lt;details&gt;",
    "**Approved by the maintainers**": "\\*\\*Approved",
    "[look](//host/x)": "\\[look\\]",
    "one\n# A title": "one \\# A title",
}


@pytest.mark.parametrize("words", HOSTILE)
async def test_words_of_an_agent_are_words(issue: Issue, words: str) -> None:
    tell = telling(cast(Forge, issue))
    await tell(a_track(), "T-1-a1-r1", f"The agent `x` gave up: {words}; its provider answered 429", NOW)
    said = issue.comments[1].partition("-->\n<!--")[2].partition("-->\n")[2]
    assert words not in said
    assert "The agent `x` gave up: " in said
    assert said.rstrip().endswith("answered 429. It goes on by itself then.")


async def test_what_waits_again_says_so_in_the_same_place(issue: Issue) -> None:
    tell = telling(cast(Forge, issue))
    for hours in (1, 2, 2):
        await tell(a_track(), "T-1-a1-r1", "429", NOW + hours * HOUR)
    assert [body.count("2026-11-22T14:00") for body in issue.comments.values()] == [1]
    await tell(a_track(), "T-2-a1-r1", "429", NOW + HOUR)
    assert len(issue.comments) == 2


async def test_planners_that_wait_together_say_so_once(issue: Issue) -> None:
    tell = telling(cast(Forge, issue))
    await asyncio.gather(*(tell(a_track(), "plan:abc", f"p{n}: 429", NOW + HOUR) for n in range(3)))
    assert len(issue.comments) == 1


async def test_a_wait_that_cannot_be_told_is_a_wait_all_the_same(issue: Issue) -> None:
    async def locked(*_: object, **__: object) -> int:
        raise LockedError("the conversation is locked")

    issue.create_comment = locked  # type: ignore[method-assign]
    await telling(cast(Forge, issue))(a_track(), "plan:abc", "429", NOW + HOUR)
    assert issue.comments == {}
