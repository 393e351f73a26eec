"""Where the judge sits: around an ASGI application, or around an HTTP client's transport."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx

from tests.judges.openapi import Judge

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_PREFIX = "/api/v3"
_NOT_REST = ("/_test", "/graphql", "/api/graphql")
_JSON = "application/json"


class JudgeMiddleware:
    """Judges every REST call that passes through `app`; git, pages and `/_test` pass unjudged.

    Nothing is changed or delayed: what goes by is copied, and judged when the answer is complete. An answer
    that is cut off is not judged.
    """

    def __init__(self, app: App, judge: Judge) -> None:
        self._app = app
        self._judge = judge

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _may_be_rest(_path(scope)):
            await self._app(scope, receive, send)
            return
        request, answer = bytearray(), bytearray()
        start: Message = {}

        async def copy_in() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                request.extend(message.get("body", b""))
            return message

        async def copy_out(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                answer.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    self._complete(scope, bytes(request), start, bytes(answer))
            await send(message)

        await self._app(scope, copy_in, copy_out)

    def _complete(self, scope: Message, request: bytes, start: Message, answer: bytes) -> None:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]
        }
        call = (scope["method"], _path(scope), scope.get("query_string", b"").decode("latin-1"))
        judge_call(self._judge, call, request, start["status"], headers, answer)


class JudgeTransport(httpx.AsyncBaseTransport):
    """An httpx transport that judges each call through `inner`: for a forge that runs as another process."""

    def __init__(self, judge: Judge, inner: httpx.AsyncBaseTransport | None = None) -> None:
        self._judge = judge
        self._inner = inner or httpx.AsyncHTTPTransport(verify=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        response = await self._inner.handle_async_request(request)
        await response.aread()
        _judge_exchange(self._judge, request, body, response)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class SyncJudgeTransport(httpx.BaseTransport):
    """`JudgeTransport` for the synchronous client."""

    def __init__(self, judge: Judge, inner: httpx.BaseTransport | None = None) -> None:
        self._judge = judge
        self._inner = inner or httpx.HTTPTransport(verify=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        response = self._inner.handle_request(request)
        response.read()
        _judge_exchange(self._judge, request, body, response)
        return response

    def close(self) -> None:
        self._inner.close()


def judge_call(
    judge: Judge,
    call: tuple[str, str, str],
    request: bytes,
    status: int,
    headers: dict[str, str],
    answer: bytes,
) -> None:
    """Judge one finished call (method, percent-encoded path, query) if it is a REST call.

    The request is judged only if it was accepted: a refused one may be as wrong as the test wants.
    """
    method, path, query = call
    path = path.removeprefix(_PREFIX)
    if method in ("HEAD", "OPTIONS") or not _may_be_rest(path):
        return
    known = judge.operation(method, path) is not None
    if not known and not headers.get("content-type", "").startswith(_JSON):
        return  # a page, or git's own protocol
    if status < 300 and known:
        judge.check_request(method, path, query, request)
    judge.check_response(method, path, status, headers, answer)


def _judge_exchange(judge: Judge, request: httpx.Request, body: bytes, response: httpx.Response) -> None:
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    headers = {name.lower(): value for name, value in response.headers.items()}
    judge_call(judge, (request.method, path, query), body, response.status_code, headers, response.content)


def _path(scope: Message) -> str:
    """The path as the client wrote it: `%2F` in a label's name must not look like a slash."""
    raw = scope.get("raw_path")
    return raw.decode("ascii").partition("?")[0] if raw else str(scope["path"])


def _may_be_rest(path: str) -> bool:
    return not path.startswith(_NOT_REST) and ".git/" not in path
