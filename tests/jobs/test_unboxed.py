"""The last gate where there is no sandbox: a repository that was made public since a person started something."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import pytest

from bot.core.actions import CheckHealth, CloseTrack, MakePlan, RunTask
from bot.core.track import Track
from bot.core.values import Repo
from bot.errors import UserError
from bot.jobs.repository import Repositories
from bot.jobs.unboxed import gated
from tests.core.builders import a_track

REPO = Repo(7, "o", "r", "main", private=True)


@dataclass
class _Forge:
    private: bool = True

    async def repo(self, repo: Repo) -> Repo:
        return replace(repo, private=self.private)


async def _done(_track: Track, _action: object) -> None:
    return None


async def test_what_runs_code_looks_first_and_the_rest_does_not() -> None:
    forge = _Forge()
    kinds = (CheckHealth, MakePlan, RunTask, CloseTrack)
    repositories = cast(Repositories, Repositories(forge, None, unboxed=True))  # type: ignore[arg-type]
    jobs = gated(dict.fromkeys(kinds, _done), repositories)
    track = a_track(repo=REPO)
    for kind in kinds:
        await jobs[kind](track, CloseTrack())
    forge.private = False  # the track still says what its last event said
    for kind in (CheckHealth, MakePlan, RunTask):
        with pytest.raises(UserError, match="this repository is public"):
            await jobs[kind](track, CloseTrack())
    await jobs[CloseTrack](track, CloseTrack())


async def test_with_a_sandbox_there_is_no_gate() -> None:
    plain = {RunTask: _done}
    assert gated(plain, cast(Repositories, Repositories(_Forge(private=False), None))) == plain  # type: ignore[arg-type]
