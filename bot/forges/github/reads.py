"""Owns what is read from GitHub over REST; nothing here writes."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from urllib.parse import quote

import structlog

from bot.core.attribution import noreply, noreply_host
from bot.core.health import NEEDED, Standing, lacking
from bot.core.ids import Place, identity
from bot.core.values import Check, Comment, Identity, Issue, Pull, Repo, ReviewComment, Role
from bot.errors import BotError, ForgeError, LimitedError, NotFoundError
from bot.forges.github import views
from bot.forges.github.auth import LOGS, METADATA, READ, AppTokens, Permissions, PersonalToken
from bot.forges.github.requests import GitHubRequests, reactions_of
from bot.forges.github.transport import Api
from bot.ports import Capabilities, Installed

_log = structlog.get_logger(__name__)

BELIEVED = 600.0  # seconds for which permissions that suffice are taken as they were
LISTED = 5.0  # seconds for which the list of repositories is taken as it was: one sweep asks for it twice
SEEN = frozenset({"eyes", "rocket", "confused"})  # reactions by which the bot acknowledges a command


class GitHubReads(GitHubRequests):
    """Implements ForgeReads; every request is made with a token for its repository alone."""

    capabilities: Capabilities

    def __init__(self, api: Api, tokens: AppTokens | PersonalToken) -> None:
        super().__init__(api, tokens)
        self._account: views.UserView | None = None
        self._known_app: views.AppView | None = None
        self._identity = asyncio.Lock()
        self._listed: tuple[float, Installed] = (-LISTED, Installed())
        self._sufficed: dict[int, tuple[float, Permissions]] = {}  # since when, by installation
        in_app = isinstance(tokens, AppTokens)
        self.capabilities = Capabilities(checks=in_app, app_deliveries=in_app, signed_commits=in_app)

    # --- who we are ------------------------------------------------------------------------------

    async def bot_ids(self, repo: Repo) -> frozenset[int]:
        """Give the user ids that are this bot's own; asked once, with what may read this repository."""
        return frozenset({(await self._me(repo)).id})

    async def author(self, repo: Repo) -> Identity:
        """Give whom the bot's commits are by: its name and the address that the forge links to its account."""
        me = await self._me(repo)
        return Identity(me.login, noreply(me.id, me.login, noreply_host(self._api.base)))

    async def _me(self, repo: Repo) -> views.UserView:
        async with self._identity:
            if self._account is None:
                self._account = await self._ask_account(repo)
            return self._account

    async def identity(self) -> str:
        """Ask the forge who we are: the App's slug, or the person's login in token mode."""
        if isinstance(self._tokens, PersonalToken):
            return (await self._person(self._tokens)).login
        return (await self._app()).slug

    async def answers(self) -> None:
        """Ask GitHub for ourselves, each time anew; that it limits us is an answer, too."""
        with suppress(LimitedError):
            if isinstance(self._tokens, PersonalToken):
                await self._person(self._tokens)
            else:
                await self._ask_app()

    def forget_tokens(self, installation: int) -> None:
        """Lend none of an installation's tokens any more: what they may do has changed."""
        self._sufficed.pop(installation, None)
        self._tokens.forget_all(installation)
        self._refused = {key: at for key, at in self._refused.items() if key[0] != installation}

    async def app_id(self) -> int | None:
        """Give the App's numeric id, None in token mode."""
        return None if isinstance(self._tokens, PersonalToken) else (await self._app()).id

    async def _app(self) -> views.AppView:
        if self._known_app is None:
            self._known_app = await self._ask_app()
        return self._known_app

    async def _ask_app(self) -> views.AppView:
        assert isinstance(self._tokens, AppTokens)
        return views.read(views.AppView, (await self._api.send("GET", "/app", self._tokens.app)).json())

    async def _ask_account(self, repo: Repo) -> views.UserView:
        if isinstance(self._tokens, PersonalToken):
            return await self._person(self._tokens)
        # A user, not the App, writes comments; its name is made of the App's. An App as such may not ask for users.
        path = f"/users/{quote(f'{await self.identity()}[bot]')}"
        answer = await self._send("GET", path, await self._lane(repo), repo.id, READ)
        return views.read(views.UserView, answer.json())

    async def _person(self, tokens: PersonalToken) -> views.UserView:
        token = await tokens.lease(0, 0, READ)
        return views.read(views.UserView, (await self._api.send("GET", "/user", token.access())).json())

    # --- repositories and people -----------------------------------------------------------------

    async def repo(self, repo: Repo) -> Repo:
        """Read a repository as it is now; one that was renamed answers under its earlier name too."""
        found = views.read(views.RepoView, (await self._get(repo, "")).json())
        return found.value(repo.installation)

    async def repos(self) -> Installed:
        """List the repositories that the App is installed on; none in token mode, where nobody says which are meant."""
        if not isinstance(self._tokens, AppTokens):
            return Installed()
        asked = time.monotonic()
        if asked - self._listed[0] < LISTED:
            return self._listed[1]
        found: list[Repo] = []
        whole = True
        async for item in self._api.pages("/app/installations", self._tokens.app):
            installation = views.read(views.InstallationView, item)
            if installation.suspended_at is not None:
                continue
            self._believe(installation.id, asked, installation.permissions)
            try:
                found += await self._repos_of(installation.id)
            except BotError as error:  # one that is busy, or out of reach, must not hide the others
                _log.warning("installation_not_listed", installation=installation.id, error=str(error))
                whole = False
        self._listed = asked, Installed(tuple(found), whole)
        return self._listed[1]

    async def _repos_of(self, installation: int) -> list[Repo]:
        try:
            items = await self._pages(
                "/installation/repositories", installation, 0, METADATA, key="repositories"
            )
        except NotFoundError:  # a server that cannot list them has them known from its deliveries alone
            return []
        return [views.read(views.RepoView, item).value(installation) for item in items]

    async def permission(self, repo: Repo, login: str) -> Role:
        """Ask what a person may do here; somebody unknown may do `none`."""
        try:
            answer = await self._get(repo, f"/collaborators/{quote(login, safe='')}/permission", hot=True)
        except NotFoundError:
            return "none"
        return views.read(views.PermissionView, answer.json()).value()

    async def standing(self, repo: Repo) -> Standing:
        """Ask what the bot may do here, and how long its token lives where it is a person's."""
        if isinstance(self._tokens, AppTokens):
            return Standing(await self._granted(self._tokens, await self._lane(repo)))
        answer = await self._get(repo, "")
        may = views.read(views.RepoView, answer.json()).permissions
        level = "write" if may is None or may.get("push", False) else "read"
        ends = views.token_end(answer.headers.get("github-authentication-token-expiration", ""))
        left = None if ends is None else (ends - self._api.now()).total_seconds()
        return Standing(dict.fromkeys(NEEDED, level), left)

    async def _granted(self, tokens: AppTokens, installation: int) -> Permissions:
        """Give what the owner granted; what suffices is believed for a while, what does not is asked again at once."""
        known = self._sufficed.get(installation)
        if known is None or time.monotonic() - known[0] > BELIEVED:
            known = time.monotonic(), await tokens.granted(installation)
            self._believe(installation, *known)
        return known[1]

    def _believe(self, installation: int, asked: float, granted: Permissions) -> None:
        self._sufficed.pop(installation, None)
        if not lacking(granted):
            self._sufficed[installation] = asked, granted

    # --- issues and pull requests ----------------------------------------------------------------

    async def issue(self, repo: Repo, number: int) -> Issue:
        """Read an issue or pull request; NotFoundError where it is gone, or was moved to another repository."""
        answer = await self._get(repo, f"/issues/{number}")
        here = f"/repositories/{repo.id}/issues/{number}"  # where an earlier name of the repository leads
        if answer.history and not answer.url.path.endswith(here):
            raise NotFoundError(f"the issue {number} of {repo.slug} was moved to another repository")
        return views.read(views.IssueView, answer.json()).value()

    async def labeled_issues(self, repo: Repo, *labels: str) -> list[int]:
        """List the numbers of open issues that bear any of these labels."""
        found = {number for label in labels for number in await self._labeled(repo, label)}
        return sorted(found)

    async def _labeled(self, repo: Repo, label: str) -> list[int]:
        items = await self._all(repo, "/issues", {"labels": label, "state": "open"})
        found = [views.read(views.IssueView, item).value() for item in items]
        return [issue.number for issue in found if not issue.is_pull]

    async def reacted(self, repo: Repo, comment: int, place: Place = "comment") -> bool:
        """Tell whether the bot itself has acknowledged a comment with 👀, 🚀 or 😕."""
        ours = await self.bot_ids(repo)
        try:
            items = await self._all(repo, reactions_of(place, comment))
        except NotFoundError:
            return False
        found = [views.read(views.ReactionView, item) for item in items]
        return any(each.user is not None and each.user.id in ours and each.content in SEEN for each in found)

    async def comments(self, repo: Repo, number: int) -> list[Comment]:
        """Read all comments of an issue or pull request, oldest first."""
        items = await self._all(repo, f"/issues/{number}/comments")
        return [views.read(views.CommentView, item).value() for item in items]

    async def comment(self, repo: Repo, comment: int) -> Comment | None:
        """Read one comment; None where it was deleted. One that is being written counts as there."""
        try:
            answer = await self._get(repo, f"/issues/comments/{comment}")
        except NotFoundError:
            return None
        return views.read(views.CommentView, answer.json()).value()

    async def find_comment(self, repo: Repo, number: int, marker: str) -> Comment | None:
        """Find the bot's own comment of this identity (see bot.core.ids), newest first."""
        ours = await self.bot_ids(repo)
        found = [
            comment
            for comment in await self.comments(repo, number)
            if comment.author.id in ours and identity(comment.body) == marker
        ]
        return max(found, key=lambda comment: comment.id, default=None)

    async def pull(self, repo: Repo, number: int) -> Pull:
        return views.read(views.PullView, (await self._get(repo, f"/pulls/{number}")).json()).value()

    async def find_pull(self, repo: Repo, head_branch: str) -> Pull | None:
        """Find the newest pull request from this branch of the repository, open or not."""
        return await self._newest_pull(repo, head_branch, "all")

    async def _newest_pull(self, repo: Repo, head_branch: str, state: str) -> Pull | None:
        query: dict[str, str | int] = {
            "head": f"{repo.owner}:{head_branch}",
            "state": state,
            "sort": "created",
            "direction": "desc",
            "per_page": 10,
        }
        answer = await self._get(repo, "/pulls", query)
        pulls = [views.read(views.PullView, item).value() for item in answer.json()]
        # A server that does not know the filter would list others' pull requests.
        ours = [pull for pull in pulls if pull.head_branch == head_branch]
        return max(ours, key=lambda pull: pull.number, default=None)

    async def review_comments(self, repo: Repo, number: int, review: int) -> list[ReviewComment]:
        """Read what a review of a pull request says of single lines."""
        items = await self._all(repo, f"/pulls/{number}/reviews/{review}/comments")
        return [views.read(views.ReviewCommentView, item).value() for item in items]

    # --- branches and checks ---------------------------------------------------------------------

    async def branch_sha(self, repo: Repo, branch: str) -> str | None:
        try:
            answer = await self._get(repo, f"/git/ref/heads/{quote(branch)}", hot=True)
        except NotFoundError:
            return None
        except ForgeError as error:
            if error.status == 409:  # the repository is empty
                return None
            raise
        return views.read(views.RefView, answer.json()).object.sha

    async def checks(self, repo: Repo, sha: str) -> list[Check]:
        """Read check runs and commit statuses of a sha, the newest of each App's name."""
        app, users = await self.app_id(), await self.bot_ids(repo)
        runs = [
            views.read(views.CheckRunView, item)
            for item in await self._all(
                repo, f"/commits/{sha}/check-runs", {"filter": "latest"}, "check_runs"
            )
        ]
        try:
            statuses = await self._statuses(repo, sha)
        except NotFoundError:  # its check runs were told, so the commit is there: this forge has no statuses
            statuses = []
        return [run.value(app) for run in views.newest(runs)] + [status.value(users) for status in statuses]

    async def job_log(self, repo: Repo, job: int) -> str:
        """Read the end of what a job of GitHub Actions wrote; "" where it is gone, or nobody allowed us to read it."""
        try:
            answer = await self._call("GET", repo, f"/actions/jobs/{job}/logs", LOGS)
        except ForgeError as error:
            if error.status not in {403, 404, 410, 422}:
                raise
            return ""
        return views.log_end(answer.text)

    async def _statuses(self, repo: Repo, sha: str) -> list[views.StatusView]:
        """Read the newest commit status of each context; the combined status would not say who made them."""
        newest: dict[str, views.StatusView] = {}
        for item in await self._all(repo, f"/commits/{sha}/statuses"):
            status = views.read(views.StatusView, item)
            newest.setdefault(status.context, status)  # they come newest first
        return list(newest.values())
