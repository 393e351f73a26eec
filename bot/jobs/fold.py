"""Owns folding away the plan comment of an earlier round, once a newer one is posted."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from bot.core.actions import FoldPlan
from bot.core.ids import Marker, track_id
from bot.core.track import Track
from bot.errors import NotFoundError
from bot.ports import Forge


@dataclass(frozen=True, slots=True)
class FoldPlanJob:
    """Shows the newest plan of an earlier round as outdated; those before it were folded for its sake."""

    forge: Forge

    async def __call__(self, track: Track, _action: FoldPlan) -> None:
        if not self.forge.capabilities.graphql:
            return
        for round_ in range(track.round - 1, 0, -1):
            marker = str(Marker("plan", track_id(track.issue, round_)))
            found = await self.forge.find_comment(track.repo, track.issue, marker)
            if found is None:
                continue  # that round came to no plan
            with suppress(NotFoundError):  # somebody deleted it meanwhile
                await self.forge.fold_comment(track.repo, found.id)
            return
