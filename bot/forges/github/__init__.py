"""GitHub and what speaks its language (GHES, the embedded forge): the only user of githubkit."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import structlog

from bot.broker.client import Broker
from bot.broker.credential import Credential
from bot.broker.doors import Place
from bot.broker.inside import Inside
from bot.core.values import Repo
from bot.errors import UserError
from bot.forges.github.auth import READ, AppTokens, PersonalToken, Token
from bot.forges.github.lending import LINGER, Lending
from bot.forges.github.requests import path_of
from bot.forges.github.signing import GitHubSigning
from bot.forges.github.transport import Api, Timing
from bot.ports import Clock, GitAccess, Quota

_log = structlog.get_logger(__name__)


class GitHubForge(GitHubSigning):
    """Implements Forge by way of a broker, which is closed with it.

    Without one, an App (`app_id` and `private_key`) or a person's token has a broker in this process.
    """

    def __init__(  # noqa: PLR0913 - one for each setting
        self,
        api_url: str = "https://api.github.com",
        *,
        git_url: str | None = None,
        app_id: str | None = None,
        private_key: str | None = None,
        token: str | None = None,
        broker: Broker | None = None,
        api_version: str = "2022-11-28",
        write_gap: float = 1.0,
        api_limit: int = 10,
        clock: Clock | None = None,
        timeout: float = 20.0,
        graphql: bool = True,
        linger: float = LINGER,
    ) -> None:
        base = api_url.rstrip("/")
        now: Callable[[], datetime] = clock.now if clock else lambda: datetime.now(UTC)
        timing = Timing(monotonic=lambda: now().timestamp()) if clock else Timing()
        self._git_url = git_url or default_git_url(base)
        if broker is None:
            place = Place(base, self._git_url)
            broker = Inside(_credential(app_id, private_key, token), place, now, api_limit)
        self._broker = broker
        api = Api(
            base,
            version=api_version,
            limit=api_limit,
            write_gap=write_gap,
            now=now,
            timeout=timeout,
            timing=timing,
            transport=broker.transport(),
        )
        tokens = AppTokens(api, now) if broker.mode == "app" else PersonalToken(api)
        super().__init__(api, tokens)
        self._lending = Lending(tokens, linger)
        if not graphql:
            self.leave_graphql()
        self._page = default_git_url(base).removesuffix(".git")

    def cap(self, repo: Repo, calls: int) -> None:
        """Let at most so many calls about a repository travel at once, where the limit for all allows more."""
        self._api.cap(path_of(repo), calls)

    def quotas(self) -> Sequence[Quota]:
        """Give what is left of GitHub's limits, as its last answers said; nothing where it has none, as GHES mostly."""
        return self._api.quotas()

    def git_access(self, repo: Repo, *, write: bool) -> AbstractAsyncContextManager[GitAccess]:
        """Lend access for git: a token for this repository alone; one that may write is revoked soon after the block."""
        return self._lend(repo, write)

    async def secrets_in(self, data: bytes) -> list[tuple[str, int]]:
        """Have the broker look for the App's key and its tokens, or the person's token."""
        return await self._broker.find(data)

    def page(self, repo: Repo) -> str:
        """Give the address of a repository's page, without a slash at its end."""
        return self._page.replace("{owner}", quote(repo.owner, safe="")).replace(
            "{repo}", quote(repo.name, safe="")
        )

    @contextlib.asynccontextmanager
    async def _lend(self, repo: Repo, write: bool) -> AsyncIterator[GitAccess]:
        # What may write ends soon after the block; reading shares the token that reads of this repository use.
        lane = await self._lane(repo)
        async with contextlib.AsyncExitStack() as stack:
            if write:
                token = await stack.enter_async_context(self._lending.lend(lane, repo))
            else:
                token = await stack.enter_async_context(self._fetching(lane, repo))
            _log.info("git_access_lent", repo=repo.slug, token_id=token.id, write=write)
            owner, name = quote(repo.owner, safe=""), quote(repo.name, safe="")
            url = self._git_url.replace("{owner}", owner).replace("{repo}", name)
            yield GitAccess(await self._broker.git(url), token.secret)

    @contextlib.asynccontextmanager
    async def _fetching(self, lane: int, repo: Repo) -> AsyncIterator[Token]:
        """Lend what git fetches with; one with which that failed is not lent again: the broker may have forgotten it."""
        tokens = self._tokens
        if isinstance(tokens, PersonalToken):
            token = await tokens.mint(lane, repo.id, READ)
        else:
            token = await tokens.lease(lane, repo.id, READ)
        try:
            yield token
        except BaseException:
            tokens.forget(token)
            raise

    async def aclose(self) -> None:
        """Revoke every token still held and close the connections."""
        async with contextlib.AsyncExitStack() as stack:  # none is left out because one before it failed
            for each in (self._broker, self._api, self._tokens, self._lending):
                stack.push_async_callback(each.aclose)


def _credential(app_id: str | None, private_key: str | None, token: str | None) -> Credential:
    if app_id and private_key:
        return Credential(app_id, private_key)
    if token:
        return Credential(secret=token)
    raise UserError(
        "The bot has no identity on the forge. Set GITWRIGHT_APP_ID and GITWRIGHT_PRIVATE_KEY_PATH, or GITWRIGHT_TOKEN_PATH."
    )


def default_git_url(api_url: str) -> str:
    """Derive where git speaks from where the API does: github.com, GHE.com, GHES and the embedded forge."""
    parts = urlsplit(api_url)
    host = parts.netloc
    if host == "api.github.com" or re.fullmatch(r"api\.[^.]+\.ghe\.com", host):
        host = host.removeprefix("api.")
    path = parts.path.rstrip("/").removesuffix("/api/v3")
    return f"{parts.scheme}://{host}{path}/{{owner}}/{{repo}}.git"
