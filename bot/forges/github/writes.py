"""Owns what is written to GitHub over REST; every write looks first, so that repeating it is harmless."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx

from bot.core.ids import Place, identity
from bot.core.values import Pull, Repo
from bot.errors import ForgeError, LimitedError, NotFoundError, RetryableError
from bot.forges.github import lag, views
from bot.forges.github.auth import TALK, AppTokens, PersonalToken
from bot.forges.github.checks import GitHubChecks
from bot.forges.github.missed import SaidView, as_delivery
from bot.forges.github.requests import reactions_of
from bot.forges.github.transport import Api
from bot.forges.github.views import cut
from bot.ports import FailedDelivery, JsonDict, UnheardComment

DELIVERY_PAGES = 2_000  # after days without us a busy App has tens of thousands of deliveries

REMEMBERED = 1_000  # ids of each kind, the newest

_K = TypeVar("_K")
_V = TypeVar("_V")


def keep(known: dict[_K, _V], key: _K, value: _V) -> None:
    """Remember what can be asked for again, and forget the oldest of too many."""
    known[key] = value
    if len(known) > REMEMBERED:
        del known[next(iter(known))]


class GitHubWrites(GitHubChecks):
    """Implements the writes of Forge."""

    def __init__(self, api: Api, tokens: AppTokens | PersonalToken) -> None:
        super().__init__(api, tokens)
        self._labels: set[tuple[int, str]] = set()
        self._comments: dict[tuple[int, int], str] = {}

    # --- comments and reactions ------------------------------------------------------------------

    async def create_comment(self, repo: Repo, number: int, body: str, *, first: bool = False) -> int:
        """Post a comment and give its id; an own comment of the same identity is kept, unless it is the first."""
        kept = None if first else await self.find_comment(repo, number, identity(body))
        if kept is not None:
            return kept.id
        answer = await self._talk("POST", repo, f"/issues/{number}/comments", {"body": cut(body)})
        return self._written(repo, answer).id

    async def update_comment(self, repo: Repo, comment_id: int, body: str) -> None:
        answer = await self._talk("PATCH", repo, f"/issues/comments/{comment_id}", {"body": cut(body)})
        self._written(repo, answer)

    def _written(self, repo: Repo, answer: httpx.Response) -> views.CommentView:
        """Read a comment that was written, and remember by which id GraphQL knows it."""
        made = views.read(views.CommentView, answer.json())
        if made.node_id:
            keep(self._comments, (repo.id, made.id), made.node_id)
        return made

    async def react(self, repo: Repo, subject: Literal["issue"] | Place, id_: int, content: str) -> bool:
        """Add a reaction; False where it cannot be had, which is never worth failing for.

        Raises LimitedError: that passes, and then whoever commanded shall see that it was heard.
        """
        try:
            await self._talk("POST", repo, reactions_of(subject, id_), {"content": content}, repeatable=True)
        except LimitedError:
            raise
        except (ForgeError, RetryableError):
            return False
        return True

    # --- labels and issues -----------------------------------------------------------------------

    async def ensure_label(self, repo: Repo, name: str, color: str, description: str) -> None:
        """Make a label unless there is one of this name, whatever its color."""
        if (repo.id, name) in self._labels:
            return
        wanted = {"name": name, "color": color.removeprefix("#"), "description": description[:100]}
        try:
            await self._talk("POST", repo, "/labels", wanted, repeatable=True)
        except ForgeError as error:
            # 422 is also said of a bad color or name, so ask whether the label is there.
            if error.status != 422:
                raise
            await self._get(repo, f"/labels/{quote(name, safe='')}", hot=True)
        self._labels.add((repo.id, name))

    async def add_label(self, repo: Repo, number: int, name: str) -> None:
        await self._talk("POST", repo, f"/issues/{number}/labels", {"labels": [name]}, repeatable=True)

    async def remove_label(self, repo: Repo, number: int, name: str) -> None:
        """Take a label off; a label that is not there is fine."""
        with contextlib.suppress(NotFoundError):
            await self._talk("DELETE", repo, f"/issues/{number}/labels/{quote(name, safe='')}")

    async def close_issue(self, repo: Repo, number: int) -> None:
        await self._talk("PATCH", repo, f"/issues/{number}", {"state": "closed", "state_reason": "completed"})

    # --- pull requests ---------------------------------------------------------------------------

    async def open_pull(
        self, repo: Repo, *, head: str, base: str, title: str, body: str, draft: bool = False
    ) -> Pull:
        """Open a pull request, or give the one that is open from this head already: the forge refuses a second one."""
        wanted = {"head": head, "base": base, "title": title, "body": cut(body), "draft": draft}
        try:
            answer = await self._open(repo, wanted)
        except ForgeError as error:
            # Somebody was faster, or the list lagged behind.
            kept = await self._newest_pull(repo, head, "open") if error.status == 422 else None
            if kept is None:
                raise
            return kept
        return views.read(views.PullView, answer.json()).value()

    async def _open(self, repo: Repo, wanted: dict[str, Any]) -> httpx.Response:
        """Open a pull request; a head that was pushed a moment ago need not be known everywhere yet."""
        for pause in lag.PAUSES:
            try:
                return await self._talk("POST", repo, "/pulls", wanted)
            except ForgeError as error:
                if error.status != 422 or "head invalid" not in str(error):
                    raise
                await self._api.pause(pause)
        return await self._talk("POST", repo, "/pulls", wanted)

    async def update_pull(
        self,
        repo: Repo,
        number: int,
        *,
        body: str | None = None,
        state: Literal["open", "closed"] | None = None,
    ) -> None:
        changes: dict[str, Any] = {}
        if body is not None:
            changes["body"] = cut(body)
        if state is not None:
            changes["state"] = state
        if changes:
            await self._talk("PATCH", repo, f"/pulls/{number}", changes)

    # --- webhook deliveries ----------------------------------------------------------------------

    async def failed_deliveries(
        self, since: datetime, *, also_delivered: bool = False
    ) -> list[FailedDelivery]:
        """List webhook deliveries with no successful attempt, or all, oldest first; none in token mode."""
        if not isinstance(self._tokens, AppTokens):
            return []
        succeeded: set[str] = set()
        failed: dict[str, FailedDelivery] = {}
        # A server that keeps no deliveries has none to fetch, and that must not end the caller's other looks.
        with contextlib.suppress(NotFoundError):
            pages = self._api.pages("/app/hook/deliveries", self._tokens.app, most=DELIVERY_PAGES)
            async with contextlib.aclosing(pages) as items:
                async for item in items:
                    found = views.read(views.DeliveryView, item)
                    if found.delivered_at < since:
                        break  # they come newest first
                    if found.succeeded and not also_delivered:
                        succeeded.add(found.guid)
                    else:
                        failed.setdefault(found.guid, FailedDelivery(found.id, found.guid, found.event))
        lost = (each for guid, each in failed.items() if guid not in succeeded)
        return sorted(lost, key=lambda each: each.id)

    async def delivery_payload(self, delivery_id: int) -> JsonDict:
        """Read what a delivery carried, so that nothing depends on its being sent again."""
        if not isinstance(self._tokens, AppTokens):
            raise ForgeError("without an App there are no deliveries to read")
        answer = await self._api.send("GET", f"/app/hook/deliveries/{delivery_id}", self._tokens.app)
        payload = answer.json().get("request", {}).get("payload")
        if not isinstance(payload, dict):
            raise ForgeError(f"the delivery {delivery_id} carries no payload")
        return payload

    async def unheard_commands(self, repo: Repo, since: datetime) -> list[UnheardComment]:
        """Find the commands written since then that the bot has not acknowledged, oldest first."""
        query = {"since": f"{since:%Y-%m-%dT%H:%M:%SZ}", "sort": "created", "direction": "asc"}
        found = []
        for item in await self._all(repo, "/issues/comments", query):
            said = views.read(SaidView, item)
            if said.number is None or not said.may_command:
                continue
            if said.reacted and await self.reacted(repo, said.id):
                continue
            found.append(as_delivery(said, await self.issue(repo, said.number), repo))
        return found

    async def _talk(
        self, method: str, repo: Repo, path: str, json: object = None, repeatable: bool | None = None
    ) -> httpx.Response:
        return await self._call(method, repo, path, TALK, json=json, repeatable=repeatable)
