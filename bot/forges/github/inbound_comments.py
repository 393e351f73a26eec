"""Owns what deliveries say of comments: new ones, and boxes or words that were changed in one."""

from __future__ import annotations

from pydantic import Field

from bot.core import boxes
from bot.core.events import BoxesTicked, CommentCreated, CommentEdited, LineCommented
from bot.core.ids import parse_marker
from bot.forges.github.inbound_views import Id, IssueShown, Payload
from bot.forges.github.views import UserView, View, actor


class _Comment(View):
    id: int
    body: str | None = None
    user: UserView | None = None
    created_at: str = ""


class _Commented(Payload):
    issue: IssueShown
    comment: _Comment


class _Before(View):
    # GitHub's own word for it is `from`, which Python keeps for itself.
    text: str | None = Field(default=None, alias="from")


class _Changes(View):
    body: _Before | None = None


class _Edited(_Commented):
    changes: _Changes = _Changes()


class _OnLine(View):
    id: int
    path: str = ""
    line: int | None = None
    original_line: int | None = None
    body: str | None = None
    user: UserView | None = None


class _Head(View):
    ref: str = ""
    repo: Id | None = None


class _Shown(View):
    number: int
    head: _Head = _Head()


class _LineCommented(Payload):
    comment: _OnLine
    pull_request: _Shown


def line_commented(data: object, _app: int | None) -> LineCommented | None:
    """Read what somebody said on a line; a fork's pull request is none of ours."""
    view = _LineCommented.model_validate(data)
    repo, said, pull = view.repo(), view.comment, view.pull_request
    if repo is None or pull.head.repo is None or pull.head.repo.id != repo.id:
        return None
    return LineCommented(
        repo=repo,
        number=pull.number,
        comment=said.id,
        path=said.path,
        line=said.line or said.original_line,
        body=said.body or "",
        author=actor(said.user),
        head_branch=pull.head.ref,
    )


def comment_created(data: object, _app: int | None) -> CommentCreated | None:
    """Read a new comment, with what its issue said then."""
    view = _Commented.model_validate(data)
    repo = view.repo()
    if repo is None:
        return None
    return CommentCreated(
        repo=repo,
        number=view.issue.number,
        is_pull=view.issue.pull_request is not None,
        comment=view.comment.id,
        body=view.comment.body or "",
        author=actor(view.comment.user),
        text=view.issue.text(view.comment.created_at),
    )


def comment_edited(data: object, _app: int | None) -> BoxesTicked | CommentEdited | None:
    """Read an edit: boxes in what looks like one of our texts, or other words; None where the text is as it was."""
    view = _Edited.model_validate(data)
    repo, comment = view.repo(), view.comment
    before, body = view.changes.body.text if view.changes.body else None, comment.body or ""
    if repo is None or before is None or before == body:
        return None
    marker = parse_marker(body)
    if marker is not None and marker.track is not None:
        ticked, unticked = boxes.changed(before, body)
        if not ticked and not unticked:
            return None
        return BoxesTicked(
            repo=repo,
            number=view.issue.number,
            comment=comment.id,
            track=marker.track,
            author=actor(comment.user),
            actor=view.actor(),
            ticked=tuple(map(str, ticked)),
            unticked=tuple(map(str, unticked)),
        )
    return CommentEdited(
        repo=repo,
        number=view.issue.number,
        is_pull=view.issue.pull_request is not None,
        comment=comment.id,
        before=before,
        body=body,
        actor=view.actor(),
    )
