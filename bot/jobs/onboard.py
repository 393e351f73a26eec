"""Owns the offer of a settings file to a repository that the bot was added to: one pull request, once and never again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    usual: RepoConfig  # what holds in a repository without settings, the operator's included
    agents: Callable[[RepoConfig], Mapping[str, tuple[str, str]]]  # agent -> what is wrong, what to do
    models: Callable[[RepoConfig], Mapping[str, str]]  # model without which a role has none -> what is wrong

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
            body=self._body(),
        )
        _log.info("settings_offered", repo=repo.slug, pull=pull.number)

    def _body(self) -> str:
        """Tell with which agent the bot would work here, or what it lacks for that where it runs."""
        agents = [
            f"`{name}`: {wrong}. {remedy}"
            for name, (wrong, remedy) in self.agents(self.usual).items()
            if wrong
        ]
        models = [f"model `{name}`: {wrong}" for name, wrong in self.models(self.usual).items()]
        agent = self.usual.agent if isinstance(self.usual.agent, str) else "custom"
        return onboarding.offer_body(agent, [*agents, *models])

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
