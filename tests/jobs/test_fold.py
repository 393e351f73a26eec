"""Which plan comment is folded when a newer round has posted its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from bot.core.actions import FoldPlan
from bot.core.values import Actor, Comment
from bot.errors import NotFoundError
from bot.jobs.fold import FoldPlanJob
from bot.ports import Capabilities, Forge
from tests.core.builders import a_track


@dataclass
class _Forge:
    """Comments by their identity, and which were folded."""

    posted: dict[str, int]
    graphql: bool = True
    gone: bool = False
    folded: list[int] = field(default_factory=list)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(graphql=self.graphql)

    async def find_comment(self, _repo: object, _number: int, marker: str) -> Comment | None:
        id_ = self.posted.get(marker)
        return Comment(id_, marker, Actor(1, "bot", True)) if id_ else None

    async def fold_comment(self, _repo: object, comment: int) -> None:
        if self.gone:
            raise NotFoundError("deleted")
        self.folded.append(comment)


def plan_of(track: str) -> str:
    return f"<!-- gitwright:plan track={track} -->"


@pytest.mark.parametrize(
    ("posted", "wanted"),
    [
        ({"issue-12": 5, "issue-12-r2": 6, "issue-12-r3": 7}, [6]),
        ({"issue-12": 5, "issue-12-r3": 7}, [5]),
        ({"issue-12-r3": 7}, []),
    ],
)
async def test_the_newest_plan_of_an_earlier_round_is_folded(
    posted: dict[str, int], wanted: list[int]
) -> None:
    forge = _Forge({plan_of(track): id_ for track, id_ in posted.items()})
    await FoldPlanJob(cast(Forge, forge))(a_track(round=3), FoldPlan())
    assert forge.folded == wanted


@pytest.mark.parametrize("how", [{"graphql": False}, {"gone": True}])
async def test_where_it_cannot_be_folded_nothing_fails(how: dict[str, bool]) -> None:
    forge = _Forge({plan_of("issue-12"): 5}, **how)
    await FoldPlanJob(cast(Forge, forge))(a_track(round=2), FoldPlan())
    assert forge.folded == []
