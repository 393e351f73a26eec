"""What the bot reacts to: one file per event of the forge, and the table of all of them."""

from __future__ import annotations

from typing import Any

from bot.handler import Handler
from handlers import (
    checks,
    given,
    issue_comment,
    issues,
    issues_changed,
    outcomes,
    pull_request,
    pull_request_changed,
    push,
    restored,
    review,
)

AnyHandler = Handler[Any, Any]  # the table holds handlers of different events

HANDLERS: tuple[AnyHandler, ...] = (
    issues.HANDLER,
    *issues_changed.HANDLERS,
    issue_comment.HANDLER,
    pull_request.HANDLER,
    *pull_request_changed.HANDLERS,
    review.HANDLER,
    *checks.HANDLERS,
    push.HANDLER,
    given.HANDLER,
    *outcomes.HANDLERS,
    *restored.HANDLERS,
)
