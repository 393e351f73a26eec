"""Owns what webhook_ack.py compares: our own web application without a store, with a commit per request, with the bot's store."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from bot.engine.store import Delivery, Store
from bot.web.app import create_app
from bot.web.webhook import Webhook


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Nothing:
    async def add(self, _: Delivery) -> bool:
        """Forget the delivery."""
        return True


class CommitEach:
    """What is written down first: one INSERT and one COMMIT for each request, with SQLite's full durability."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE inbox (id TEXT PRIMARY KEY, event TEXT, headers TEXT, body BLOB, at TEXT)"
        )
        self._one = asyncio.Lock()

    async def add(self, delivery: Delivery) -> bool:
        row = (
            delivery.id,
            delivery.event,
            json.dumps(delivery.headers),
            delivery.body,
            str(delivery.received_at),
        )
        async with self._one:
            done = await asyncio.to_thread(
                self._db.execute, "INSERT OR IGNORE INTO inbox VALUES (?, ?, ?, ?, ?)", row
            )
        return done.rowcount == 1


async def _fine() -> dict[str, str]:
    return {}


def main(kind: str, port: int, secret: str, folder: Path) -> None:
    """Serve the application with a store of this kind: `nothing`, `commit`, or `store`, the bot's own, which nobody reads."""
    if kind == "store":
        add = asyncio.run(Store.open(f"sqlite:///{folder / 'store.sqlite'}", Now())).add_delivery
    else:
        add = (Nothing() if kind == "nothing" else CommitEach(folder / "baseline.sqlite")).add
    app = create_app(Webhook([secret.encode()], add, Now()), _fine)
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
