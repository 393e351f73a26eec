"""Owns the port to a forge: what is read of it, and what is written there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from bot.core.health import Standing
from bot.core.ids import Place
from bot.core.values import (
    Check,
    Comment,
    Identity,
    Issue,
    Pull,
    PullState,
    Repo,
    Report,
    ReviewComment,
    Role,
    TreeFile,
)
from bot.ports.shapes import JsonDict


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a forge or its token can do; every use has a way round."""

    graphql: bool = False
    checks: bool = True
    reactions: bool = True
    app_deliveries: bool = True
    signed_commits: bool = False


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of the calls that an installation may make (0: the App itself, or a person's token)."""

    installation: int
    resource: str  # core, graphql, search
    limit: int
    remaining: int
    resets_at: datetime


@dataclass(frozen=True, slots=True)
class FailedDelivery:
    """A webhook delivery that did not reach us; `guid` is what `X-GitHub-Delivery` said, and stays."""

    id: int
    guid: str
    event: str


@dataclass(frozen=True, slots=True)
class UnheardComment:
    """A comment that bears a command and no answer of ours, in the shape of the delivery that should have told of it."""

    guid: str
    event: str
    payload: JsonDict


@dataclass(frozen=True, slots=True)
class GitAccess:
    """How one git process may reach one repository: the token goes through its environment only."""

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCommit:
    """A commit for the forge to make and sign: what changed against `base_tree`, and the tree that must come of it."""

    message: str
    parents: tuple[str, ...]
    tree: str
    base_tree: str
    files: tuple[tuple[TreeFile, bytes], ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """Since when what was read is fresh enough (`time.monotonic`), and which pull requests are worth reading beside."""

    since: float
    beside: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Installed:
    """The repositories that the bot was installed on; not `whole` where an installation could not be asked for now."""

    repos: tuple[Repo, ...] = ()
    whole: bool = True


class ForgeReads(Protocol):
    """What deciding may look at; nothing here writes."""

    capabilities: Capabilities

    def cap(self, repo: Repo, calls: int) -> None:
        """Let at most so many calls about a repository travel at once; a forge without calls has nothing to do."""

    def forget_tokens(self, installation: int) -> None:
        """Lend none of an installation's tokens any more: what they may do has changed."""

    def quotas(self) -> Sequence[Quota]:
        """Give what is left of the forge's limits, as its last answers said; nothing where it has none."""

    async def identity(self) -> str:
        """Ask the forge who we are: the App's slug, or the person's login in token mode."""

    async def answers(self) -> None:
        """Ask the forge something that is never remembered; a BotError says why it does not answer."""

    async def bot_ids(self, repo: Repo) -> frozenset[int]:
        """Give the user ids that are this bot's own; asked once, with what may read this repository."""

    async def author(self, repo: Repo) -> Identity:
        """Give whom the bot's commits are by: its name and the address that the forge links to its account."""

    async def repo(self, repo: Repo) -> Repo:
        """Read a repository as it is now; one that was renamed answers under its earlier name too."""

    async def repos(self) -> Installed:
        """List the repositories that this bot was installed on; none in token mode."""

    async def permission(self, repo: Repo, login: str) -> Role:
        """Ask what a person may do here; somebody unknown may do `none`."""

    async def standing(self, repo: Repo) -> Standing:
        """Ask what the bot itself may do here, and for how long."""

    async def issue(self, repo: Repo, number: int) -> Issue:
        """Read an issue or pull request; NotFoundError where it is gone, or was moved to another repository."""

    async def conversation(self, repo: Repo, number: int) -> tuple[Issue, list[Comment]]:
        """Read an issue and all its comments, oldest first; of a pull request the comments are not read."""

    async def labeled_issues(self, repo: Repo, *labels: str) -> list[int]:
        """List the numbers of open issues that bear any of these labels."""

    async def reacted(self, repo: Repo, comment: int, place: Place = "comment") -> bool:
        """Tell whether the bot itself has acknowledged a comment with 👀, 🚀 or 😕."""

    async def comments(self, repo: Repo, number: int) -> list[Comment]:
        """Read all comments of an issue or pull request, oldest first."""

    async def comment(self, repo: Repo, comment: int) -> Comment | None:
        """Read one comment; None where it was deleted. One that is being written counts as there."""

    async def pull(self, repo: Repo, number: int) -> Pull: ...

    async def pull_state(self, repo: Repo, number: int, look: Look | None = None) -> PullState:
        """Read a pull request and, while it is open, the checks of its head; with `look` as fresh as that says."""

    async def find_pull(self, repo: Repo, head_branch: str) -> Pull | None:
        """Find the newest pull request from this branch of the repository, open or not."""

    async def checks(self, repo: Repo, sha: str) -> list[Check]:
        """Read check runs and commit statuses of a sha, the newest of each name."""

    async def job_log(self, repo: Repo, job: int) -> str:
        """Read the end of what a job of GitHub Actions wrote; "" where it cannot be had."""

    async def review_comments(self, repo: Repo, number: int, review: int) -> list[ReviewComment]:
        """Read what a review of a pull request says of single lines."""

    async def branch_sha(self, repo: Repo, branch: str) -> str | None: ...

    def page(self, repo: Repo) -> str:
        """Give the address of a repository's page, without a slash at its end; "" where it has none."""

    async def find_comment(self, repo: Repo, number: int, marker: str) -> Comment | None:
        """Find the bot's own comment of this identity (see bot.core.ids), newest first."""

    async def find_issue(self, repo: Repo, marker: str) -> Issue | None:
        """Find the bot's own issue of this identity, newest first, open or not."""

    async def read_file(self, repo: Repo, ref: str, path: str) -> str | None:
        """Read a text file without a mirror, at a branch or sha, a fork's too; None where there is none, or it is above 1 MB."""

    async def pull_paths(self, repo: Repo, number: int) -> list[str]:
        """List the files that a pull request changes, by their names before and after."""


class Forge(ForgeReads, Protocol):
    """What performing may do; every write looks before it creates, so that repeating is harmless."""

    async def create_comment(self, repo: Repo, number: int, body: str, *, first: bool = False) -> int:
        """Post a comment and give its id; an own comment of the same identity is kept.

        With `first` nobody looks for it: nobody can have posted it before.
        """

    async def update_comment(self, repo: Repo, comment_id: int, body: str) -> None: ...

    async def fold_comment(self, repo: Repo, comment_id: int) -> None:
        """Show a comment as outdated, folded away; where there is no GraphQL it stays as it is."""

    async def react(self, repo: Repo, subject: Literal["issue"] | Place, id_: int, content: str) -> bool:
        """Add a reaction (`id_` is the issue number or the comment id); False where it cannot be had."""

    async def show_label(
        self,
        repo: Repo,
        issue: int,
        wanted: str | None,
        *,
        ours: Mapping[str, tuple[str, str]],
        before: str | None,
        edit: tuple[int, str] | None = None,
    ) -> bool:
        """Let an issue bear `wanted` alone of our labels (`ours`: color and description by name), made where there is none.

        `before` is the one that it bears, "" for none, None where nobody knows. A comment's new text (`edit`: id and
        body) travels along where the forge can do both in one call; tells whether it was written.
        """

    async def open_pull(
        self, repo: Repo, *, head: str, base: str, title: str, body: str, draft: bool = False
    ) -> Pull:
        """Open a pull request, or give the one that is open from this head already."""

    async def update_pull(
        self,
        repo: Repo,
        number: int,
        *,
        body: str | None = None,
        state: Literal["open", "closed"] | None = None,
    ) -> None: ...

    async def set_check(
        self, repo: Repo, sha: str, report: Report, *, known: int | None = None, again: bool = False
    ) -> int:
        """Create or update the bot's check run of the report's name on this sha, and give its id.

        `known` is the run's id where it is remembered, and 0 where there is none yet: then nobody has to look. With
        `again` it is written even if it says the same already.
        """

    async def close_issue(self, repo: Repo, number: int) -> None: ...

    async def create_issue(self, repo: Repo, title: str, body: str) -> int:
        """Open an issue and give its number; look for the one of this identity before."""

    async def reopen_issue(self, repo: Repo, number: int, body: str) -> None:
        """Write an issue's text anew, and open the issue where it is closed."""

    async def add_file(
        self, repo: Repo, *, branch: str, base: str, path: str, text: str, message: str
    ) -> None:
        """Commit one new file over the API, on a branch that is made at the sha `base` where there is none; one that is there stays."""

    def git_access(self, repo: Repo, *, write: bool) -> AbstractAsyncContextManager[GitAccess]:
        """Lend access for git: a token for this repository alone; one that may write is revoked soon after the block."""

    async def branch_rules(self, repo: Repo, branch: str) -> tuple[str, ...]:
        """List the types of the rules that hold for a branch; none where the forge does not tell."""

    async def publish_signed(
        self, repo: Repo, branch: str, expected: str | None, commit: SignedCommit
    ) -> str:
        """Have the forge make and sign a commit, and move the branch from `expected` (None: absent) to it; gives its sha.

        StaleRefError where the branch is elsewhere, unless it holds the same; PushRefusedError where a rule forbids it.
        """

    async def secrets_in(self, data: bytes) -> Sequence[tuple[str, int]]:
        """Find where the forge's own secrets, which this process does not know, begin in these bytes.

        Each by a name without meaning and its offset. RetryableError where nobody can tell.
        """

    async def failed_deliveries(
        self, since: datetime, *, also_delivered: bool = False
    ) -> list[FailedDelivery]:
        """List webhook deliveries since then with no successful attempt, or all of them, oldest first."""

    async def unheard_commands(self, repo: Repo, since: datetime) -> list[UnheardComment]:
        """Find the commands written since then that the bot has not acknowledged, oldest first."""

    async def delivery_payload(self, delivery_id: int) -> JsonDict:
        """Read what a delivery carried, so that nothing depends on its being sent again."""

    async def aclose(self) -> None:
        """Revoke every token still held and close the connections."""
