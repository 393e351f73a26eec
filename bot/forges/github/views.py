"""Owns how GitHub's answers read: small, tolerant models of the fields we use, turned into our values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.core.sanitize import truncate
from bot.core.values import ROLES, Actor, Check, Comment, Issue, Pull, Repo, ReviewComment, Role
from bot.errors import ForgeError

OWN_CHECKS = "gitwright/"
BODY_LIMIT = 65_536  # characters of a comment, an issue or a pull request
CHECK_TEXT = 16_000  # characters of what a check says at length; its end, where test runners say what failed


_JOB = re.compile(r"/actions/runs/\d+/job/(\d+)")
_STAMP = re.compile(r"^\ufeff?\d{4}-\d\d-\d\dT[\d:.]+Z ", re.MULTILINE)  # in front of each line of a log
_ERROR = "##[error]"


class View(BaseModel):
    """Only what we read; GitHub adds fields and older servers lack some."""

    model_config = ConfigDict(extra="ignore", frozen=True)


_V = TypeVar("_V", bound=View)


def read(kind: type[_V], data: Any) -> _V:
    """Read an answer; a ForgeError names the fields that are missing."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, item["loc"])) for item in error.errors()[:5])
        raise ForgeError(f"GitHub's answer cannot be read as {kind.__name__}: {places}") from error


class UserView(View):
    id: int
    login: str
    type: str = "User"


def actor(user: UserView | None) -> Actor:
    """Name who did something; a deleted account is `ghost`."""
    return Actor(0, "ghost") if user is None else Actor(user.id, user.login, user.type == "Bot")


class AppView(View):
    id: int
    slug: str = ""


class RepoView(View):
    id: int
    name: str
    owner: UserView
    default_branch: str = "main"
    private: bool = True
    archived: bool = False
    fork: bool = False
    permissions: dict[str, bool] | None = None

    def value(self, installation: int | None) -> Repo:
        return Repo(
            self.id,
            self.owner.login,
            self.name,
            self.default_branch,
            self.private,
            installation,
            self.archived,
            self.fork,
        )


class LabelView(View):
    name: str = ""


class IssueView(View):
    number: int
    title: str = ""
    body: str | None = None
    state: str
    user: UserView | None = None
    labels: tuple[LabelView | str, ...] = ()
    pull_request: dict[str, Any] | None = None

    def value(self) -> Issue:
        labels = tuple(label if isinstance(label, str) else label.name for label in self.labels)
        is_pull = self.pull_request is not None
        return Issue(self.number, self.title, self.body or "", self.state, actor(self.user), labels, is_pull)


class CommentView(View):
    id: int
    node_id: str = ""  # by which GraphQL knows it
    body: str | None = None
    user: UserView | None = None
    created_at: str = ""
    updated_at: str = ""
    author_association: str = ""

    def value(self) -> Comment:
        insider = self.author_association in {"OWNER", "MEMBER", "COLLABORATOR"}
        return Comment(self.id, self.body or "", actor(self.user), self.created_at, self.updated_at, insider)


class ReactionView(View):
    content: str = ""
    user: UserView | None = None


class ReviewCommentView(View):
    path: str
    line: int | None = None
    original_line: int | None = None  # where it was when it was said
    body: str = ""

    def value(self) -> ReviewComment:
        return ReviewComment(self.path, self.line or self.original_line, self.body)


class FileView(View):
    encoding: str = ""
    content: str = ""


class ChangedFileView(View):
    filename: str
    previous_filename: str | None = None


class BranchView(View):
    ref: str
    sha: str


class PullView(View):
    number: int
    state: str
    title: str = ""
    body: str | None = None
    head: BranchView
    base: BranchView
    merged: bool = False
    merged_at: str | None = None
    merge_commit_sha: str | None = None
    mergeable: bool | None = None
    draft: bool = False
    user: UserView | None = None

    def value(self) -> Pull:
        merged = self.merged or self.merged_at is not None  # lists have the time only
        return Pull(
            number=self.number,
            state=self.state,
            title=self.title,
            body=self.body or "",
            head_branch=self.head.ref,
            head_sha=self.head.sha,
            base_branch=self.base.ref,
            base_sha=self.base.sha,
            merged=merged,
            merge_sha=self.merge_commit_sha if merged else None,  # before, it is a trial merge
            mergeable=self.mergeable,
            draft=self.draft,
            author=actor(self.user),
        )


class OutputView(View):
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    annotations_count: int = 0


class CheckRunView(View):
    id: int
    name: str
    status: str
    conclusion: str | None = None
    app: AppView | None = None
    html_url: str | None = None
    details_url: str | None = None
    output: OutputView = OutputView()

    def ours(self, our_app: int | None) -> bool:
        """Tell whose it is; where no App is named, which GitHub allows itself, by what only we are called."""
        return self.app.id == our_app if self.app else self.name.startswith(OWN_CHECKS)

    def value(self, our_app: int | None) -> Check:
        summary = self.output.summary or self.output.title or ""
        done = self.status == "completed"
        text = (self.output.text or "")[-CHECK_TEXT:]
        of_job = _JOB.search(self.details_url or "")
        job = int(of_job[1]) if of_job else 0
        ours = self.ours(our_app)
        return Check(self.name, done, self.conclusion, ours, self.html_url or "", summary, text, job)


def newest(runs: Iterable[CheckRunView]) -> list[CheckRunView]:
    """Give the newest check run of each App's name: a rerun in another suite leaves the older one in the list."""
    found: dict[tuple[int, str], CheckRunView] = {}
    for run in sorted(runs, key=lambda run: run.id):
        found[(run.app.id if run.app else 0, run.name)] = run
    return list(found.values())


class StatusView(View):
    context: str
    state: str
    description: str | None = None
    target_url: str | None = None
    creator: UserView | None = None

    def value(self, our_users: frozenset[int]) -> Check:
        done = self.state != "pending"
        conclusion = {"success": "success", "failure": "failure", "error": "failure"}.get(self.state)
        # In token mode the account is a person's, who may run CI of their own under it.
        by_us = self.creator is not None and self.creator.id in our_users
        ours = by_us and self.context.startswith(OWN_CHECKS)
        return Check(self.context, done, conclusion, ours, self.target_url or "", self.description or "")


class RefView(View):
    class Target(View):
        sha: str

    object: Target


class PermissionView(View):
    permission: str = "none"
    role_name: str = ""

    def value(self) -> Role:
        """Give the role; one that an organization made up counts as the permission that it is built on."""
        for name in (self.role_name, self.permission):
            for role in ROLES:
                if role == name:
                    return role
        return "none"


class TokenView(View):
    token: str = Field(repr=False)
    expires_at: datetime


class InstallationView(View):
    id: int
    permissions: dict[str, str] = {}
    suspended_at: str | None = None


class DeliveryView(View):
    id: int
    guid: str
    event: str = ""
    delivered_at: datetime
    status_code: int | None = None
    status: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300


def token_end(text: str) -> datetime | None:
    """Read when a personal token ends, as GitHub's header says it; None where it says nothing of the kind."""
    try:
        return datetime.strptime(text.replace(" UTC", " +0000"), "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None


def cut(text: str, limit: int = BODY_LIMIT) -> str:
    """Cut a text to what GitHub takes; its first line, the marker, stays."""
    return truncate(text, limit)


def log_end(text: str, limit: int = CHECK_TEXT) -> str:
    """Give the end of a job's log up to its last error, because cleaning up is logged after that; without times."""
    lines = _STAMP.sub("", text).splitlines()
    last = max((index for index, line in enumerate(lines) if line.startswith(_ERROR)), default=len(lines))
    return "\n".join(lines[: last + 1]).replace(_ERROR, "")[-limit:]


class RuleView(View):
    type: str


class _Sha(View):
    sha: str


class VerificationView(View):
    verified: bool = False
    reason: str = ""


class GitCommitView(View):
    sha: str
    tree: _Sha
    parents: list[_Sha] = []
    verification: VerificationView = VerificationView()
