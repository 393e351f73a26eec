"""Owns sending a delivery to a bot as GitHub sends it: the same headers, signed with the webhook secret."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import httpx

from bot.errors import UserError

TIMEOUT = 10.0  # seconds; GitHub waits no longer


@dataclass(frozen=True, slots=True)
class Sent:
    """What was answered."""

    id: str
    status: int
    answer: str

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


async def send(url: str, secret: bytes, event: str, id_: str, body: bytes) -> Sent:
    """POST a payload with `X-Hub-Signature-256`; UserError where nobody answers.

    Source: docs.github.com, "Webhook events and payloads", delivery headers.
    """
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "gitwright-send-webhook",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": id_,
        "X-Hub-Signature-256": f"sha256={signature}",
    }
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT) as client:
            answer = await client.post(url, content=body, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UserError(
            f"{url} gives no answer ({str(error) or type(error).__name__}); is the bot running?"
        ) from error
    return Sent(id_, answer.status_code, answer.text[:500])
