"""GitHub and what speaks its language (GHES, the embedded forge): the only user of githubkit."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import structlog

from bot.core.values import Repo
from bot.credentials import key_problems
from bot.errors import UserError
from bot.forges.github.auth import READ, AppTokens, PersonalToken
from bot.forges.github.lending import LINGER, Lending
from bot.forges.github.requests import path_of
from bot.forges.github.signing import GitHubSigning
from bot.forges.github.transport import Api, Timing
from bot.ports import Clock, GitAccess, Quota

_log = structlog.get_logger(__name__)


class GitHubForge(GitHubSigning):
    """Implements Forge as an App (`app_id` and `private_key`) or with a person's token."""

    def __init__(  # noqa: PLR0913 - one for each setting
        self,
        api_url: str = "https://api.github.com",
        *,
        git_url: str | None = None,
        app_id: str | None = None,
        private_key: str | None = None,
        token: str | None = None,
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
        api = Api(
            base,
            version=api_version,
            limit=api_limit,
            write_gap=write_gap,
            now=now,
            timeout=timeout,
            timing=timing,
        )
        tokens: AppTokens | PersonalToken
        if app_id and private_key:
            tokens = AppTokens(api, app_id, _checked(private_key), now)
        elif token:
            tokens = PersonalToken(token)
        else:
            raise UserError(
                "The bot has no identity on the forge. Set GITWRIGHT_APP_ID and GITWRIGHT_PRIVATE_KEY, "
                "or GITWRIGHT_TOKEN."
            )
        super().__init__(api, tokens)
        self._lending = Lending(tokens, linger)
        if not graphql:
            self.leave_graphql()
        self._git_url = git_url or default_git_url(base)
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
                token = await stack.enter_async_context(self._lending.lend(lane, repo.id))
            else:
                token = await self._tokens.lease(lane, repo.id, READ)
            _log.info("git_access_lent", repo=repo.slug, token_id=token.id, write=write)
            owner, name = quote(repo.owner, safe=""), quote(repo.name, safe="")
            yield GitAccess(self._git_url.replace("{owner}", owner).replace("{repo}", name), token.secret)

    async def aclose(self) -> None:
        """Revoke every token still held and close the connections."""
        await self._lending.aclose()
        await self._tokens.aclose()
        await self._api.aclose()


def _checked(private_key: str) -> str:
    if problems := key_problems(private_key):
        raise UserError(f"GITWRIGHT_PRIVATE_KEY {problems[0]}")
    return private_key


def default_git_url(api_url: str) -> str:
    """Derive where git speaks from where the API does: github.com, GHE.com, GHES and the embedded forge."""
    parts = urlsplit(api_url)
    host = parts.netloc
    if host == "api.github.com" or re.fullmatch(r"api\.[^.]+\.ghe\.com", host):
        host = host.removeprefix("api.")
    path = parts.path.rstrip("/").removesuffix("/api/v3")
    return f"{parts.scheme}://{host}{path}/{{owner}}/{{repo}}.git"
