"""Carries webhook deliveries to their receivers: signed, in order for each receiver, a few at once, each tried once."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import httpx

from forge.store import Row, Store

TIMEOUT = 10.0  # seconds, as GitHub gives a receiver
AT_ONCE = 4
SHOWN_RESPONSE = 64 * 1024  # bytes of a receiver's answer that are kept


@dataclass(frozen=True, slots=True)
class Target:
    """Where a delivery goes: the receiver's address and secret as they are now, and what owns the hook."""

    url: str
    secret: str
    hook_id: int
    owner_id: int
    owner_type: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one delivery, in the words of GitHub's list of deliveries."""

    status: str
    status_code: int
    headers: dict[str, str] | None = None
    body: str | None = None


class Courier:
    """Posts what is pending in `webhook_deliveries`; a delivery under way when the forge stops is posted again."""

    def __init__(self, db: Store, now: Callable[[], datetime], timeout: float = TIMEOUT) -> None:
        self._db = db
        self._now = now
        self._timeout = timeout
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._client: httpx.AsyncClient | None = None
        self._main: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to post; whatever a former process left pending goes first."""
        self._loop = asyncio.get_running_loop()
        self._client = httpx.AsyncClient(timeout=self._timeout, trust_env=False, follow_redirects=False)
        self._woken.set()
        self._main = asyncio.create_task(self._watch(), name="webhook courier")

    async def stop(self) -> None:
        """Stop at once; what is not answered yet stays pending."""
        tasks = [task for task in (self._main, *self._serving.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loop = None
        if self._client is not None:
            await self._client.aclose()

    def wake(self) -> None:
        """Say, from any thread, that something is pending."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    def hurry(self) -> None:
        """Post at once, from any thread, what a fault holds back."""
        self._db.run("UPDATE webhook_deliveries SET not_before = 0, held = 0 WHERE state = 'pending'")
        self.wake()

    def idle(self) -> bool:
        """Whether nothing waits to be delivered."""
        return self._db.one("SELECT 1 FROM webhook_deliveries WHERE state = 'pending' LIMIT 1") is None

    async def _watch(self) -> None:
        while True:
            self._woken.clear()
            soonest: float | None = None
            for row in self._db.all(
                "SELECT receiver, MIN(not_before) AS due FROM webhook_deliveries WHERE state = 'pending'"
                " GROUP BY receiver"
            ):
                if row["receiver"] in self._serving:
                    continue
                if row["due"] <= time.time():
                    self._serving[row["receiver"]] = asyncio.create_task(self._serve(row["receiver"]))
                else:
                    soonest = min(soonest or row["due"], row["due"])
            wait = None if soonest is None else max(0.0, soonest - time.time())
            try:
                async with asyncio.timeout(wait):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _serve(self, receiver: str) -> None:
        """Post what is due for one receiver, one after the other."""
        try:
            while True:
                row = self._db.one(
                    "SELECT * FROM webhook_deliveries WHERE state = 'pending' AND receiver = ? AND not_before <= ?"
                    " ORDER BY id LIMIT 1",
                    receiver,
                    time.time(),
                )
                if row is None:
                    return
                async with self._slots:
                    await self._deliver(row)
        finally:
            del self._serving[receiver]
            # Something may have become due between the last look and this line.
            self._woken.set()

    async def _deliver(self, row: Row) -> None:
        target = self._target(row)
        body = str(row["body"]).encode()
        headers = {} if target is None else request_headers(row, target, body)
        started = time.monotonic()
        outcome = await self._post(target, headers, body)
        with self._db.tx():
            self._db.run(
                "UPDATE webhook_deliveries SET state = 'done', url = ?, request_headers = ?, status = ?,"
                " status_code = ?, duration = ?, response_headers = ?, response_body = ?, delivered_at = ? WHERE id = ?",
                "" if target is None else target.url,
                json.dumps(headers),
                outcome.status,
                outcome.status_code,
                round(time.monotonic() - started, 2),
                None if outcome.headers is None else json.dumps(outcome.headers),
                outcome.body,
                self._now().strftime("%Y-%m-%dT%H:%M:%SZ"),
                row["id"],
            )
            # A held delivery was waiting to be overtaken.
            self._db.run(
                "UPDATE webhook_deliveries SET not_before = 0, held = 0"
                " WHERE state = 'pending' AND receiver = ? AND held = 1 AND id < ?",
                row["receiver"],
                row["id"],
            )

    async def _post(self, target: Target | None, headers: dict[str, str], body: bytes) -> Outcome:
        if target is None or self._client is None:
            return Outcome("no webhook URL", 0)
        try:
            # The client's own limit is for each read; a receiver that answers drop by drop must end, too.
            async with asyncio.timeout(self._timeout):
                answer = await self._client.post(target.url, content=body, headers=headers)
        except (httpx.TimeoutException, TimeoutError):
            return Outcome("timed out", 504)
        except httpx.HTTPError:
            return Outcome("failed to connect to host", 502)
        except httpx.InvalidURL:
            return Outcome("invalid URL", 502)
        text = answer.content[:SHOWN_RESPONSE].decode(errors="replace")
        status = "OK" if answer.is_success else f"Invalid HTTP Response: {answer.status_code}"
        return Outcome(status, answer.status_code, dict(answer.headers), text)

    def _target(self, row: Row) -> Target | None:
        """Return where `row` goes now, or None if its App or hook is gone or has no address."""
        if row["hook_id"] is not None:
            hook = self._db.one("SELECT * FROM hooks WHERE id = ?", row["hook_id"])
            if hook is None:
                return None
            return Target(hook["url"], hook["secret"] or "", hook["id"], hook["repo_id"], "repository")
        app = self._db.one("SELECT * FROM apps WHERE id = ?", row["app_id"])
        if app is None or not app["webhook_url"]:
            return None
        return Target(app["webhook_url"], app["webhook_secret"] or "", app["id"], app["id"], "integration")


def request_headers(row: Row, target: Target, body: bytes) -> dict[str, str]:
    """Return GitHub's headers for one delivery; without a secret there are no signatures."""
    headers = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/forge",
        "X-GitHub-Delivery": row["guid"],
        "X-GitHub-Event": row["event"],
        "X-GitHub-Hook-ID": str(target.hook_id),
        "X-GitHub-Hook-Installation-Target-ID": str(target.owner_id),
        "X-GitHub-Hook-Installation-Target-Type": target.owner_type,
    }
    if target.secret:
        key = target.secret.encode()
        headers["X-Hub-Signature"] = "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest()
        headers["X-Hub-Signature-256"] = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
    return headers
