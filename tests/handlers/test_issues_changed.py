"""Who may have a paused track go on by reopening its issue: an issue's author may reopen it, and perhaps not write."""

from typing import cast

import pytest

from bot.core.actions import PostComment
from bot.core.config import RepoConfig
from bot.core.events import IssueReopened
from bot.core.values import Actor, Repo, Role
from bot.handler import Reads
from handlers import issues_changed
from tests.core.builders import DANA, NOW, REPO, a_task, a_track

HELPER, SOMEBODY = Actor(77, "helper[bot]", True), Actor(0, "somebody")


class _World:
    def __init__(self, role: Role, settings: RepoConfig) -> None:
        self.role, self.settings = role, settings

    @property
    def forge(self) -> "_World":
        return self

    unboxed = False

    async def config(self, _repo: Repo) -> tuple[RepoConfig, tuple[str, ...]]:
        return self.settings, ()

    async def bot_ids(self, _repo: Repo) -> frozenset[int]:
        return frozenset({1})

    async def permission(self, _repo: Repo, _login: str) -> Role:
        return self.role


@pytest.mark.parametrize(
    ("actor", "role", "bots", "state"),
    [
        (DANA, "write", (), "working"),
        (DANA, "triage", (), "paused"),
        (DANA, "none", (), "paused"),
        (HELPER, "write", (), "paused"),
        (HELPER, "write", (77,), "working"),
        (SOMEBODY, "write", (), "paused"),
    ],
)
async def test_only_who_may_write_has_the_work_go_on(
    actor: Actor, role: Role, bots: tuple[int, ...], state: str
) -> None:
    track = a_track(a_task(state="running", attempt=1), state="paused", resume_to="working", closed=True)
    event = IssueReopened(repo=REPO, issue=12, actor=actor)
    world = _World(role, RepoConfig(bots=bots))
    may = await issues_changed.gather_reopened(track, event, cast(Reads, world))
    decision = issues_changed.decide_reopened(track, event, may, NOW)
    assert decision.track is not None
    assert (decision.track.state, decision.track.closed) == (state, False)
    said = [action.body for action in decision.actions if isinstance(action, PostComment)]
    assert bool(said) == (state == "paused")
    assert all("comments `/agent resume`" in text for text in said)
