"""Owns the last gate where there is no sandbox: what runs code of a repository looks first whether it is still private."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.core import unboxed
from bot.core.actions import Action, CheckHealth, MakePlan, RunTask
from bot.core.events import OwnEvent
from bot.core.track import Track
from bot.errors import UserError
from bot.jobs.repository import Repositories
from bot.perform import Job
from bot.ports import Forge

_RUNS = (CheckHealth, MakePlan, RunTask)


@dataclass(frozen=True, slots=True)
class GatedJob:
    """A job that runs only while its repository is private; it may have been made public since a person started something."""

    job: Job
    forge: Forge

    async def __call__(self, track: Track, action: Action) -> OwnEvent | None:
        if text := unboxed.barred(await self.forge.repo(track.repo)):
            raise UserError(text)
        return await self.job(track, action)


def gated(jobs: Mapping[type[Action], Job], repositories: Repositories) -> dict[type[Action], Job]:
    """Put the gate before every job that runs agents or tests, where there is no sandbox."""
    if not repositories.unboxed:
        return dict(jobs)
    return {kind: GatedJob(job, repositories.forge) if kind in _RUNS else job for kind, job in jobs.items()}
