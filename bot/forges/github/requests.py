"""Owns asking GitHub about a repository: with a token for it alone, and with another one where that is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx

from bot.core.ids import Place
from bot.core.values import Repo
from bot.errors import ArchivedError, ForgeError, LockedError, NotFoundError, UnreachableError
from bot.forges.github import views
from bot.forges.github.auth import READ, AppTokens, Permissions, PersonalToken, Token
from bot.forges.github.lag import Lag
from bot.forges.github.transport import Access, Api, RenamedError

_T = TypeVar("_T")
_Wanted = tuple[int, int, frozenset[tuple[str, str]]]

_FRESH = timedelta(minutes=1)  # a token that was minted since then can do what may be done now
_SETTLED = timedelta(minutes=15)  # for which nobody asks again whether a refusal is one of fresh tokens too


class GitHubRequests:
    """What reads and writes share: finding the installation, leasing a token, paging."""

    def __init__(self, api: Api, tokens: AppTokens | PersonalToken) -> None:
        self._api = api
        self._tokens = tokens
        self._installations: dict[int, int] = {}
        # When a fresh token was refused too: by installation, repository and what was wanted.
        self._refused: dict[_Wanted, datetime] = {}
        self._lag = Lag(api.pause)

    async def _get(
        self, repo: Repo, path: str, params: Mapping[str, str | int] | None = None, *, hot: bool = False
    ) -> httpx.Response:
        """Read; what is `hot` is asked for often, and costs nothing while it has not changed."""
        return await self._call("GET", repo, path, READ, params=params, hot=hot)

    async def _all(
        self, repo: Repo, path: str, params: Mapping[str, str | int] | None = None, key: str | None = None
    ) -> list[Any]:
        lane = await self._lane(repo)
        full = _path(repo, path)
        return await self._lag.look(
            repo.id, full, lambda: self._pages(full, lane, repo.id, READ, params=params, key=key)
        )

    async def _call(
        self,
        method: str,
        repo: Repo,
        path: str,
        wanted: Permissions,
        *,
        json: object = None,
        params: Mapping[str, str | int] | None = None,
        repeatable: bool | None = None,
        hot: bool = False,
    ) -> httpx.Response:
        """Send a request about a repository: patiently about what is new, and under its new name where it was renamed.

        NotFoundError where a write would go to another repository, to which the issue was moved.
        """
        lane = await self._lane(repo)
        more: dict[str, Any] = {"json": json, "params": params, "repeatable": repeatable, "hot": hot}

        async def send(full: str) -> httpx.Response:
            async def ask() -> httpx.Response:
                return await self._send(method, full, lane, repo.id, wanted, **more)

            return await self._lag.look(repo.id, full, ask)

        while True:
            try:
                return await send(_path(repo, path))
            except RenamedError as error:  # nothing has been written yet
                answer = await self._send("GET", f"/repositories/{repo.id}", lane, repo.id, READ)
                now = views.read(views.RepoView, answer.json()).value(repo.installation)
                if now.slug == repo.slug:
                    raise NotFoundError(f"{error}: it was moved to another repository") from error
                repo = now

    async def _send(
        self, method: str, path: str, lane: int, repo_id: int, wanted: Permissions, **more: Any
    ) -> httpx.Response:
        async def send(access: Access) -> httpx.Response:
            return await self._api.send(method, path, access, **more)

        return await self._leased(lane, repo_id, wanted, send)

    async def _pages(self, path: str, lane: int, repo_id: int, wanted: Permissions, **more: Any) -> list[Any]:
        async def read(access: Access) -> list[Any]:
            return [item async for item in self._api.pages(path, access, **more)]

        return await self._leased(lane, repo_id, wanted, read)

    async def _leased(
        self, lane: int, repo_id: int, wanted: Permissions, use: Callable[[Access], Awaitable[_T]]
    ) -> _T:
        """Ask with a leased token; one that the forge refuses (suspended, revoked, granted less) is replaced once."""
        token = await self._tokens.lease(lane, repo_id, wanted)
        try:
            return await use(token.access())
        except ForgeError as error:
            key = (lane, repo_id, frozenset(wanted.items()))
            if not self._may_be_stale(token, error, key):
                raise
            self._tokens.forget(token)
            fresh = await self._tokens.lease(lane, repo_id, wanted)
            if fresh is token:  # a person's, which nobody else can replace
                raise
        try:
            return await use(fresh.access())
        except ForgeError as error:
            if error.status == 403:
                self._refused[key] = self._api.now()
            raise

    def _may_be_stale(self, token: Token, error: ForgeError, wanted: _Wanted) -> bool:
        """Tell whether a new token might do what this one may not: revoked, suspended since, or granted more since."""
        if error.status == 401:
            return True
        if error.status != 403 or isinstance(error, ArchivedError | LockedError):
            return False
        if "suspended" in str(error):
            return True
        now, refused_at = self._api.now(), self._refused.get(wanted)
        settled = refused_at is not None and now - refused_at < _SETTLED
        return now - token.minted_at > _FRESH and not settled

    async def _lane(self, repo: Repo) -> int:
        if repo.installation is not None:
            self._installations[repo.id] = repo.installation
            return repo.installation
        return await self._installation(repo.id)

    async def _installation(self, repo_id: int) -> int:
        """Find the installation that a repository belongs to; it is usually known from the last event."""
        if not isinstance(self._tokens, AppTokens):
            return 0
        if repo_id not in self._installations:
            async for item in self._api.pages("/app/installations", self._tokens.app):
                found = views.read(views.InstallationView, item)
                if repo_id not in self._installations and await self._reaches(found, repo_id):
                    self._installations[repo_id] = found.id
            if repo_id not in self._installations:
                raise NotFoundError(f"no installation of the App reaches the repository {repo_id}")
        return self._installations[repo_id]

    async def _reaches(self, installation: views.InstallationView, repo_id: int) -> bool:
        if installation.suspended_at is not None:
            return False
        try:
            await self._tokens.lease(installation.id, repo_id, READ)
        except UnreachableError:
            return False
        except ForgeError as error:
            if error.status in {403, 404, 422}:
                return False
            raise
        return True


def reactions_of(subject: Literal["issue"] | Place, id_: int) -> str:
    """Give the path of the reactions to an issue, to a comment, or to what is said on a line."""
    below = {"issue": "issues", "comment": "issues/comments", "line": "pulls/comments"}
    return f"/{below[subject]}/{id_}/reactions"


def path_of(repo: Repo) -> str:
    """Give what the paths of all calls about a repository begin with."""
    return _path(repo, "")


def _path(repo: Repo, path: str) -> str:
    return f"/repos/{quote(repo.owner, safe='')}/{quote(repo.name, safe='')}{path}"
