"""What the bot reacts to: one file per event of the forge, and the tables of all of them."""

from __future__ import annotations

from typing import Any

from bot.handler import Handler, RepoHandler
from handlers import (
    boxes_ticked,
    check_run,
    checks,
    comment_edited,
    elsewhere,
    given,
    hints,
    installation,
    issue_comment,
    issues,
    issues_changed,
    line_comment,
    outcomes,
    pull_request,
    pull_request_changed,
    push,
    repository,
    restored,
    review,
    settings_changed,
)

AnyHandler = Handler[Any, Any]  # the table holds handlers of different events
AnyRepoHandler = RepoHandler[Any, Any]

HANDLERS: tuple[AnyHandler, ...] = (
    issues.HANDLER,
    *issues_changed.HANDLERS,
    issue_comment.HANDLER,
    comment_edited.HANDLER,
    boxes_ticked.HANDLER,
    pull_request.HANDLER,
    *pull_request_changed.HANDLERS,
    review.HANDLER,
    line_comment.HANDLER,
    *checks.HANDLERS,
    *check_run.HANDLERS,
    *hints.HANDLERS,
    *repository.HANDLERS,
    push.HANDLER,
    given.HANDLER,
    *outcomes.HANDLERS,
    *restored.HANDLERS,
)

# What events mean to a repository as such, whether or not they mean something to its tracks.
REPO_HANDLERS: tuple[AnyRepoHandler, ...] = (
    installation.REPO_HANDLER,
    *repository.REPO_HANDLERS,
    *settings_changed.REPO_HANDLERS,
    *elsewhere.REPO_HANDLERS,
)
