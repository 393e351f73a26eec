"""What is outside in tests: servers with TLS on loopback that keep what they were asked, and a resolver that lies."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.tls import served_as

PUBLIC = "93.184.215.14"  # whose, does not matter: nobody is connected to it


@dataclass
class Server:
    """A site: `pages` by path, `seen` the requests with their bodies and headers."""

    host: str
    pages: dict[str, bytes] = field(default_factory=dict)
    port: int = 0
    authority: Path = Path()
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


@contextmanager
def serving(host: str, folder: Path, *, plain: bool = False, **pages: bytes) -> Iterator[Server]:
    """Lend a server that is `host` to whoever trusts its authority; it answers every method."""
    server = Server(host, {"/": b"hello", **{f"/{name}": data for name, data in pages.items()}})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 120  # for a client's own bound of a minute to be the first

        def log_message(self, *_: object) -> None: ...

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            server.seen.append((self.command, self.path, body))
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            found = server.pages.get(self.path)
            data = found if found is not None else b"nothing"
            self.send_response(200 if found is not None else 404)
            kind = "text/html" if self.path.endswith("/") else "application/octet-stream"
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self._answer
            raise AttributeError(name)

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None: ...

    http = Quiet(("127.0.0.1", 0), Handler)
    if not plain:
        context, server.authority = served_as(host, folder)
        http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    server.port = http.server_port
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join(10)


@dataclass
class Names:
    """A resolver: the answers of each host, one after the other, the last one for good."""

    answers: dict[str, list[tuple[str, ...]]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        known = self.answers.get(host)
        if not known:
            raise OSError("no such host")
        return known.pop(0) if len(known) > 1 else known[0]


@dataclass
class Dial:
    """Connects to the server that stands for the world, and keeps to which address it should have been."""

    port: int
    to: list[tuple[str, int, tuple[str, ...]]] = field(default_factory=list)

    async def __call__(
        self, host: str, port: int, addresses: Sequence[str], proxy: str | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.to.append((host, port, tuple(addresses)))
        return await asyncio.open_connection("127.0.0.1", self.port)
