"""Owns forgetting a repository that was deleted: its mirror; the rows of its tracks go with those of all that ended."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from bot.core.repo_actions import ForgetRepository
from bot.git.worktrees import WorktreeManager

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ForgetRepositoryJob:
    worktrees: WorktreeManager

    async def __call__(self, action: ForgetRepository) -> None:
        """Delete the mirror; one that was never fetched, or is deleted already, is fine."""
        removed = await self.worktrees.forget(action.repo.id)
        _log.info("repository_forgotten", repo=action.repo.slug, mirror=removed)
