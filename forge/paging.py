"""Lists in pages: `per_page`, `page`, and the `Link` header that leads to the other pages."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, Query, Request
from starlette.responses import JSONResponse

from forge.store import Store, Value

T = TypeVar("T")
LARGEST = 100


class Page:
    """The page that a request asks for."""

    def __init__(
        self,
        request: Request,
        per_page: Annotated[int, Query(ge=0)] = 30,
        page: Annotated[int, Query(ge=0)] = 1,
    ) -> None:
        self._request = request
        self.size = min(per_page, LARGEST) or 30
        self.number = max(page, 1)
        self.offset = (self.number - 1) * self.size

    def answer(self, items: Sequence[T], show: Callable[[T], Any], wrap: str | None = None) -> JSONResponse:
        """One page of a list at hand; `wrap` names the key where GitHub wraps the list with its `total_count`."""
        return self.counted(items[self.offset : self.offset + self.size], len(items), show, wrap)

    def counted(
        self, items: Sequence[T], total: int, show: Callable[[T], Any], wrap: str | None = None
    ) -> JSONResponse:
        """One page that is already cut out of `total` items."""
        shown: Any = [show(item) for item in items]
        body = shown if wrap is None else {"total_count": total, wrap: shown}
        link = self._link(total)
        return JSONResponse(body, headers={"link": link} if link else None)

    def query(
        self, db: Store, sql: str, *args: Value, show: Callable[[Any], Any], wrap: str | None = None
    ) -> JSONResponse:
        """One page of what a SELECT finds; only that page's rows are read."""
        total = db.count(f"SELECT count(*) FROM ({sql})", *args)  # noqa: S608 - our own statement
        rows = db.all(f"{sql} LIMIT ? OFFSET ?", *args, self.size, self.offset)
        return self.counted(rows, total, show, wrap)

    def _link(self, total: int) -> str:
        last = max(1, -(-total // self.size))
        targets = []
        if self.number > 1:
            targets += [(min(self.number - 1, last), "prev"), (1, "first")]
        if self.number < last:
            targets += [(self.number + 1, "next"), (last, "last")]
        return ", ".join(f'<{self._url(number)}>; rel="{name}"' for number, name in targets)

    def _url(self, number: int) -> str:
        forge, scope = self._request.app.state.forge, self._request.scope
        query = [pair for pair in parse_qsl(scope["query_string"].decode("latin-1")) if pair[0] != "page"]
        return f"{forge.url}{scope['forge.prefix']}{scope['path']}?{urlencode([*query, ('page', number)])}"


Paged = Annotated[Page, Depends(Page)]
