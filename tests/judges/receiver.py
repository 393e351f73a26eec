"""A receiver of webhooks on a real socket: keeps every delivery as it came, byte for byte."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery: headers with lower-case names, and the body that the signature is about."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> str:
        return self.headers["x-github-event"]


@dataclass(slots=True)
class Receiver:
    """What has arrived at `url` so far; answers each delivery with `status`."""

    url: str
    deliveries: list[Delivery] = field(default_factory=list)
    status: int = 202

    def wait(self, wanted: Callable[[Delivery], bool], timeout: float = 60) -> Delivery:
        """The first delivery that is `wanted`; AssertionError if none comes within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            for delivery in list(self.deliveries):
                if wanted(delivery):
                    return delivery
            came = [delivery.event for delivery in self.deliveries]
            assert time.monotonic() < deadline, f"not delivered within {timeout} s; came: {came}"
            time.sleep(0.01)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listen on a free port of 127.0.0.1 until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            receiver.deliveries.append(Delivery({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(receiver.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test says what it saw."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/webhook")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join(60)
        server.server_close()
