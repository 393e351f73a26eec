"""Which pushes and pull requests are looked at for the sake of the settings, and what follows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from bot.core.events import (
    CheckAskedAgain,
    ForgeEvent,
    PullOffered,
    PullPushed,
    PullReopened,
    Pushed,
    RepositoryAdded,
    SuiteAskedAgain,
)
from bot.core.repo_actions import CheckSettings, ProposeSettings, RepoAction, ReportSettings
from bot.core.values import Actor, Check, Repo
from bot.handler import Reads, RepoHandler
from handlers import REPO_HANDLERS
from tests.core.builders import DANA, REPO, SHA

ROBOT = Actor(99, "gitwright[bot]", is_bot=True)
OURS = "agent/issue-12/T-1-a1"
OFFERED = PullOffered(repo=REPO, number=14, head_branch="tune", head_sha=SHA, actor=DANA)
PUSHED = Pushed(repo=REPO, branch="main", before=None, after=SHA, actor=DANA, settings=True)


CHECK_AGAIN = CheckAskedAgain(
    repo=REPO, check="gitwright/config", sha=SHA, branch="tune", pulls=(14,), actor=DANA
)
SUITE_AGAIN = SuiteAskedAgain(repo=REPO, sha=SHA, branch="tune", pulls=(14,), actor=DANA)


@dataclass
class _Checks:
    """What commits show on the forge; it stands for the forge and for all that may be read."""

    found: list[Check] = field(default_factory=list)

    @property
    def forge(self) -> _Checks:
        return self

    async def checks(self, _repo: Repo, sha: str) -> list[Check]:
        assert sha == SHA
        return self.found


async def followed(event: ForgeEvent, *found: Check) -> tuple[RepoAction, ...]:
    [handler] = [h for h in REPO_HANDLERS if h.event is type(event)]
    assert isinstance(handler, RepoHandler)
    if not handler.concerns(event):
        return ()
    return handler.decide(event, await handler.gather(event, cast(Reads, _Checks(list(found)))))


@pytest.mark.parametrize(
    "event",
    [
        OFFERED,
        replace(OFFERED, actor=ROBOT, head_branch="agent/onboarding"),
        replace(OFFERED, head_branch=OURS),
        PullPushed(repo=REPO, number=14, head_branch=OURS, head_sha=SHA, actor=DANA),
        PullReopened(repo=REPO, number=14, head_branch="tune", head_sha=SHA, actor=DANA),
    ],
)
async def test_what_people_show_is_looked_at_and_what_the_bot_offers(event: ForgeEvent) -> None:
    assert await followed(event) == (CheckSettings(repo=REPO, pull=14, sha=SHA),)


@pytest.mark.parametrize(
    "event",
    [
        replace(OFFERED, actor=ROBOT, head_branch=OURS),
        replace(OFFERED, actor=ROBOT, head_branch="agent/issue-12/backlog"),
        PullPushed(repo=REPO, number=14, head_branch=OURS, head_sha=SHA, actor=ROBOT),
    ],
)
async def test_the_bot_s_own_work_costs_no_call(event: ForgeEvent) -> None:
    assert await followed(event) == ()


async def test_only_the_default_branch_is_reported_and_only_where_its_settings_may_have_changed() -> None:
    assert await followed(PUSHED) == (ReportSettings(repo=REPO),)
    assert await followed(replace(PUSHED, branch="tune")) == ()
    assert await followed(replace(PUSHED, settings=False)) == ()


async def test_settings_are_offered_to_what_was_added() -> None:
    added = RepositoryAdded(repo=REPO, place=3)
    assert await followed(added) == (ProposeSettings(repo=REPO, place=3),)


async def test_its_check_is_made_anew_where_somebody_asks_for_it_again() -> None:
    anew = (CheckSettings(repo=REPO, pull=None, sha=SHA),)
    assert await followed(CHECK_AGAIN) == anew
    assert await followed(replace(CHECK_AGAIN, pulls=())) == anew, "GitHub names no pull request of a fork"
    assert await followed(replace(CHECK_AGAIN, check="gitwright/backlog")) == ()


async def test_all_checks_again_are_this_one_too_where_the_commit_has_it() -> None:
    ours = Check("gitwright/config", done=True, conclusion="success", ours=True)
    assert await followed(SUITE_AGAIN, ours) == (CheckSettings(repo=REPO, pull=None, sha=SHA),)
    assert await followed(SUITE_AGAIN, replace(ours, ours=False)) == ()
    assert await followed(SUITE_AGAIN, replace(ours, name="gitwright/task")) == ()
    assert await followed(SUITE_AGAIN) == ()
