"""The outermost layer: who calls, which API prefix, rate limits, one log line per call, and what every answer carries."""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forge import renamed, tokens
from forge.auth import Actor
from forge.errors import GitHubError

if TYPE_CHECKING:
    from forge.state import Forge

Surface = Literal["rest", "git", "test", "page"]

PREFIX = "/api/v3"
GRAPHQL = "/graphql"
GIT = re.compile(r"^/[\w.-]+/[\w.-]+\.git/")
REST = re.compile(
    r"^/(repos|repositories|users?|app|apps|app-manifests|installations?|rate_limit|meta|graphql|zen|versions)(/|$)"
)
CONTENT = re.compile(
    r"^/repos/[^/]+/[^/]+/(issues(/\d+/comments)?|pulls(/\d+/(reviews|comments))?|commits/[^/]+/comments)$"
)
# Pages of Apps live beside the API's `/apps/{slug}`.
PAGE = re.compile(r"^/apps/[^/]+/installations/new$")
WINDOW = 3600
VERSIONS = ("2022-11-28", "2026-03-10")  # of the API
NO_ANSWER = 500


@dataclass(slots=True)
class _Window:
    reset: float
    used: int = 0


@dataclass(slots=True)
class Limits:
    """Counts calls in windows of an hour: those of a person, of an App, or of one installation, whatever token they use."""

    limit: int = 5000
    _windows: dict[str, _Window] = field(default_factory=dict)

    def window(self, actor: Actor, resource: str = "core") -> _Window:
        """The running window of a caller; GraphQL is counted by itself."""
        of = actor.user if actor.installation is None else actor.installation
        who = f"{actor.kind}-{of['id']}"
        key = f"{resource} {who}"
        window, now = self._windows.get(key), time.time()
        if window is None or window.reset <= now:
            window = self._windows[key] = _Window(now + WINDOW)
        return window

    def leave(self, remaining: int, seconds: float) -> None:
        """Set what everybody who called so far has left, for so long."""
        for window in self._windows.values():
            window.used = self.limit - remaining
            window.reset = time.time() + seconds

    def charge(self, actor: Actor, points: int, nodes: int) -> dict[str, Any] | None:
        """Count the points of a GraphQL document and give its `rateLimit`; None where there are none left."""
        window = self.window(actor, "graphql")
        if window.used + points > self.limit:
            window.used = self.limit
            return None
        window.used += points
        reset = datetime.fromtimestamp(window.reset, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        left = self.limit - window.used
        shown = {"cost": points, "limit": self.limit, "nodeCount": nodes, "remaining": left}
        return {**shown, "resetAt": reset, "used": window.used}

    def headers(self, window: _Window, resource: str = "core") -> dict[str, str]:
        """The `X-RateLimit-*` headers of an answer."""
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(max(0, self.limit - window.used)),
            "x-ratelimit-used": str(window.used),
            "x-ratelimit-reset": str(int(window.reset)),
            "x-ratelimit-resource": resource,
        }


class RequestLog:
    """`requests.jsonl`: one line for every REST and git call, written when its answer has started."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        self._file: TextIO | None = None

    def write(self, entry: dict[str, Any]) -> None:
        """Appends one call."""
        with self._lock:
            if self._file is None:
                self._file = self._path.open("a", encoding="utf-8", buffering=1)
            self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Closes the file; a later call opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def surface(path: str, prefixed: bool) -> Surface:
    """Which part of the forge a path belongs to."""
    if path.startswith("/_test/"):
        return "test"
    if prefixed:
        return "rest"
    if GIT.match(path):
        return "git"
    return "rest" if REST.match(path) and not PAGE.match(path) else "page"


class Entry:
    """ASGI middleware; leaves the actor in `scope["forge.actor"]` and the surface in `scope["forge.surface"]`."""

    def __init__(
        self,
        app: ASGIApp,
        forge: "Forge",
        log: RequestLog,
        limits: Limits,
        versions: Sequence[str] = VERSIONS,
    ) -> None:
        self._versions = versions
        self._app = app
        self._forge = forge
        self._log = log
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, prefixed = scope["path"], False
        if path == PREFIX or path.startswith(PREFIX + "/"):
            path, prefixed = path[len(PREFIX) :] or "/", True
        elif path == "/api/graphql":
            path, prefixed = GRAPHQL, True
        path = renamed.by_id(self._forge, path)
        part = surface(path, prefixed)
        scope = {
            **scope,
            "path": path,
            "raw_path": path.encode(),
            "forge.surface": part,
            "forge.prefix": PREFIX if prefixed else "",
            "forge.log": {},
        }
        if part == "page":
            scope["forge.actor"] = tokens.anonymous(self._forge)
            await self._app(scope, receive, send)
            return
        await self._serve(scope, receive, send, part)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, part: Surface) -> None:
        headers = dict(scope["headers"])
        refusal: GitHubError | None = None
        try:
            actor = tokens.authenticate(self._forge, headers.get(b"authorization", b"").decode("latin-1"))
        except GitHubError as error:
            actor, refusal = tokens.anonymous(self._forge), error
        scope["forge.actor"] = actor
        scope["forge.refusal"] = refusal
        note = _once(lambda status: self._note(scope, actor, status))
        answer = self._dress(scope, actor, send, note) if part != "test" else send
        try:
            version = headers.get(b"x-github-api-version", b"2022-11-28").decode("latin-1")
            if part == "rest" and version not in self._versions:
                sentence = f"The API version {version} of the header X-GitHub-Api-Version is not supported."
                await _refuse(GitHubError(400, sentence), scope, receive, answer)
            elif refusal is not None and part != "git":
                await _refuse(refusal, scope, receive, answer)
            elif part == "rest" and self._exhausted(actor, scope["path"]):
                limited = GitHubError(403, "API rate limit exceeded for this token.")
                await _refuse(limited, scope, receive, answer)
            else:
                if part != "git":
                    scope["headers"] = _as_json(scope["headers"])
                await self._app(scope, receive, answer)
        finally:
            note(NO_ANSWER)  # a call that died is in the log as well

    def _exhausted(self, actor: Actor, path: str) -> bool:
        """Counts one call; GitHub does not count questions for the limit itself, and GraphQL by its points."""
        if path in ("/rate_limit", GRAPHQL):
            return False
        window = self._limits.window(actor)
        window.used += 1
        return window.used > self._limits.limit

    def _dress(self, scope: Scope, actor: Actor, send: Send, note: Callable[[int], None]) -> Send:
        """Adds the headers of every answer, and notes its status as soon as that is known."""
        extra = {"x-github-request-id": uuid.uuid4().hex[:20].upper()}
        if scope["forge.surface"] == "rest":
            version = dict(scope["headers"]).get(b"x-github-api-version", b"2022-11-28").decode("latin-1")
            extra |= {
                "x-github-api-version-selected": version,
                "x-github-media-type": "github.v3; format=json",
                "access-control-expose-headers": "ETag, Link, X-RateLimit-Remaining, X-GitHub-Request-Id",
            }

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                note(message["status"])
                limited = scope["forge.surface"] == "rest"
                if limited and message["status"] == 304:
                    self._limits.window(actor).used -= 1  # what did not change is free
                resource = "graphql" if scope["path"] == GRAPHQL else "core"
                more = self._limits.headers(self._limits.window(actor, resource), resource) if limited else {}
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode("latin-1", "replace"))
                        for name, value in (extra | more).items()
                        if name.encode() not in present
                    ),
                ]
            await send(message)

        return dressed

    def _note(self, scope: Scope, actor: Actor, status: int) -> None:
        if scope["forge.surface"] != "test":
            self._log.write(self._line(scope, actor, status))

    def _line(self, scope: Scope, actor: Actor, status: int) -> dict[str, Any]:
        method, path = scope["method"], scope["path"]
        return {
            "ts": self._forge.clock.now().isoformat(timespec="milliseconds"),
            "method": method,
            "path": path,
            "query": scope["query_string"].decode("latin-1"),
            "status": status,
            "actor": None if actor.kind == "anonymous" else actor.user["login"],
            "actor_type": actor.kind,
            "token_id": actor.token_id,
            "content_creating": method == "POST" and CONTENT.match(path) is not None,
            **scope["forge.log"],
        }


def _once(call: Callable[[int], None]) -> Callable[[int], None]:
    """A function that calls at its first use only."""
    done = False

    def first(status: int) -> None:
        nonlocal done
        if not done:
            done = True
            call(status)

    return first


def _as_json(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """GitHub reads every body as JSON, whatever type the client names (`curl -d` says it is a form)."""
    kept = [pair for pair in headers if pair[0].lower() != b"content-type"]
    return [*kept, (b"content-type", b"application/json")]


async def _refuse(error: GitHubError, scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse(error.body(), error.status, error.headers)(scope, receive, send)
