"""A small real HTTP proxy on loopback: it forwards, tunnels by CONNECT, asks for a password, and keeps what it was asked."""

from __future__ import annotations

import base64
import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

USER, PASSWORD = "hugo", "p@ss-word"
_GIVEN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
_OWN = {"proxy-authorization", "proxy-connection", "connection"}


@dataclass
class Proxy:
    """Leads every name to one port of this machine, so that nobody but the proxy knows where the name is."""

    to: int
    port: int = 0
    refuse: int = 0  # the status with which it refuses everything, while it is set
    lines: list[str] = field(default_factory=list)  # of requests that were let through
    headers: list[dict[str, str]] = field(default_factory=list)  # of all that came in, names in lower case

    @property
    def url(self) -> str:
        """Its address, as HTTPS_PROXY has it."""
        return f"http://{USER}:p%40ss-word@127.0.0.1:{self.port}"

    @property
    def open_url(self) -> str:
        """Its address as it may be shown."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running_proxy(to: int) -> Iterator[Proxy]:
    """Have a proxy while the block lasts."""
    proxy = Proxy(to)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    proxy.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_CONNECT(self) -> None:
            if self._may():
                with socket.create_connection(("127.0.0.1", proxy.to), 60) as there:
                    self.send_response(200)
                    self.end_headers()
                    back = threading.Thread(target=_pump, args=(there, self.connection))
                    back.start()
                    _pump(self.connection, there)
                    back.join(60)
                self.close_connection = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not self._may():
                return
            parts = urlsplit(self.path)
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            sent = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
            there = http.client.HTTPConnection("127.0.0.1", proxy.to, timeout=60)
            there.request(self.command, target, body, sent)
            answer = there.getresponse()
            data = answer.read()
            there.close()
            self.send_response_only(answer.status)  # the forge has said who it is, and when
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815 - the name that the library looks for

        def _may(self) -> bool:
            proxy.headers.append({name.lower(): value for name, value in self.headers.items()})
            known = self.headers.get("Proxy-Authorization") == _GIVEN
            if known and not proxy.refuse:
                proxy.lines.append(f"{self.command} {self.path}")
                return True
            self.send_response(proxy.refuse or 407)
            if not known:
                self.send_header("Proxy-Authenticate", 'Basic realm="x"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    return Handler


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass bytes on until one side ends, then end both, so that the other direction ends as well."""
    source.settimeout(60)
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
