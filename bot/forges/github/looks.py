"""Owns reading several things of a repository in one look: pull requests with their checks, an issue with its comments."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from bot.core.values import Comment, Issue, PullState, Repo
from bot.errors import ForgeError, NotFoundError
from bot.forges.github import graphql, views
from bot.forges.github.asking import GraphQL, whole
from bot.forges.github.auth import READ, AppTokens, Permissions, PersonalToken
from bot.forges.github.reads import GitHubReads
from bot.forges.github.transport import Access, Api
from bot.ports import JsonDict, Look


@dataclass(slots=True)
class _Seen:
    """The last look at a repository's pull requests: when it began, and what was there."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    began: float = 0.0
    pulls: dict[int, PullState] = field(default_factory=dict)


class GitHubLooks(GitHubReads):
    """Implements what ForgeReads asks for at once; over REST, one call after the other, where there is no GraphQL."""

    def __init__(self, api: Api, tokens: AppTokens | PersonalToken) -> None:
        super().__init__(api, tokens)
        self._graphql = GraphQL(api)
        self._seen: dict[int, _Seen] = {}
        self.capabilities = replace(self.capabilities, graphql=True)

    def leave_graphql(self) -> None:
        """Ask everything over REST from now on."""
        self._graphql.off = True
        self.capabilities = replace(self.capabilities, graphql=False)

    async def pull_state(self, repo: Repo, number: int, look: Look | None = None) -> PullState:
        """Read a pull request and the checks of its head; what was read since `look.since` is taken as it is."""
        if await self._speaks(repo):
            seen = self._seen.setdefault(repo.id, _Seen())
            async with seen.lock:
                if look is not None and seen.began > look.since and number in seen.pulls:
                    return seen.pulls[number]
                began = time.monotonic()
                beside = look.beside if look is not None else ()
                pulls = await self._look(repo, {number, *beside})
                if number in pulls:
                    seen.began, seen.pulls = began, pulls
                    return pulls[number]
        pull = await self.pull(repo, number)
        checks = await self.checks(repo, pull.head_sha) if pull.state == "open" else []
        return PullState(pull, tuple(checks))

    async def _look(self, repo: Repo, numbers: Collection[int]) -> dict[int, PullState]:
        """Read pull requests at once; those that an answer does not hold whole are left out."""
        app, users = await self.app_id(), await self.bot_ids(repo)
        found: dict[int, PullState] = {}
        for chunk in graphql.chunks(numbers):
            told = await self._ask(repo, graphql.pulls(chunk)) or {}
            for number in chunk:
                if node := told.get(f"p{number}"):
                    state = whole(partial(_state, node, app, users))
                    if state is not None:
                        found[number] = state
        return found

    async def conversation(self, repo: Repo, number: int) -> tuple[Issue, list[Comment]]:
        """Read an issue and all its comments, oldest first; of a pull request the comments are not read."""
        told = (
            await self._ask(repo, graphql.conversation(), number=number) if await self._speaks(repo) else None
        )
        if told and (node := told.get("issueOrPullRequest")):
            found = whole(partial(_conversation, node))
            if found is not None:
                return found
        issue = await self.issue(repo, number)
        return issue, [] if issue.is_pull else await self.comments(repo, number)

    async def labeled_issues(self, repo: Repo, *labels: str) -> list[int]:
        """List the numbers of open issues that bear any of these labels."""
        if len(labels) > 1 and await self._speaks(repo):
            told = await self._ask(repo, graphql.labelled(), labels=list(labels))
            found = whole(partial(graphql.numbers, told)) if told is not None else None
            if found is not None:
                return found
        return await super().labeled_issues(repo, *labels)

    async def _speaks(self, repo: Repo) -> bool:
        """Tell whether GraphQL may be asked about a repository now."""
        return self._graphql.usable(await self._lane(repo))

    async def _ask(self, repo: Repo, document: str, **variables: object) -> JsonDict | None:
        """Give what a query says of the repository; None where REST has to be asked."""
        named = {"owner": repo.owner, "name": repo.name, **variables}
        told = await self._told(repo, READ, document, named, writes=False)
        return told.get("repository") if told is not None else None

    async def _change(
        self, repo: Repo, wanted: Permissions, document: str, wishes: Mapping[str, object]
    ) -> JsonDict | None:
        """Do what a mutation says, which may be done twice; None where it did not do all of it."""
        return await self._told(repo, wanted, document, wishes, writes=True)

    async def _told(
        self,
        repo: Repo,
        wanted: Permissions,
        document: str,
        variables: Mapping[str, object],
        *,
        writes: bool,
    ) -> JsonDict | None:
        lane = await self._lane(repo)

        async def use(access: Access) -> JsonDict | None:
            return await self._graphql.ask(access, document, variables, writes=writes)

        try:
            told = await self._leased(lane, repo.id, wanted, use)
        except NotFoundError:  # the token cannot be had: REST says why
            return None
        except ForgeError as error:
            if error.status != 403:
                raise
            self._graphql.rest(lane, str(error))
            return None
        if self._graphql.off:  # this server has none, or an older one
            self.leave_graphql()
        return told


def _state(node: JsonDict, app: int | None, users: frozenset[int]) -> PullState | None:
    parts = graphql.pull_parts(node)
    if parts is None:
        return None
    pull = views.read(views.PullView, parts[0]).value()
    runs = views.newest([views.read(views.CheckRunView, each) for each in parts[1]])
    statuses = [views.read(views.StatusView, each).value(users) for each in parts[2]]
    return PullState(pull, (*(run.value(app) for run in runs), *statuses) if pull.state == "open" else ())


def _conversation(node: JsonDict) -> tuple[Issue, list[Comment]] | None:
    parts = graphql.issue_parts(node)
    if parts is None:
        return None
    comments = [views.read(views.CommentView, each).value() for each in parts[1]]
    return views.read(views.IssueView, parts[0]).value(), comments
