"""Owns logging: events with ids as JSON lines or for a terminal, and no secret in them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TextIO

import structlog

from bot.live_secrets import LIVE, LiveSecrets

HIDDEN = "[hidden]"
# What GitHub's tokens, keys, codes and authorization headers look like, for those that were made while running.
_SHAPES = re.compile(
    r"(?<=/app-manifests/)[\w.~-]+|gh[pousr]_[A-Za-z0-9_]{16,}|gwh_[\w-]{16,}|github_pat_\w{20,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"
    r"|(?<=://)[^\s:/@]*:[^\s/@]+(?=@)|(?<=[Bb]earer )\S{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)


class Redactor:
    """Hides known secrets, and what looks like one, in everything that is logged."""

    def __init__(self, live: LiveSecrets) -> None:
        self._live = live
        self._version = -1
        self._known: re.Pattern[str] | None = None

    def text(self, value: str) -> str:
        """Give the text without secrets."""
        if self._version != self._live.version:
            self._learn()
        if self._known is not None:
            value = self._known.sub(HIDDEN, value)
        return _SHAPES.sub(HIDDEN, value)

    def _learn(self) -> None:
        self._version = self._live.version
        # The longest first, else a secret that begins another would leave the rest of it readable.
        known = sorted({secret for secret in self._live() if len(secret) >= 4}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def value(self, value: Any) -> Any:
        """Give the value, and all that is in it, without secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(each) for each in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))

    def __call__(self, logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Serve as a structlog processor; the library's own entries keep their objects."""
        return {key: value if key.startswith("_") else self.value(value) for key, value in event.items()}


def set_up(
    *,
    secrets: Iterable[str] = (),
    json: bool | None = None,
    level: str = "INFO",
    stream: TextIO | None = None,
) -> None:
    """Send our events and the libraries' records to one stream; JSON lines unless it is a terminal.

    `secrets` are never shown from here on; nor is any other that this process knows (bot/live_secrets.py).
    """
    LIVE.add(secrets)
    out = stream or sys.stderr
    as_json = (not out.isatty()) if json is None else json
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    _send(logging.StreamHandler(out), renderer, shared, level)


def _send(
    handler: logging.Handler,
    renderer: structlog.types.Processor,
    shared: list[structlog.types.Processor],
    level: str,
) -> None:
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                Redactor(LIVE),
                renderer,
            ],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level.upper())
    for noisy in ("httpx", "httpcore", "githubkit", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def bound(**ids: Any) -> AbstractContextManager[None]:
    """Bind ids (delivery, repo, track, task, run) to everything logged inside the block, tasks included."""
    return structlog.contextvars.bound_contextvars(**ids)
