"""Owns the port `Forge` over a local clone: one repository, one person who may do everything, no checks, no webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from bot.core.attribution import FORMER
from bot.core.health import Standing
from bot.core.ids import Place, identity
from bot.core.values import (
    Actor,
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
)
from bot.errors import ForgeError, NotFoundError
from bot.forges.local.records import CommentRecord, PullRecord, Records
from bot.ports import (
    Capabilities,
    FailedDelivery,
    GitAccess,
    Installed,
    JsonDict,
    Look,
    Mirror,
    Quota,
    SignedCommit,
    UnheardComment,
)

BOT = Actor(1, "gitwright", is_bot=True)
AUTHOR = Identity("Gitwright", FORMER)


class LocalForge:
    """A clone whose branches stand for pull requests.

    `git_dir` is the clone's, `mirrors` gives the host's mirror of it. With `merging` branches are compared with the
    default branch, else each only with what it began from, so that none can be in conflict.
    """

    def __init__(
        self,
        git_dir: Path,
        records: Records,
        mirrors: Callable[[Repo], Awaitable[Mirror]],
        repo: Repo,
        *,
        merging: bool = False,
    ) -> None:
        self.capabilities = Capabilities(graphql=False, checks=False, reactions=False, app_deliveries=False)
        self.records = records
        self._git_dir = git_dir
        self._mirrors = mirrors
        self._repo = repo
        self._merging = merging

    # --- reads ---

    def cap(self, _repo: Repo, _calls: int) -> None:
        """Nothing travels here."""

    def quotas(self) -> Sequence[Quota]:
        """Nothing is limited here."""
        return ()

    def forget_tokens(self, _installation: int) -> None:
        """There are none."""

    async def identity(self) -> str:
        return BOT.login

    async def answers(self) -> None:
        """It is this machine."""

    async def bot_ids(self, _repo: Repo) -> frozenset[int]:
        return frozenset({BOT.id})

    async def author(self, _repo: Repo) -> Identity:
        return AUTHOR

    async def repo(self, _repo: Repo) -> Repo:
        return self._repo

    async def repos(self) -> Installed:
        return Installed()

    async def labeled_issues(self, _repo: Repo, *_labels: str) -> list[int]:
        return []

    async def reacted(self, _repo: Repo, _comment: int, _place: Place = "comment") -> bool:
        return False

    async def permission(self, _repo: Repo, _login: str) -> Role:
        return "admin"

    async def standing(self, _repo: Repo) -> Standing:
        return Standing()

    async def issue(self, _repo: Repo, number: int) -> Issue:
        return Issue(number, "", "", "open", Actor(0, "you"), labels=self.records.labels(number))

    async def comments(self, _repo: Repo, number: int) -> list[Comment]:
        return [Comment(each.id, each.body, BOT) for each in self.records.comments if each.number == number]

    async def comment(self, _repo: Repo, comment: int) -> Comment | None:
        found = next((each for each in self.records.comments if each.id == comment), None)
        return Comment(found.id, found.body, BOT) if found else None

    async def pull(self, repo: Repo, number: int) -> Pull:
        """Give a branch as a pull request; its head is where the branch is now, or was before it was deleted."""
        record = self._record(number)
        head = await self.branch_sha(repo, record.branch) or record.head_sha
        return Pull(
            number=record.number,
            state=record.state,
            title=record.title,
            body=record.body,
            head_branch=record.branch,
            head_sha=head,
            base_branch=repo.default_branch,
            base_sha=head,
            merged=record.merge_sha is not None,
            merge_sha=record.merge_sha,
            mergeable=await self._mergeable(repo, head) if record.state == "open" else None,
            author=BOT,
        )

    async def conversation(self, repo: Repo, number: int) -> tuple[Issue, list[Comment]]:
        return await self.issue(repo, number), await self.comments(repo, number)

    async def pull_state(self, repo: Repo, number: int, _look: Look | None = None) -> PullState:
        return PullState(await self.pull(repo, number))

    async def find_pull(self, repo: Repo, head_branch: str) -> Pull | None:
        found = max((p.number for p in self.records.pulls if p.branch == head_branch), default=None)
        return await self.pull(repo, found) if found is not None else None

    async def checks(self, _repo: Repo, _sha: str) -> list[Check]:
        """Give none: what a run's tests showed before its branch was made takes their place."""
        return []

    async def job_log(self, _repo: Repo, _job: int) -> str:
        return ""

    async def review_comments(self, _repo: Repo, _number: int, _review: int) -> list[ReviewComment]:
        return []

    async def branch_sha(self, repo: Repo, branch: str) -> str | None:
        mirror = await self._mirrors(repo)
        async with self.git_access(repo, write=False) as access:
            await mirror.fetch(access)
        return await mirror.resolve(branch)

    def page(self, _repo: Repo) -> str:
        return ""

    async def find_comment(self, _repo: Repo, number: int, marker: str) -> Comment | None:
        found = [c for c in self.records.comments if c.number == number and identity(c.body) == marker]
        return Comment(found[-1].id, found[-1].body, BOT) if found else None

    async def _mergeable(self, repo: Repo, head: str) -> bool | None:
        mirror = await self._mirrors(repo)
        tip = await mirror.resolve(repo.default_branch) if self._merging else None
        if tip is None:
            return None
        _, conflicts = await mirror.merge_tree(tip, head)
        return not conflicts

    async def find_issue(self, _repo: Repo, _marker: str) -> Issue | None:
        return None

    async def read_file(self, repo: Repo, ref: str, path: str) -> str | None:
        mirror = await self._mirrors(repo)
        async with self.git_access(repo, write=False) as access:
            await mirror.fetch(access)
        sha = await mirror.resolve(ref)
        raw = await mirror.read(sha, path) if sha else None
        return raw.decode(errors="replace") if raw is not None else None

    async def pull_paths(self, repo: Repo, number: int) -> list[str]:
        mirror, pull = await self._mirrors(repo), await self.pull(repo, number)
        tip = await mirror.resolve(repo.default_branch)
        base = await mirror.merge_base(tip, pull.head_sha) if tip else None
        return [path for path, _, _ in await mirror.diff_stat(base, pull.head_sha)] if base else []

    # --- writes ---

    async def fold_comment(self, _repo: Repo, comment_id: int) -> None: ...

    async def create_comment(self, repo: Repo, number: int, body: str, *, first: bool = False) -> int:
        known = None if first else await self.find_comment(repo, number, identity(body))
        if known is not None:
            return known.id
        made = CommentRecord(id=self.records.next_comment(), number=number, body=body)
        self.records.put_comment(made)
        return made.id

    async def update_comment(self, _repo: Repo, comment_id: int, body: str) -> None:
        known = next((each for each in self.records.comments if each.id == comment_id), None)
        if known is None:
            raise NotFoundError(f"there is no comment {comment_id}")
        self.records.put_comment(replace(known, body=body))

    async def react(self, _repo: Repo, _subject: Literal["issue"] | Place, _id: int, _content: str) -> bool:
        return False

    async def show_label(
        self,
        _repo: Repo,
        issue: int,
        wanted: str | None,
        *,
        ours: Mapping[str, tuple[str, str]],
        before: str | None,
        edit: tuple[int, str] | None = None,
    ) -> bool:
        kept = [each for each in self.records.labels(issue) if each not in ours]
        self.records.put_labels(issue, (*kept, *([wanted] if wanted else [])))
        return False

    async def open_pull(
        self, repo: Repo, *, head: str, base: str, title: str, body: str, draft: bool = False
    ) -> Pull:
        """Note that a branch of the clone is finished; `base` and `draft` say nothing here."""
        known = await self.find_pull(repo, head)
        if known is not None and known.state == "open":
            return known
        sha = await self.branch_sha(repo, head)
        if sha is None:
            raise ForgeError(f"there is no branch `{head}`")
        made = PullRecord(
            number=self.records.next_number(), branch=head, title=title, body=body, head_sha=sha
        )
        self.records.put_pull(made)
        return await self.pull(repo, made.number)

    async def update_pull(
        self,
        _repo: Repo,
        number: int,
        *,
        body: str | None = None,
        state: Literal["open", "closed"] | None = None,
    ) -> None:
        known = self._record(number)
        self.records.put_pull(replace(known, body=body or known.body, state=state or known.state))

    def merged(self, number: int, head_sha: str, merge_sha: str) -> None:
        """Note that a branch was merged, or that what waits for it may go on from it."""
        known = self._record(number)
        self.records.put_pull(replace(known, state="closed", head_sha=head_sha, merge_sha=merge_sha))

    async def set_check(
        self, _repo: Repo, _sha: str, _report: Report, *, known: int | None = None, again: bool = False
    ) -> int:
        """Checks have no place in a clone; what they would say is printed."""
        return 0

    async def close_issue(self, _repo: Repo, _number: int) -> None:
        """There is no issue."""

    async def create_issue(self, _repo: Repo, title: str, _body: str) -> int:
        raise ForgeError(f"a clone has no place for an issue “{title}”")

    async def reopen_issue(self, _repo: Repo, _number: int, _body: str) -> None:
        """There is no issue."""

    async def add_file(
        self, _repo: Repo, *, branch: str, base: str, path: str, text: str, message: str
    ) -> None:
        raise ForgeError(f"{path} is not proposed in a clone: write it there yourself")

    def git_access(self, _repo: Repo, *, write: bool) -> AbstractAsyncContextManager[GitAccess]:
        """Lend the clone's folder; nothing has to be revoked."""
        return _access(GitAccess(f"file://{self._git_dir}", ""), write=write)

    async def branch_rules(self, _repo: Repo, _branch: str) -> tuple[str, ...]:
        return ()

    async def secrets_in(self, data: bytes) -> Sequence[tuple[str, int]]:
        """Find none: a clone has no forge to show a secret to."""
        return ()

    async def publish_signed(
        self, _repo: Repo, branch: str, _expected: str | None, _commit: SignedCommit
    ) -> str:
        raise ForgeError(f"nobody signs commits of `{branch}` in a clone")

    async def failed_deliveries(
        self, _since: datetime, *, also_delivered: bool = False
    ) -> list[FailedDelivery]:
        return []

    async def unheard_commands(self, _repo: Repo, _since: datetime) -> list[UnheardComment]:
        return []

    async def delivery_payload(self, delivery_id: int) -> JsonDict:
        raise NotFoundError(f"there is no delivery {delivery_id}")

    async def aclose(self) -> None:
        """Nothing is held."""

    def _record(self, number: int) -> PullRecord:
        found = next((pull for pull in self.records.pulls if pull.number == number), None)
        if found is None:
            raise NotFoundError(f"there is no branch with number {number}")
        return found


@asynccontextmanager
async def _access(access: GitAccess, *, write: bool) -> AsyncIterator[GitAccess]:
    yield access
