"""Comments that are edited into commands: nothing follows but a word to whoever did it."""

from dataclasses import replace
from typing import cast

import pytest

from bot.core.actions import Decision, PostComment
from bot.core.config import RepoConfig
from bot.core.events import CommentEdited
from bot.core.values import Actor, Repo, Role
from bot.handler import TrackReads
from handlers import comment_edited
from tests.core.builders import DANA, NOW, REPO, a_task, a_track

EDITED = CommentEdited(
    repo=REPO, number=12, is_pull=False, comment=5, before="/agnt stop", body="/agent stop", actor=DANA
)
HELPER = Actor(77, "helper[bot]", True)


class _World:
    def __init__(self, role: Role) -> None:
        self.role: Role = role

    @property
    def forge(self) -> "_World":
        return self

    unboxed = False

    async def config(self, _repo: Repo) -> tuple[RepoConfig, tuple[str, ...]]:
        return RepoConfig(), ()

    async def bot_ids(self, _repo: Repo) -> frozenset[int]:
        return frozenset({1})

    async def permission(self, _repo: Repo, _login: str) -> Role:
        return self.role


async def edit(event: CommentEdited, role: Role = "write") -> Decision:
    track = a_track(a_task())
    facts = await comment_edited.gather(track, event, cast(TrackReads, _World(role)))
    decision = comment_edited.decide(track, event, facts, NOW)
    assert decision.track == track
    return decision


async def test_whoever_edits_a_comment_into_a_command_is_told_to_write_a_new_one() -> None:
    for event in (EDITED, replace(EDITED, before="Hm."), replace(EDITED, before="/agent pause")):
        (said,) = (await edit(event)).actions
        assert isinstance(said, PostComment)
        assert said.body.splitlines()[1:] == [
            "<!-- gitwright-key: edited-5 -->",
            "A comment is read once, as it was written: this edit changes nothing. To give the command, write a new "
            "comment that begins with `/agent stop`.",
        ]


@pytest.mark.parametrize(
    "event",
    [
        replace(EDITED, body="Stop it."),
        replace(EDITED, body="> /agent stop"),
        replace(EDITED, body="/agnt stop it"),
        replace(EDITED, before="\n/agent stop"),
    ],
)
async def test_other_edits_cost_nothing(event: CommentEdited) -> None:
    assert comment_edited.HANDLER.keys(event) == ()
    assert comment_edited.HANDLER.opens(event) is None
    assert (await edit(event)).actions == ()


async def test_strangers_and_bots_are_not_answered() -> None:
    assert (await edit(EDITED, "read")).actions == ()
    assert (await edit(replace(EDITED, actor=HELPER))).actions == ()
    assert (await edit(EDITED, "triage")).actions != ()


def test_it_is_heard_where_a_new_comment_would_be() -> None:
    assert (comment_edited.HANDLER.keys(EDITED), comment_edited.HANDLER.opens(EDITED)) == (("issue:12",), 12)
    on_pull = replace(EDITED, is_pull=True)
    assert (comment_edited.HANDLER.keys(on_pull), comment_edited.HANDLER.opens(on_pull)) == (
        ("pull:12",),
        None,
    )
