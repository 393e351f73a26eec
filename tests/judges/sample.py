"""A tiny application that answers like GitHub, or not: what the judges' own tests judge."""

import json
from typing import Any

from tests.judges.wrappers import Message, Receive, Send

JsonDict = dict[str, Any]

LABEL: JsonDict = {
    "id": 1,
    "node_id": "LA_1",
    "url": "https://forge.test/repos/o/r/labels/bug",
    "name": "bug",
    "description": None,
    "color": "d73a4a",
    "default": True,
}


class Answers:
    """An ASGI application that gives the same answer to every call."""

    def __init__(self, body: object, status: int = 200, content_type: str = "application/json") -> None:
        self._status = status
        self._headers = [(b"content-type", content_type.encode())]
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        half = len(self._body) // 2
        await send({"type": "http.response.body", "body": self._body[:half], "more_body": True})
        await send({"type": "http.response.body", "body": self._body[half:]})
