"""What the bot reacts to: one file per event of the forge, and the table of all of them."""

from __future__ import annotations

from typing import Any

from bot.handler import Handler
from handlers import checks, given, issue_comment, issues, outcomes, pull_request, push

AnyHandler = Handler[Any, Any]  # the table holds handlers of different events

HANDLERS: tuple[AnyHandler, ...] = (
    issues.HANDLER,
    issue_comment.HANDLER,
    pull_request.HANDLER,
    checks.COMPLETED,
    checks.DUE,
    push.HANDLER,
    given.HANDLER,
    *outcomes.HANDLERS,
)
