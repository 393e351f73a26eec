"""`python -m forge`: serves one data folder, and says on standard output where and with which token."""

import argparse
import asyncio
import json
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from forge.app import create_app


def main() -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m forge", description="An embedded GitHub-compatible forge."
    )
    parser.add_argument("--data", type=Path, default=Path("forge-data"), help="folder of the forge (created)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default: any free port")
    wanted = parser.parse_args()
    return asyncio.run(_serve(wanted.data, wanted.host, wanted.port))


async def _serve(data: Path, host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on, and every answer waits 40 ms for an acknowledgment.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            print(f"cannot listen on {host}:{port}: {error.strerror}", file=sys.stderr)
            return 1
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{listener.getsockname()[1]}"
        app = create_app(data, url)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=5
        )
        server = _Server(config)
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, server.end)
        server.ready = json.dumps({"url": url, "token": app.state.token})
        await server.serve([listener])
        return 0 if server.started else 1


class _Server(uvicorn.Server):
    """Announces itself once it listens, and leaves the signals to us: uvicorn would raise them again at the end."""

    ready = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self.ready, flush=True)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: `_serve` installed ours."""
        yield

    def end(self) -> None:
        """Stops serving; what is under way may finish."""
        self.should_exit = True


if __name__ == "__main__":
    sys.exit(main())
