"""Owns what a delivery means: GitHub's payloads become our events, everything else becomes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

from bot.core.events import (
    ChecksCompleted,
    CommentCreated,
    ForgeEvent,
    IssueClosed,
    IssueEdited,
    IssueGone,
    IssueLabeled,
    IssueReopened,
    IssueUnlabeled,
    PullClosed,
    PullEdited,
    PullPushed,
    PullReopened,
    Pushed,
    ReviewSubmitted,
)
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
    updated_at: str = ""
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


class _IssueHappened(_Payload):
    issue: _Issue
    label: _Label | None = None


class _CommentCreated(_Payload):
    issue: _Issue
    comment: _Comment


class _PullHappened(_Payload):
    pull_request: _Pull


class _Review(_View):
    id: int
    state: str
    submitted_at: str | None = None
    body: str | None = None
    user: _User | None = None


class _ReviewHappened(_Payload):
    pull_request: _Pull
    review: _Review


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


def _of_issue(data: object) -> tuple[_IssueHappened, Repo] | None:
    view = _IssueHappened.model_validate(data)
    repo = view.repo()
    return None if repo is None or view.issue.pull_request is not None else (view, repo)


def _issue_label(data: object, _app: int | None) -> ForgeEvent | None:
    found = _of_issue(data)
    if found is None or found[0].label is None:
        return None
    view, repo = found
    happened = IssueUnlabeled if view.action == "unlabeled" else IssueLabeled
    assert view.label is not None
    return happened(
        repo=repo,
        issue=view.issue.number,
        label=view.label.name,
        actor=view.actor(),
        at=view.issue.updated_at,
    )


def _issue_changed(data: object, _app: int | None) -> ForgeEvent | None:
    found = _of_issue(data)
    if found is None:
        return None
    view, repo = found
    number, actor = view.issue.number, view.actor()
    if view.action == "deleted":
        return IssueGone(repo=repo, issue=number, how="deleted", actor=actor)
    if view.action == "transferred":
        return IssueGone(repo=repo, issue=number, how="transferred", actor=actor)
    if view.action == "edited":
        return IssueEdited(repo=repo, issue=number, actor=actor)
    happened = IssueReopened if view.action == "reopened" else IssueClosed
    return happened(repo=repo, issue=number, actor=actor, at=view.issue.updated_at)


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


def _pull_changed(data: object, _app: int | None) -> ForgeEvent | None:
    view = _PullHappened.model_validate(data)
    repo, pull = view.repo(), view.pull_request
    if repo is None or _foreign(repo, pull):
        return None
    number, branch, actor = pull.number, pull.head.ref, view.actor()
    if view.action == "reopened":
        return PullReopened(repo=repo, number=number, head_branch=branch, actor=actor)
    if view.action == "edited":
        base = pull.base.ref
        return PullEdited(repo=repo, number=number, head_branch=branch, base_branch=base, actor=actor)
    if view.action == "synchronize":
        sha = pull.head.sha
        return PullPushed(repo=repo, number=number, head_branch=branch, head_sha=sha, actor=actor)
    return PullClosed(
        repo=repo,
        number=number,
        head_branch=branch,
        head_sha=pull.head.sha,
        base_branch=pull.base.ref,
        merged=pull.merged,
        merge_sha=pull.merge_commit_sha if pull.merged else None,
        actor=actor,
    )


def _foreign(repo: Repo, pull: _Pull) -> bool:
    # A fork's pull request is never ours.
    return pull.head.repo is None or pull.head.repo.id != repo.id


def _review_submitted(data: object, _app: int | None) -> ForgeEvent | None:
    view = _ReviewHappened.model_validate(data)
    repo, pull, review = view.repo(), view.pull_request, view.review
    if repo is None or _foreign(repo, pull):
        return None
    return ReviewSubmitted(
        repo=repo,
        number=pull.number,
        review=review.id,
        state=review.state.lower(),
        body=review.body or "",
        author=(review.user or _User()).actor(),
        head_branch=pull.head.ref,
        at=review.submitted_at or "",
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
    **{("issues", action): _issue_label for action in ("labeled", "unlabeled")},
    **{
        ("issues", action): _issue_changed
        for action in ("edited", "closed", "reopened", "deleted", "transferred")
    },
    ("issue_comment", "created"): _comment_created,
    **{("pull_request", action): _pull_changed for action in ("closed", "reopened", "edited", "synchronize")},
    ("pull_request_review", "submitted"): _review_submitted,
    ("check_suite", "completed"): _suite_completed,
    ("push", None): _pushed,
}
