"""Owns the port: taken before anything starts, for so many connections, each of which has to ask for something soon."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from bot.errors import UserError

PATIENCE = 15.0  # seconds for a connection's next request to arrive whole; a webhook's body has less
_MOST = 2_000  # connections
_QUEUE = 2_048  # callers that the machine keeps waiting; its own limit may be lower
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def most_connections() -> int:
    """Give how many connections are served at once: half of the files that this process may open, for the rest is needed."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, soft // 2)


def config(app: ASGIApp, host: str, port: int) -> uvicorn.Config:
    """Give how `app` is served on what `bound` took."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Hurried,
        limit_concurrency=most_connections(),
        backlog=_at_once(),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
        lifespan="off",  # the bot runs around its server, and an early signal ends that one quietly
    )


def _at_once() -> int:
    # asyncio takes so many connections in one go, and each has a file before it can be refused.
    return max(1, most_connections() // 8)


def queue(sockets: Iterable[socket.socket]) -> None:
    """Let callers wait until they are taken: asyncio makes the queue as short as what it takes in one go."""
    for each in sockets:
        each.listen(_QUEUE)


def bound(host: str, port: int) -> list[socket.socket]:
    """Listen on every address that `host` stands for; port 0 takes a free one. A UserError says what to do instead."""
    taken: list[socket.socket] = []
    missing: OSError | None = None
    try:
        with refusals_told(host, port):
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, _, protocol, _, address in dict.fromkeys(found):
                same = taken[0].getsockname()[1] if taken else port
                try:
                    taken.append(_one(family, protocol, (address[0], same, *address[2:])))
                except OSError as error:
                    if error.errno not in _NOT_HERE:
                        raise
                    missing = error  # `localhost` names an address of IPv6 where there is no IPv6, too
            if missing is not None and not taken:
                raise missing
    except UserError:
        for each in taken:
            each.close()
        raise
    return taken


def _one(family: int, protocol: int, address: tuple[object, ...]) -> socket.socket:
    # With the protocol named asyncio switches off Nagle's algorithm, which costs 40 ms an answer.
    made = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(_QUEUE)  # bound alone keeps nobody else from binding it too
    except OSError:
        made.close()
        raise
    return made


@contextmanager
def refusals_told(host: str, port: int) -> Iterator[None]:
    """Turn the machine's refusal to let us listen into a UserError with the next step."""
    try:
        yield
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            step = "Stop what listens there, or set GITWRIGHT_PORT to a free port."
            raise UserError(f"Port {port} on {host} is in use. {step}") from error
        said = getattr(error, "strerror", None) or str(error)
        step = (
            "Set GITWRIGHT_HOST to an address of this machine and GITWRIGHT_PORT to a port that you may use."
        )
        raise UserError(f"Nothing can listen on {host}, port {port}: {said}. {step}") from error


class Hurried(H11Protocol):
    """Ends a connection on which no whole request came for too long; what the bot itself takes long for is waited for.

    uvicorn waits for ever for what follows the first byte: a few hundred idle strangers would keep everybody out.
    """

    patience = PATIENCE
    _heard: float
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch; end at once what is above the limit, for uvicorn refuses nobody before a head has come."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency:
            transport.abort()
            return
        self._heard = self.loop.time()
        self._watch = self.loop.call_later(self.patience, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """End watching."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Give the next request the same time."""
        self._heard = self.loop.time()
        super().on_response_complete()

    def _look(self) -> None:
        at_work = self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
        left = self.patience - (self.loop.time() - self._heard)
        if at_work or left > 0:
            self._watch = self.loop.call_later(self.patience if at_work else left, self._look)
        else:
            self.transport.abort()
