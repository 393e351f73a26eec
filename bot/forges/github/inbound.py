"""Owns what a delivery means: GitHub's payloads become our events, everything else becomes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from pydantic import ValidationError

from bot.core.events import (
    ForgeEvent,
    InstallationChanged,
    IssueClosed,
    IssueEdited,
    IssueGone,
    IssueLabeled,
    IssueReopened,
    IssueUnlabeled,
    PullClosed,
    PullEdited,
    PullOffered,
    PullPushed,
    PullReopened,
    Pushed,
    RepositoriesAdded,
    ReviewSubmitted,
)
from bot.core.values import Repo
from bot.forges.github import inbound_checks, views
from bot.forges.github.inbound_comments import comment_created, comment_edited, line_commented
from bot.forges.github.inbound_repositories import (
    changes_settings,
    installation_changed,
    repositories_added,
    repository_changed,
)
from bot.forges.github.inbound_views import Id, IssueShown, Payload
from bot.forges.github.views import BranchView, LabelView, UserView, View

Inbound = ForgeEvent | RepositoriesAdded | InstallationChanged

NO_SHA = "0" * 40  # how a push names a branch that is not there


class _Branch(BranchView):
    repo: Id | None = None


class _Pull(View):
    number: int
    merged: bool = False
    merge_commit_sha: str | None = None
    head: _Branch
    base: _Branch


class _IssueHappened(Payload):
    issue: IssueShown
    label: LabelView | None = None


class _PullHappened(Payload):
    pull_request: _Pull


class _Review(View):
    id: int
    state: str
    submitted_at: str | None = None
    body: str | None = None
    user: UserView | None = None


class _ReviewHappened(Payload):
    pull_request: _Pull
    review: _Review


class _Pushed(Payload):
    ref: str
    before: str
    after: str
    deleted: bool = False


def parse(event: str, body: bytes, app_id: int | None = None) -> Inbound | None:
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
    assert view.label is not None
    number, label, actor, at = view.issue.number, view.label.name, view.actor(), view.issue.updated_at
    if view.action == "unlabeled":
        labels = view.issue.names(label)  # it was there until now
        return IssueUnlabeled(repo=repo, issue=number, label=label, actor=actor, at=at, labels=labels)
    text = view.issue.text(at)
    return IssueLabeled(repo=repo, issue=number, label=label, actor=actor, at=at, text=text)


def _issue_changed(data: object, _app: int | None) -> ForgeEvent | None:
    found = _of_issue(data)
    if found is None:
        return None
    view, repo = found
    number, actor, labels = view.issue.number, view.actor(), view.issue.names()
    if view.action == "deleted":
        return IssueGone(repo=repo, issue=number, how="deleted", actor=actor, labels=labels)
    if view.action == "transferred":
        return IssueGone(repo=repo, issue=number, how="transferred", actor=actor, labels=labels)
    if view.action == "edited":
        return IssueEdited(repo=repo, issue=number, actor=actor, labels=labels)
    happened = IssueReopened if view.action == "reopened" else IssueClosed
    return happened(repo=repo, issue=number, actor=actor, at=view.issue.updated_at, labels=labels)


def _pull_changed(data: object, _app: int | None) -> ForgeEvent | None:
    view = _PullHappened.model_validate(data)
    repo, pull = view.repo(), view.pull_request
    if repo is None or (_foreign(repo, pull) and view.action in {"closed", "edited"}):
        return None
    number, branch, actor = pull.number, pull.head.ref, view.actor()
    if view.action == "opened" or _foreign(repo, pull):
        sha = pull.head.sha
        return PullOffered(repo=repo, number=number, head_branch=branch, head_sha=sha, actor=actor)
    if view.action == "reopened":
        sha = pull.head.sha
        return PullReopened(repo=repo, number=number, head_branch=branch, head_sha=sha, actor=actor)
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
    # A fork's pull request is never ours, whatever its branch is called.
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
        author=views.actor(review.user),
        head_branch=pull.head.ref,
        at=review.submitted_at or "",
    )


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
        settings=changes_settings(data),
    )


_READERS: Mapping[tuple[str, str | None], Callable[[object, int | None], Inbound | None]] = {
    **{("issues", action): _issue_label for action in ("labeled", "unlabeled")},
    **{
        ("issues", action): _issue_changed
        for action in ("edited", "closed", "reopened", "deleted", "transferred")
    },
    ("issue_comment", "created"): comment_created,
    ("issue_comment", "edited"): comment_edited,
    **{
        ("pull_request", action): _pull_changed
        for action in ("opened", "closed", "reopened", "edited", "synchronize")
    },
    ("pull_request_review", "submitted"): _review_submitted,
    **inbound_checks.READERS,
    ("push", None): _pushed,
    ("pull_request_review_comment", "created"): line_commented,
    **{
        ("repository", action): repository_changed
        for action in ("renamed", "transferred", "archived", "unarchived", "deleted")
    },
    **{
        ("installation", action): installation_changed
        for action in ("deleted", "suspend", "unsuspend", "new_permissions_accepted")
    },
    ("installation_repositories", "removed"): installation_changed,
    ("installation", "created"): repositories_added,
    ("installation_repositories", "added"): repositories_added,
}
