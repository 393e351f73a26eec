"""A gate before the emulator: it writes down every call of the bot and in whose name it was made.

The emulator takes any unknown token for its first user; the gate knows which tokens were issued and not revoked,
and checks the signature and the life of every JWT. It changes nothing of what passes.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

import jwt

from tests.emulate.bridge import Bridge

Caller = Literal["jwt", "token", "unknown", "nobody"]
JsonDict = dict[str, Any]

_MINT = re.compile(r"/app/installations/[0-9]+/access_tokens")
_GIT = re.compile(r"/beside(/[\w.-]+/[\w.-]+\.git/(info/refs|git-upload-pack|git-receive-pack))")
_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server"}
_LONGEST_JWT = 11 * 60  # seconds; GitHub takes ten minutes, and a minute for clocks that differ
_ANSWER_S = 30


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the bot; `may` are the permissions of its token."""

    method: str
    path: str
    caller: Caller
    status: int
    may: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


class Gate:
    """What passed so far; `key` is the App's public key. Repositories are at `/beside/OWNER/NAME.git`."""

    def __init__(self, emulator: str, app_id: int, key: str, bridge: Bridge) -> None:
        self._emulator = urlsplit(emulator).netloc
        self._app_id = app_id
        self._key = key
        self._bridge = bridge
        self._lock = threading.Lock()
        self._issued: dict[str, JsonDict] = {}
        self.calls: list[Call] = []

    @contextmanager
    def still(self) -> Iterator[None]:
        """Let nobody see git meanwhile: a merge is there for git when it is told."""
        with self._lock:
            yield

    @property
    def held(self) -> int:
        """How many tokens were issued and not revoked."""
        return len(self._issued)

    def caller(self, authorization: str | None) -> tuple[Caller, str]:
        """Say who this is, and give the secret that was shown."""
        scheme, _, secret = (authorization or "").partition(" ")
        if scheme.lower() == "basic":
            secret = base64.b64decode(secret).decode().partition(":")[2]
        if not secret:
            return "nobody", ""
        if secret in self._issued:
            return "token", secret
        try:
            claims = jwt.decode(
                secret,
                self._key,
                algorithms=["RS256"],
                issuer=str(self._app_id),
                options={"require": ["iat", "exp", "iss"]},
            )
        except jwt.InvalidTokenError:
            return "unknown", secret
        return ("jwt" if claims["exp"] - claims["iat"] <= _LONGEST_JWT else "unknown"), secret

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Pass a call on, or to git, and write it down."""
        path, _, query = target.partition("?")
        caller, secret = self.caller(headers.get("authorization"))
        may = tuple(sorted(self._issued.get(secret, {}).get("permissions", {}).items()))
        if (git := _GIT.fullmatch(path)) is not None:
            status, sent, content = self._git(method, git[1], query, headers, body, secret)
        else:
            status, sent, content = self._forward(method, target, headers, body)
        if path == "/installation/token" and method == "DELETE":
            self._issued.pop(secret, None)  # the emulator has no such route and lets the token live
        if _MINT.fullmatch(path) and status == 201:
            made = json.loads(content)
            self._issued[made["token"]] = made
        with self._lock:
            self.calls.append(Call(method, path, caller, status, may, body))
        return status, sent, content

    def _forward(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._emulator, timeout=_ANSWER_S)
        try:
            kept = {name: value for name, value in headers.items() if name not in _HOP | {"host"}}
            connection.request(method, target, body or None, kept)
            answer = connection.getresponse()
            content = answer.read()
            sent = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            return answer.status, sent, content
        finally:
            connection.close()

    def _git(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes, secret: str
    ) -> tuple[int, dict[str, str], bytes]:
        pushes = path.endswith("git-receive-pack") or "git-receive-pack" in query
        level = self._issued.get(secret, {}).get("permissions", {}).get("contents")
        if level != "write" and (pushes or level != "read"):
            return 401, {"WWW-Authenticate": 'Basic realm="gate"'}, b""
        with self._lock:
            head, _, content = self._bridge.serve(method, path, query, headers, body).partition(b"\r\n\r\n")
            if path.endswith("git-receive-pack"):
                self._bridge.copy(secret)
        sent = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        return int(sent.pop("Status", "200").split()[0]), sent, content


@contextmanager
def opened(gate: Gate) -> Iterator[str]:
    """Open the gate on a free port of loopback; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(gate))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _handler(gate: Gate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _ANSWER_S

        def setup(self) -> None:
            super().setup()
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, sent, content = gate.answer(self.command, self.path, headers, self._body())
            self.send_response(status)
            for name, value in sent.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - names that the library looks for

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    return Handler
