"""Owns connections: one page of a list by `first`/`after` or `last`/`before`, with cursors."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from forge.graphql.context import Fields, RefusedError

T = TypeVar("T")
LARGEST = 100


def connection(name: str, items: Sequence[T], args: Fields, show: Callable[[T], Any]) -> Fields:
    """A page of `items`; only what is asked for is shown, and asking for nodes takes a bound, as on GitHub."""
    start = _position(args["after"]) + 1 if args.get("after") else 0
    end = min(_position(args["before"]), len(items)) if args.get("before") else len(items)
    first, last = args.get("first"), args.get("last")
    if first is not None:
        end = min(end, start + max(first, 0))
    if last is not None:
        start = max(start, end - max(last, 0))
    shown = range(min(start, len(items)), max(min(start, len(items)), end))

    def nodes(*_: Any) -> list[Any]:
        _check(name, first, last)
        return [show(items[index]) for index in shown]

    def edges(*_: Any) -> list[Fields]:
        _check(name, first, last)
        return [{"cursor": _cursor(index), "node": show(items[index])} for index in shown]

    return {
        "totalCount": len(items),
        "nodes": nodes,
        "edges": edges,
        "pageInfo": {
            "hasNextPage": shown.stop < len(items),
            "hasPreviousPage": shown.start > 0 and len(items) > 0,
            "startCursor": _cursor(shown.start) if shown else None,
            "endCursor": _cursor(shown.stop - 1) if shown else None,
        },
    }


def _check(name: str, first: int | None, last: int | None) -> None:
    if first is None and last is None:
        sentence = f"You must provide a `first` or `last` value to properly paginate the `{name}` connection."
        raise RefusedError("MISSING_PAGINATION_BOUNDARIES", sentence)
    for word, asked in (("first", first), ("last", last)):
        if asked is not None and asked > LARGEST:
            sentence = f"Requesting {asked} records on the `{name}` connection exceeds the `{word}` limit of {LARGEST} records."
            raise RefusedError("EXCESSIVE_PAGINATION", sentence)


def _cursor(index: int) -> str:
    return base64.b64encode(f"cursor:{index}".encode()).decode()


def _position(cursor: str) -> int:
    try:
        word, _, number = base64.b64decode(cursor.encode(), validate=True).decode().partition(":")
        if word == "cursor":
            return int(number)
    except (binascii.Error, UnicodeError, ValueError):
        pass
    raise RefusedError("INVALID_CURSOR_ARGUMENTS", f"`{cursor}` does not appear to be a valid cursor.")
