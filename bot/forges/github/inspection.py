"""Owns what only an examination asks of GitHub: the App itself, its webhook, its installations, rules of branches."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx
from githubkit.exception import RequestFailed

from bot.core.values import Repo
from bot.errors import ForgeError, RetryableError
from bot.forges.github import GitHubForge, views
from bot.forges.github.apps import AppFacts, facts
from bot.forges.github.auth import METADATA, READ, AppTokens
from bot.forges.github.transport import Access


@dataclass(frozen=True, slots=True)
class Reception:
    """How the forge met us: by which name, or why not; `skew` is our clock less its, in seconds."""

    name: str = ""
    app: AppFacts | None = None
    refusal: str = ""
    status: int = 0
    skew: float | None = None


@dataclass(frozen=True, slots=True)
class InstallationFacts:
    """Where an App is installed, and what its owner granted."""

    id: int
    account: str
    page: str
    permissions: Mapping[str, str]
    suspended: bool


@dataclass(frozen=True, slots=True)
class HookFacts:
    """How a webhook is configured."""

    url: str
    content_type: str
    secret: bool
    active: bool = True
    last: int | None = None  # status of the last delivery, of a repository's own webhook
    events: tuple[str, ...] = ()  # the same; `*` are all


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """What came of a delivery; `code` 0: no answer."""

    guid: str  # stays when it is sent again
    event: str
    code: int
    status: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RepoFacts:
    """What of a repository decides whether the bot can work in it."""

    repo: Repo
    has_issues: bool
    may_push: bool | None  # of a person's token; None: not said


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository's files; `whole` is False where there are too many to be listed."""

    paths: tuple[str, ...]
    whole: bool = True


@dataclass(frozen=True, slots=True)
class BranchRule:
    """A rule that applies to a branch."""

    type: str
    parameters: Mapping[str, Any]
    ruleset: str  # who made it: owner/name, or an organization


class _InstallationView(views.InstallationView):
    class Account(views.View):
        login: str = ""

    account: Account | None = None
    html_url: str = ""


class _HookConfigView(views.View):
    url: str = ""
    content_type: str = ""
    secret: str = ""


class _HookView(views.View):
    class Last(views.View):
        code: int | None = None

    config: _HookConfigView = _HookConfigView()
    active: bool = True
    events: tuple[str, ...] = ()
    last_response: Last = Last()


class _RepoView(views.RepoView):
    has_issues: bool = True


class _RuleView(views.View):
    type: str
    parameters: dict[str, Any] | None = None
    ruleset_source: str = ""


class _TreeView(views.View):
    class Entry(views.View):
        path: str
        type: str = "blob"

    tree: tuple[Entry, ...] = ()
    truncated: bool = False


class _RefNameView(views.View):
    ref: str


class Inspection(GitHubForge):
    """Adds to the forge what an examination reads; a failure is an error of ours, as everywhere."""

    async def reception(self) -> Reception:
        """Ask who we are; a refusal is an answer, too, and says what time it is at the forge."""
        in_app = isinstance(self._tokens, AppTokens)
        began = self._api.now()
        try:
            access = self._tokens.app if isinstance(self._tokens, AppTokens) else None
            if access is None:
                access = (await self._tokens.lease(0, 0, READ)).access()
            answer = await self._api.send("GET", "/app" if in_app else "/user", access)
        except (ForgeError, RetryableError) as error:
            status = error.status if isinstance(error, ForgeError) else 0
            return Reception(refusal=str(error), status=status, skew=self._skew(_answer_of(error), began))
        skew = self._skew(answer, began)
        if not in_app:
            return Reception(views.read(views.UserView, answer.json()).login, skew=skew)
        app = facts(answer.json())
        return Reception(app.slug, app, skew=skew)

    def _skew(self, answer: httpx.Response | None, began: datetime) -> float | None:
        """Compare our clock, half-way between question and answer, with the header `Date`, which has whole seconds."""
        if answer is None or "date" not in answer.headers:
            return None
        try:
            theirs = parsedate_to_datetime(answer.headers["date"])
        except ValueError:
            return None
        if theirs.tzinfo is None:  # two dates in one, for example: a proxy has added its own
            return None
        ended = self._api.now()
        return (began + (ended - began) / 2 - theirs).total_seconds() - 0.5

    async def installations(self) -> list[InstallationFacts]:
        """List where the App is installed, suspended ones too; none in token mode."""
        if not isinstance(self._tokens, AppTokens):
            return []
        found = []
        async for item in self._api.pages("/app/installations", self._tokens.app):
            view = views.read(_InstallationView, item)
            account = view.account.login if view.account else f"installation {view.id}"
            suspended = view.suspended_at is not None
            found.append(InstallationFacts(view.id, account, view.html_url, view.permissions, suspended))
        return found

    async def repositories(self, installation: int, most: int) -> list[Repo]:
        """List the first repositories of an installation, archived ones left out; no page is read beyond them."""

        async def read(access: Access) -> list[Repo]:
            found: list[Repo] = []
            pages = self._api.pages("/installation/repositories", access, key="repositories")
            async with aclosing(pages):
                async for item in pages:
                    repo = views.read(views.RepoView, item).value(installation)
                    found += [] if repo.archived else [repo]
                    if len(found) == most:
                        break
            return found

        return await self._leased(installation, 0, METADATA, read)

    async def hook(self) -> HookFacts:
        """Read how the App's webhook is configured."""
        assert isinstance(self._tokens, AppTokens)
        answer = await self._api.send("GET", "/app/hook/config", self._tokens.app)
        view = views.read(_HookConfigView, answer.json())
        return HookFacts(view.url, view.content_type, bool(view.secret))

    async def deliveries(self) -> list[DeliveryFacts]:
        """Read the App's last deliveries, newest first, at most 100."""
        assert isinstance(self._tokens, AppTokens)
        answer = await self._api.send(
            "GET", "/app/hook/deliveries", self._tokens.app, params={"per_page": 100}
        )
        found = [views.read(views.DeliveryView, item) for item in answer.json()]
        return [
            DeliveryFacts(each.guid, each.event, each.status_code or 0, each.status, each.delivered_at)
            for each in found
        ]

    async def hooks(self, repo: Repo) -> list[HookFacts]:
        """List a repository's own webhooks; NotFoundError to whoever may not administer it."""
        found = [views.read(_HookView, item) for item in await self._all(repo, "/hooks")]
        return [
            HookFacts(
                each.config.url,
                each.config.content_type,
                bool(each.config.secret),
                each.active,
                each.last_response.code,
                each.events,
            )
            for each in found
        ]

    async def facts(self, repo: Repo) -> RepoFacts:
        """Read a repository as it is now."""
        view = views.read(_RepoView, (await self._get(repo, "")).json())
        may = None if view.permissions is None else view.permissions.get("push", False)
        return RepoFacts(view.value(repo.installation), view.has_issues, may)

    async def find(self, owner: str, name: str) -> Repo:
        """Find a repository by its name, with the installation that reaches it; NotFoundError where none does."""
        path = f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}"
        if not isinstance(self._tokens, AppTokens):
            token = await self._tokens.lease(0, 0, READ)
            answer = await self._api.send("GET", path, token.access())
            return views.read(views.RepoView, answer.json()).value(None)
        answer = await self._api.send("GET", f"{path}/installation", self._tokens.app)
        installation = views.read(views.InstallationView, answer.json()).id
        answer = await self._send("GET", path, installation, 0, METADATA)
        return views.read(views.RepoView, answer.json()).value(installation)

    async def listing(self, repo: Repo) -> Listing:
        """List the files on the default branch; none in an empty repository."""
        path = f"/git/trees/{quote(repo.default_branch, safe='')}"
        try:
            answer = await self._get(repo, path, {"recursive": 1})
        except ForgeError as error:
            if error.status in {404, 409}:  # there is no commit yet
                return Listing(())
            raise
        view = views.read(_TreeView, answer.json())
        return Listing(tuple(each.path for each in view.tree if each.type == "blob"), not view.truncated)

    async def labels(self, repo: Repo) -> frozenset[str]:
        """List the names of a repository's labels."""
        return frozenset(views.read(views.LabelView, item).name for item in await self._all(repo, "/labels"))

    async def branches(self, repo: Repo, prefix: str) -> list[str]:
        """List the branches whose names begin so."""
        try:
            items = (await self._get(repo, f"/git/matching-refs/heads/{quote(prefix)}")).json()
        except ForgeError as error:
            if error.status != 409:  # said of an empty repository
                raise
            return []
        return [views.read(_RefNameView, item).ref.removeprefix("refs/heads/") for item in items]

    async def rules(self, repo: Repo, branch: str) -> list[BranchRule]:
        """List the rules that apply to a branch, whether it exists or not; of classic protection nobody tells."""
        found = [
            views.read(_RuleView, item)
            for item in await self._all(repo, f"/rules/branches/{quote(branch, safe='')}")
        ]
        return [BranchRule(each.type, each.parameters or {}, each.ruleset_source) for each in found]


def _answer_of(error: Exception) -> httpx.Response | None:
    """Find the answer behind a refusal."""
    cause = error.__cause__
    return cause.response.raw_response if isinstance(cause, RequestFailed) else None
