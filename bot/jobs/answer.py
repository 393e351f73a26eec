"""Owns answering a command where there is no track: 😕 on what was written, and why below it."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from bot.core.repo_actions import AnswerCommand
from bot.errors import ArchivedError, LockedError, NotFoundError
from bot.ports import Forge

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AnswerCommandJob:
    """Posts the answer, which is kept where it stands already; one that has no place any more is logged."""

    forge: Forge

    async def __call__(self, action: AnswerCommand) -> None:
        await self.forge.react(action.repo, action.place, action.comment, "confused")
        try:
            await self.forge.create_comment(action.repo, action.number, action.body)
        except (NotFoundError, ArchivedError, LockedError) as error:
            _log.warning("comment_has_no_place", number=action.number, error=str(error))
