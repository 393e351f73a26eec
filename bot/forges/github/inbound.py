"""Owns what a delivery means: GitHub's payloads become our events, everything else becomes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

from bot.core.events import ChecksCompleted, CommentCreated, ForgeEvent, IssueLabeled, PullClosed, Pushed
from bot.core.values import Actor, Repo

NO_SHA = "0" * 40  # how a push names a branch that is not there


class _View(BaseModel):
    """Only what we read; GitHub adds fields and older servers lack some."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _User(_View):
    id: int = 0
    login: str = "ghost"
    type: str = "User"

    def actor(self) -> Actor:
        return Actor(self.id, self.login, self.type == "Bot")


class _Account(_View):
    login: str | None = None
    name: str | None = None


class _Repository(_View):
    id: int
    name: str
    owner: _Account
    private: bool = True
    default_branch: str = "main"


class _Id(_View):
    id: int


class _Issue(_View):
    number: int
    pull_request: dict[str, object] | None = None


class _Label(_View):
    name: str


class _Comment(_View):
    id: int
    body: str | None = None
    user: _User | None = None


class _Branch(_View):
    ref: str
    sha: str
    repo: _Id | None = None


class _Pull(_View):
    number: int
    merged: bool = False
    merge_commit_sha: str | None = None
    head: _Branch
    base: _Branch


class _Suite(_View):
    head_sha: str
    head_branch: str | None = None
    app: _Id | None = None


class _Payload(_View):
    action: str | None = None
    repository: _Repository | None = None
    sender: _User | None = None
    installation: _Id | None = None

    def repo(self) -> Repo | None:
        found = self.repository
        if found is None:
            return None
        owner = found.owner.login or found.owner.name or ""
        installation = self.installation.id if self.installation else None
        return Repo(found.id, owner, found.name, found.default_branch, found.private, installation)

    def actor(self) -> Actor:
        return (self.sender or _User()).actor()


class _IssueLabeled(_Payload):
    issue: _Issue
    label: _Label | None = None


class _CommentCreated(_Payload):
    issue: _Issue
    comment: _Comment


class _PullClosed(_Payload):
    pull_request: _Pull


class _SuiteCompleted(_Payload):
    check_suite: _Suite


class _Pushed(_Payload):
    ref: str
    before: str
    after: str
    deleted: bool = False


def parse(event: str, body: bytes, app_id: int | None = None) -> ForgeEvent | None:
    """Read a delivery; None where it is nothing that we react to. ValueError where it cannot be read."""
    payload = json.loads(body)
    action = payload.get("action") if isinstance(payload, dict) else None
    reader = _READERS.get((event, action if isinstance(action, str) else None))
    if reader is None:
        return None
    try:
        return reader(payload, app_id)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, e["loc"])) for e in error.errors()[:5])
        raise ValueError(f"the `{event}` payload lacks what we read: {places}") from error


def _issue_labeled(data: object, _app: int | None) -> ForgeEvent | None:
    view = _IssueLabeled.model_validate(data)
    repo = view.repo()
    if repo is None or view.label is None or view.issue.pull_request is not None:
        return None
    return IssueLabeled(repo=repo, issue=view.issue.number, label=view.label.name, actor=view.actor())


def _comment_created(data: object, _app: int | None) -> ForgeEvent | None:
    view = _CommentCreated.model_validate(data)
    repo = view.repo()
    if repo is None:
        return None
    return CommentCreated(
        repo=repo,
        number=view.issue.number,
        is_pull=view.issue.pull_request is not None,
        comment=view.comment.id,
        body=view.comment.body or "",
        author=(view.comment.user or _User()).actor(),
    )


def _pull_closed(data: object, _app: int | None) -> ForgeEvent | None:
    view = _PullClosed.model_validate(data)
    repo, pull = view.repo(), view.pull_request
    if repo is None or pull.head.repo is None or pull.head.repo.id != repo.id:
        return None  # a fork's pull request is never ours
    return PullClosed(
        repo=repo,
        number=pull.number,
        head_branch=pull.head.ref,
        head_sha=pull.head.sha,
        base_branch=pull.base.ref,
        merged=pull.merged,
        merge_sha=pull.merge_commit_sha if pull.merged else None,
        actor=view.actor(),
    )


def _suite_completed(data: object, app: int | None) -> ForgeEvent | None:
    view = _SuiteCompleted.model_validate(data)
    repo, suite = view.repo(), view.check_suite
    if repo is None:
        return None
    ours = app is not None and suite.app is not None and suite.app.id == app
    return ChecksCompleted(repo=repo, sha=suite.head_sha, branch=suite.head_branch, ours=ours)


def _pushed(data: object, _app: int | None) -> ForgeEvent | None:
    view = _Pushed.model_validate(data)
    repo = view.repo()
    if repo is None or not view.ref.startswith("refs/heads/"):
        return None
    gone = view.deleted or view.after == NO_SHA
    return Pushed(
        repo=repo,
        branch=view.ref.removeprefix("refs/heads/"),
        before=None if view.before == NO_SHA else view.before,
        after=None if gone else view.after,
        actor=view.actor(),
    )


_READERS: Mapping[tuple[str, str | None], Callable[[object, int | None], ForgeEvent | None]] = {
    ("issues", "labeled"): _issue_labeled,
    ("issue_comment", "created"): _comment_created,
    ("pull_request", "closed"): _pull_closed,
    ("check_suite", "completed"): _suite_completed,
    ("push", None): _pushed,
}
