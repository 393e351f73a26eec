"""Owns the offer of a settings file to a repository that the bot was added to: one pull request, once and never again."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from bot.core import config, onboarding
from bot.core.config import RepoConfig
from bot.core.repo_actions import ProposeSettings
from bot.core.values import Repo
from bot.ports import Forge

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProposeSettingsJob:
    """Opens the pull request; nothing where it was opened before, or there is nothing that it would be of use for.

    `most` of the repositories that are added together get one. No mirror is fetched: nobody has asked for work yet.
    """

    forge: Forge
    most: int

    async def __call__(self, action: ProposeSettings) -> None:
        if action.place > self.most:
            _log.info("settings_not_offered", repo=action.repo.slug, why="enough were offered at once")
            return
        repo = await self.forge.repo(action.repo)
        branch = onboarding.branch(RepoConfig().branch_prefix)
        base = await self._base(repo, branch)
        if base is None:
            return
        await self.forge.add_file(
            repo,
            branch=branch,
            base=base,
            path=config.PATH,
            text=onboarding.offered_file(),
            message=onboarding.MESSAGE,
        )
        pull = await self.forge.open_pull(
            repo,
            head=branch,
            base=repo.default_branch,
            title=onboarding.TITLE,
            body=onboarding.offer_body(),
        )
        _log.info("settings_offered", repo=repo.slug, pull=pull.number)

    async def _base(self, repo: Repo, branch: str) -> str | None:
        """Give the commit to begin from; None where nothing is to be offered."""
        if repo.archived or repo.fork:
            return None
        if await self.forge.find_pull(repo, branch) is not None:  # people closed it, or it is open
            return None
        base = await self.forge.branch_sha(repo, repo.default_branch)
        if base is None or await self.forge.read_file(repo, base, config.PATH) is not None:
            return None
        return base
