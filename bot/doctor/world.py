"""Owns what checks look at: the settings, the environment, and the forge, asked once for what several checks read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from bot import brokered
from bot.core import config as settings_file
from bot.core.config import ConfigProblem, RepoConfig
from bot.core.values import Repo
from bot.errors import BotError, UserError
from bot.forges.github.apps import AppFacts
from bot.forges.github.inspection import Inspection, InstallationFacts, Listing, Reception, RepoFacts
from bot.ports import Clock
from bot.settings import Settings

T = TypeVar("T")


class NotLookedAtError(BotError):
    """A check cannot be made; the text says why, `step` what to mend first."""

    def __init__(self, message: str, step: str) -> None:
        super().__init__(message)
        self.step = step


@dataclass(slots=True)
class World:
    """Everything outside; nothing here writes but what --fix calls by name."""

    settings: Settings | None
    problem: str  # what is wrong with the settings, where there are none
    environ: Mapping[str, str]
    inspection: Inspection | None  # None: no identity on a forge yet, or no usable settings
    named: tuple[str, ...] = ()  # repositories asked for, owner/name
    _asked: dict[str, asyncio.Task[Any]] = field(default_factory=dict)

    def configured(self) -> Settings:
        """Give the settings, or say that there are none."""
        if self.settings is None:
            raise NotLookedAtError("The settings are not usable.", "Mend what `settings` names.")
        return self.settings

    def app_mode(self) -> bool:
        """Tell whether the bot is an App, or works with a person's token."""
        mode = self.configured().mode
        if mode == "setup":
            raise NotLookedAtError("The bot has no identity on a forge yet.", "Do what `settings` says.")
        return mode == "app"

    def forge(self) -> Inspection:
        """Give the forge, or say that the bot has no identity there."""
        self.app_mode()
        assert self.inspection is not None
        return self.inspection

    async def reception(self) -> Reception:
        """Ask the forge who we are; its answer may be a refusal."""
        return await self._once("reception", self.forge().reception)

    async def reached(self) -> Inspection:
        """Give the forge once it has recognized us."""
        if (await self.reception()).refusal:
            raise NotLookedAtError(
                "The forge does not answer us as it should.", "Do what `forge.identity` says."
            )
        return self.forge()

    async def app(self) -> AppFacts:
        """Give the App as the forge knows it."""
        await self.reached()
        app = (await self.reception()).app
        if app is None:
            raise NotLookedAtError("There is no App: the bot works with a person's token.", "")
        return app

    async def installations(self) -> list[InstallationFacts]:
        """List where the App is installed."""
        forge = await self.reached()
        return await self._once("installations", forge.installations)

    async def listing(self, repo: Repo) -> Listing:
        """List a repository's files on its default branch."""
        forge = await self.reached()
        return await self._once(f"listing {repo.slug}", lambda: forge.listing(repo))

    async def facts(self, repo: Repo) -> RepoFacts:
        """Read a repository as it is now."""
        forge = await self.reached()
        return await self._once(f"facts {repo.slug}", lambda: forge.facts(repo))

    async def file(self, repo: Repo, path: str) -> str | None:
        """Read a text file on a repository's default branch."""
        forge = await self.reached()
        return await self._once(
            f"file {repo.slug} {path}", lambda: forge.read_file(repo, repo.default_branch, path)
        )

    async def config(self, repo: Repo) -> tuple[RepoConfig, tuple[ConfigProblem, ...]]:
        """Read a repository's settings as the bot would."""
        return settings_file.parse(await self.file(repo, settings_file.PATH) or "")

    async def _once(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask once, whoever needs the answer; one who stops waiting takes it from nobody else."""
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(ask())
        return cast(T, await asyncio.shield(self._asked[key]))

    def forget(self) -> None:
        """Ask anew: something was mended."""
        for key in [key for key, task in self._asked.items() if task.done()]:
            del self._asked[key]

    async def aclose(self) -> None:
        """Stop asking, revoke tokens, close connections."""
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)
        if self.inspection is not None:
            await self.inspection.aclose()


def open_world(
    load: Callable[[], Settings],
    environ: Mapping[str, str],
    clock: Clock,
    named: tuple[str, ...] = (),
) -> World:
    """Read the settings and get ready to ask the forge; what is wrong with them is a finding."""
    try:
        settings = load()
        return World(settings, "", environ, _inspection(settings, clock), named)
    except UserError as error:
        return World(None, str(error), environ, None, named)


def _inspection(settings: Settings, clock: Clock) -> Inspection | None:
    if settings.mode == "setup":
        return None
    return Inspection(
        settings.github_api_url,
        git_url=settings.github_git_url,
        broker=brokered.inside(settings, clock),
        api_version=settings.github_api_version,
        write_gap=settings.write_gap,
        api_limit=settings.api_calls,
        clock=clock,
        timeout=5.0,
    )
