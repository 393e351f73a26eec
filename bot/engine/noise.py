"""Owns what of DBOS's log is let through."""

from __future__ import annotations

import logging


class _Noise(logging.Filter):
    """Drops DBOS's reports of interrupted and failed jobs; this package logs what matters of those, once."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return not text.startswith(
            ("Asyncio task cancelled", "Exception encountered in asynchronous workflow")
        )


def quieten_dbos() -> None:
    """Let DBOS's warnings go where all our logs go, without its own handler and without its noise."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        # With a handler there, DBOS adds none of its own, and what remains goes where all our logs go.
        logger.addHandler(logging.NullHandler())
        logger.addFilter(_Noise())
