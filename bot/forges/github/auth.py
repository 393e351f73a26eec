"""Owns tokens: narrowed to one repository and the permissions of the step, minted once, revoked when no longer needed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar
from urllib.parse import quote

import structlog
from githubkit import TokenAuthStrategy

from bot.broker.vault import APP, PERSON, PUSHES, REVOKE
from bot.core.grants import lacking
from bot.core.values import Repo
from bot.errors import BotError, ForgeError, NotFoundError, UnreachableError
from bot.forges.github import views
from bot.forges.github.transport import Access, Api

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")

Permissions = Mapping[str, str]
READ: Permissions = {
    "metadata": "read",
    "contents": "read",
    "issues": "read",
    "pull_requests": "read",
    "checks": "read",
    "statuses": "read",
}
# Telling people: comments, labels, pull requests and checks.
TALK: Permissions = {
    "metadata": "read",
    "contents": "read",
    "issues": "write",
    "pull_requests": "write",
    "checks": "write",
}
# On its own: an installation that was made before the App asked for it can still be read.
LOGS: Permissions = {"metadata": "read", "actions": "read"}
METADATA: Permissions = {"metadata": "read"}
PUSH: Permissions = {"metadata": "read", "contents": "write"}

_SPARE = timedelta(minutes=5)  # a token that ends sooner is not lent any more
_ASK_AGAIN = 900.0  # seconds after which an installation that is suspended or gone is tried once more
_CLOSING = 5.0  # seconds for revoking all at the end
_REVOKE_AGAIN = (90.0, 300.0, 900.0)  # seconds between the tries of what could not be revoked


@dataclass(frozen=True, slots=True)
class Token:
    """A handle of a token, which the broker alone knows, and what it may do; `id` names it in logs."""

    secret: str = field(repr=False)
    installation: int
    permissions: Permissions
    expires_at: datetime
    minted_at: datetime

    @property
    def id(self) -> str:
        return hashlib.sha256(self.secret.encode()).hexdigest()[:12]

    def access(self) -> Access:
        return Access(TokenAuthStrategy(self.secret), self.installation)


class Tokens(Protocol):
    """Gives tokens for one repository."""

    async def lease(self, installation: int, repo_id: int, wanted: Permissions) -> Token:
        """Give a token that may do at least this, for this repository alone; shared until it ends."""

    async def mint(
        self, installation: int, repo_id: int, wanted: Permissions, pushes: str | None = None
    ) -> Token:
        """Give a fresh token that nobody else holds; one whose asker is cancelled is revoked.

        git may push with it where `pushes` (see `pushes_to`) says to which repository.
        """

    async def revoke(self, token: Token) -> None:
        """End a token; one that has ended is fine."""

    def forget(self, token: Token) -> None:
        """Never lease this token again, as the forge refuses it; it may be alive, and is revoked at the end like any other."""

    def forget_all(self, installation: int) -> None:
        """Never lease an installation's tokens again; they are revoked at the end like any other."""

    async def aclose(self) -> None:
        """Revoke every token still held."""


class PersonalToken:
    """Token mode: one token of a person, which is theirs to revoke; git gets handles of it, which end sooner."""

    def __init__(self, api: Api) -> None:
        ends = datetime.max.replace(tzinfo=UTC)
        self._api = api
        self._token = Token(PERSON, 0, {}, ends, datetime.min.replace(tzinfo=UTC))

    async def lease(self, installation: int, repo_id: int, wanted: Permissions) -> Token:
        return self._token

    async def mint(
        self, installation: int, repo_id: int, wanted: Permissions, pushes: str | None = None
    ) -> Token:
        answer = await _ask_for_token(self._api, self._token.access(), 0, {}, pushes)
        return Token(answer.token, 0, {}, answer.expires_at, self._api.now())

    async def revoke(self, token: Token) -> None:
        with contextlib.suppress(BotError):  # a handle ends by itself
            await self._api.send("DELETE", REVOKE, token.access())

    def forget(self, token: Token) -> None:
        return None

    def forget_all(self, installation: int) -> None:
        return None

    async def aclose(self) -> None:
        return None


async def _ask_for_token(
    api: Api, access: Access, installation: int, body: Mapping[str, object], pushes: str | None
) -> views.TokenView:
    path = f"/app/installations/{installation}/access_tokens"
    access = replace(access, headers={PUSHES: pushes}) if pushes else access
    answer = await api.send("POST", path, access, json=dict(body), repeatable=True)
    return views.read(views.TokenView, answer.json())


def pushes_to(repo: Repo) -> str:
    """Say to the broker where a token is to push: to this repository, but never to its default branch."""
    return f"{quote(repo.owner)}/{quote(repo.name)} {quote(repo.default_branch, safe='')}"


_GONE = "the App is not installed there any more"
_TAKEN_OFF = "the App was taken off the repository"


def _away(why: str, seconds: float) -> BotError:
    """Say that a place is out of reach: for now, or for good, so that nothing waits for what nobody may bring back."""
    said = f"no token can be had: {why}"
    return NotFoundError(said) if why in {_GONE, _TAKEN_OFF} else UnreachableError(said, why, seconds)


class AppTokens:
    """Installation tokens of an App; the cache is this object's own, so hosts never share one."""

    def __init__(self, api: Api, now: Callable[[], datetime]) -> None:
        self._api = api
        self.app = Access(TokenAuthStrategy(APP))
        self._now = now
        self._shared: dict[tuple[int, int], list[Token]] = {}
        self._locks: dict[tuple[int, int], asyncio.Lock] = {}
        self._held: dict[str, Token] = {}
        # Until when an installation (0: all of it), or a repository of one, is left alone, and why it is.
        self._away: dict[tuple[int, int], tuple[datetime, str]] = {}
        self._pending: set[asyncio.Task[object]] = set()
        self._later: set[asyncio.Task[object]] = set()  # wait for another try to revoke

    async def lease(self, installation: int, repo_id: int, wanted: Permissions) -> Token:
        key = (installation, repo_id)
        async with self._locks.setdefault(key, asyncio.Lock()):
            alive = [token for token in self._shared.get(key, []) if token.expires_at - self._now() > _SPARE]
            self._shared[key] = alive
            for token in alive:
                if not lacking(token.permissions, wanted):
                    return token
            return await asyncio.shield(_started(self._mint_shared(key, wanted), self._pending))

    async def mint(
        self, installation: int, repo_id: int, wanted: Permissions, pushes: str | None = None
    ) -> Token:
        minting = _started(self._mint(installation, repo_id, wanted, pushes), self._pending)
        try:
            return await asyncio.shield(minting)
        except asyncio.CancelledError:
            _started(self._revoke_unwanted(minting), self._pending)
            raise

    async def revoke(self, token: Token) -> None:
        await asyncio.shield(_started(self._revoke(token), self._pending))

    def forget(self, token: Token) -> None:
        for tokens in self._shared.values():
            if token in tokens:
                tokens.remove(token)

    def forget_all(self, installation: int) -> None:
        for key in self._shared:
            if key[0] == installation:
                self._shared[key] = []
        for key in [each for each in self._away if each[0] == installation]:
            del self._away[key]  # it may have come back

    async def aclose(self) -> None:
        try:
            async with asyncio.timeout(_CLOSING):
                while self._pending:  # a minting that nobody wants any more begins a revocation
                    await asyncio.gather(*self._pending, return_exceptions=True)
                for waiting in self._later:
                    waiting.cancel()
                await asyncio.gather(*self._later, return_exceptions=True)
                await asyncio.gather(*(self._end(token) for token in list(self._held.values())))
        except TimeoutError:
            _log.warning("tokens_not_revoked", tokens=sorted(self._held))
        self._shared.clear()

    async def _mint_shared(self, key: tuple[int, int], wanted: Permissions) -> Token:
        token = await self._mint(*key, wanted)
        self._shared.setdefault(key, []).append(token)
        return token

    async def _mint(
        self, installation: int, repo_id: int, wanted: Permissions, pushes: str | None = None
    ) -> Token:
        self._check_reach(installation, repo_id)
        try:
            answer = await self._ask(installation, repo_id, wanted, pushes)
        except ForgeError as error:
            self._note_away(installation, repo_id, error)
            if error.status != 422:
                raise
            # An owner who has not accepted new permissions yet: go on with those granted, and fail where they lack.
            granted = await self.granted(installation)
            missing = lacking(granted, wanted)
            fewer = {name: level for name, level in wanted.items() if name not in missing}
            if repo_id and fewer == wanted:  # so it is the repository that it does not reach
                raise NotFoundError(
                    f"the installation {installation} does not reach the repository {repo_id}"
                ) from error
            if not fewer or fewer == wanted:
                raise
            _log.warning("permissions_missing", installation=installation, missing=sorted(missing))
            answer = await self._ask(installation, repo_id, fewer, pushes)
        token = Token(answer.token, installation, dict(wanted), answer.expires_at, self._now())
        # Those that have ended need no revoking; kept, they would be in the way of it at the end.
        alive = {id_: held for id_, held in self._held.items() if held.expires_at > self._now()}
        self._held = {**alive, token.id: token}
        _log.debug("token_minted", token_id=token.id, repo=repo_id, permissions=dict(wanted))
        return token

    def _check_reach(self, installation: int, repo_id: int) -> None:
        """Raise without a call what the last one said of a place out of reach, while it is too early to ask again."""
        for key in ((installation, 0), (installation, repo_id)):
            until, why = self._away.get(key, (self._now(), ""))
            left = (until - self._now()).total_seconds()
            if left > 0:
                raise _away(why, left)
            self._away.pop(key, None)

    def _note_away(self, installation: int, repo_id: int, error: ForgeError) -> None:
        """Raise what `_away` makes of it where the refusal says that the App may not look there."""
        said = str(error)
        if error.status == 403 and "suspended" in said:
            key, why = (installation, 0), "the App's installation is suspended"
        elif error.status in {404, 410}:
            key, why = (installation, 0), _GONE
        elif error.status == 422 and "repositor" in said:
            key, why = (installation, repo_id), _TAKEN_OFF
        else:
            return
        _log.warning("installation_away", installation=installation, repo=key[1] or None, why=why)
        self._away[key] = (self._now() + timedelta(seconds=_ASK_AGAIN), why)
        raise _away(why, _ASK_AGAIN) from error

    async def _ask(
        self, installation: int, repo_id: int, wanted: Permissions, pushes: str | None
    ) -> views.TokenView:
        body: dict[str, object] = {"permissions": dict(wanted)}
        if repo_id:  # without one it sees them all, which is asked for only to list their names
            body["repository_ids"] = [repo_id]
        return await _ask_for_token(self._api, self.app, installation, body, pushes)

    async def granted(self, installation: int) -> Permissions:
        """Ask what the owner has granted to the App."""
        answer = await self._api.send("GET", f"/app/installations/{installation}", self.app)
        return views.read(views.InstallationView, answer.json()).permissions

    async def _revoke(self, token: Token) -> None:
        """End a token; where the forge does not do it now, it is asked again while the token lives."""
        self.forget(token)
        if not await self._end(token):
            _started(self._revoke_later(token), self._later)

    async def _revoke_later(self, token: Token) -> None:
        for pause in _REVOKE_AGAIN:
            await self._api.pause(pause)
            if await self._end(token):
                return

    async def _revoke_unwanted(self, minting: asyncio.Task[Token]) -> None:
        """End a token that came after its asker had gone."""
        with contextlib.suppress(BotError):
            await self._revoke(await minting)

    async def _end(self, token: Token) -> bool:
        """Ask the forge to end a token, which is held until it says so; tell whether it has ended."""
        try:
            await self._api.send("DELETE", REVOKE, token.access())
        except BotError as error:
            if not isinstance(error, ForgeError) or error.status not in {401, 404}:
                _log.warning("token_not_revoked", token_id=token.id, error=str(error))
                return False  # those two mean that it has ended already
        self._held.pop(token.id, None)
        _log.debug("token_revoked", token_id=token.id)
        return True


def _started(work: Coroutine[None, None, _T], among: set[asyncio.Task[object]]) -> asyncio.Task[_T]:
    """Do it whole although who asks is cancelled: a token that nobody knows of could not be revoked."""

    def done(task: asyncio.Task[_T]) -> None:
        among.discard(task)
        if not task.cancelled():
            task.exception()  # who asked may be gone; its error is then nobody's

    task = asyncio.create_task(work)
    among.add(task)
    task.add_done_callback(done)
    return task
