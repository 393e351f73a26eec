"""Owns forgetting a repository that was deleted: its mirror and its installed dependencies; the rows of its tracks go with those of all that ended."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from bot.core.repo_actions import ForgetRepository
from bot.git.worktrees import WorktreeManager
from bot.jobs.layers import Layers

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ForgetRepositoryJob:
    worktrees: WorktreeManager
    layers: Layers

    async def __call__(self, action: ForgetRepository) -> None:
        """Delete what is kept of it; what was never fetched, or is deleted already, is fine."""
        await asyncio.to_thread(self.layers.forget, str(action.repo.id))
        removed = await self.worktrees.forget(action.repo.id)
        _log.info("repository_forgotten", repo=action.repo.slug, mirror=removed)
