"""Lists webhook deliveries as GitHub shows them, page by page by a cursor."""

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from forge.errors import GitHubError, not_found
from forge.payloads import JsonDict
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

PER_PAGE = 30
MOST_PER_PAGE = 100


def page(
    forge: "Forge", owner: tuple[str, int], cursor: str | None, per_page: int, status: str | None
) -> tuple[list[Row], str | None]:
    """Return finished deliveries of an App or hook, newest first, and the cursor of the next page.

    `owner` is ("app_id" | "hook_id", id); `status` is success, failure or None for both. 422 for a bad cursor.
    """
    column, owner_id = owner
    count = max(1, min(per_page, MOST_PER_PAGE))
    wanted = {
        "success": " AND status_code BETWEEN 200 AND 399",
        "failure": " AND status_code NOT BETWEEN 200 AND 399",
    }
    rows = forge.db.all(
        f"SELECT * FROM webhook_deliveries WHERE {column} = ? AND state = 'done' AND id < ?"  # noqa: S608 - two names
        f"{wanted.get(status or '', '')} ORDER BY id DESC LIMIT ?",
        owner_id,
        _decode(cursor),
        count + 1,
    )
    more = rows[count:]
    return rows[:count], _encode(rows[count - 1]["id"]) if more else None


def find(forge: "Forge", owner: tuple[str, int], delivery_id: int) -> Row:
    """Return one finished delivery of an App or hook; 404 otherwise."""
    row = forge.db.one(
        f"SELECT * FROM webhook_deliveries WHERE {owner[0]} = ? AND id = ? AND state = 'done'",  # noqa: S608
        owner[1],
        delivery_id,
    )
    if row is None:
        raise not_found()
    return row


def link(url: str, cursor: str | None, per_page: int, status: str | None) -> dict[str, str]:
    """Return the `Link` header of a page, if there is another one."""
    if cursor is None:
        return {}
    query = {"per_page": str(per_page), "cursor": cursor} | ({} if status is None else {"status": status})
    return {"Link": f'<{url}?{urlencode(query)}>; rel="next"'}


def item(row: Row) -> JsonDict:
    """Return a delivery as it stands in the list."""
    return {
        "id": row["id"],
        "guid": row["guid"],
        "delivered_at": row["delivered_at"],
        "redelivery": bool(row["redelivery"]),
        "duration": row["duration"],
        "status": row["status"],
        "status_code": row["status_code"],
        "event": row["event"],
        "action": row["action"],
        "installation_id": row["installation_id"],
        "repository_id": row["repo_id"],
        "throttled_at": None,
    }


def detail(row: Row) -> JsonDict:
    """Return a delivery with what was sent and what the receiver answered."""
    headers = row["response_headers"]
    return {
        **item(row),
        "url": row["url"] or "",
        "request": {"headers": json.loads(row["request_headers"]), "payload": json.loads(row["body"])},
        "response": {
            "headers": None if headers is None else json.loads(headers),
            "payload": row["response_body"],
        },
    }


def _encode(delivery_id: int) -> str:
    return base64.urlsafe_b64encode(f"v1_{delivery_id}".encode()).decode()


def _decode(cursor: str | None) -> int:
    """Return the id that a page ends before; without a cursor, one beyond every id."""
    if not cursor:
        return 2**62
    try:
        version, _, number = base64.urlsafe_b64decode(cursor.encode()).decode().partition("_")
        if version != "v1":
            raise ValueError(version)
        return int(number)
    except ValueError as error:
        raise GitHubError(422, "Invalid cursor") from error
