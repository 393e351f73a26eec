"""Owns the way from a box to hosts outside: exact hosts, looked up once, never into private networks, with an end to all.

A host that a repository lists is reached by CONNECT, and its TLS is passed through, once the client's first message names
that very host. A registry's TLS is ended here by an authority of this box alone, so that it can only be read from.
A list of hosts is no wall against taking data out: whoever may ask a host may tell it something.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import h11
import structlog

from bot.gateway import outward
from bot.gateway.addresses import AddressError, Resolve, addresses, resolve
from bot.gateway.certificates import Authority, bundle
from bot.gateway.exchange import Exchange, RefusedError, write
from bot.gateway.fetching import Fetching
from bot.gateway.hello import HelloError, read_hello
from bot.gateway.listening import CHUNK, EGRESS_PORT, door
from bot.gateway.registries import HOST, PUBLIC, Registry
from bot.ports import Box, Outlet, SandboxPolicy
from bot.proxies import proxy_for

_log = structlog.get_logger(__name__)

SOCKET = "egress.sock"
BUNDLE = "authorities.pem"
_REFUSED = 40  # hosts that are named
_HEAD_SECONDS = 20.0
_LINGER = 10.0  # seconds for what is still sent after the other side has said its last
_LOOPBACK = "localhost,127.0.0.1,::1"
# What tells clients whom to trust, each its own way.
_TRUST = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
    "CARGO_HTTP_CAINFO",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
)
# They would ask their registry with a body, which is refused, or somebody else.
_QUIET = {
    "NPM_CONFIG_AUDIT": "false",
    "NPM_CONFIG_FUND": "false",
    "NPM_CONFIG_UPDATE_NOTIFIER": "false",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


@dataclass(frozen=True, slots=True)
class Caps:
    """Where it ends: bytes of a connection each way and of the box in all, seconds, connections at once."""

    up: int = 16 << 20
    down: int = 1 << 30
    all: int = 4 << 30
    seconds: float = 900.0
    idle: float = 60.0
    at_once: int = 32


@dataclass(frozen=True, slots=True)
class Outside:
    """The world as the host meets it: the authorities that registries are judged by, and how a listed host is connected to."""

    trust: ssl.SSLContext
    dial: outward.Dial = outward.connect


class TooMuchError(Exception):
    """A cap is reached."""


@dataclass(slots=True)
class EgressProxy:
    """The way out of one box, and what was seen of it; `bundle` is the file of authorities for it, "" where it needs none."""

    outlet: Outlet
    hosts: frozenset[str]
    registries: Mapping[tuple[str, int], Registry]
    indexes: Mapping[str, str]
    ask: Resolve
    caps: Caps
    bundle: Path | None = None
    refused: tuple[str, ...] = ()
    sent: int = 0
    received: int = 0
    _known: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """What has passed, both ways."""
        return self.sent + self.received

    def environment(self, box: Box, bundle_path: str = "") -> dict[str, str]:
        """Give the variables by which programs in a box find the way; `bundle_path` is where it sees `bundle`."""
        return self._variables(box.address(self.outlet), bundle_path)

    def shown(self, policy: SandboxPolicy) -> SandboxPolicy:
        """Give the policy of a box with walls that has this way out, with the variables of `environment`."""
        bundle = {self.bundle: str(self.bundle)} if self.bundle is not None else {}
        more = self._variables(f"127.0.0.1:{self.outlet.port}", str(self.bundle or ""))
        return replace(
            policy,
            outlets=(*policy.outlets, self.outlet),
            readable={**policy.readable, **bundle},
            env={**policy.env, **more},
        )

    def _variables(self, address: str, bundle_path: str) -> dict[str, str]:
        url = f"http://{address}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        found = {**dict.fromkeys(names, url), "NO_PROXY": _LOOPBACK, "no_proxy": _LOOPBACK}
        if self.registries:
            found |= {**_QUIET, **self.indexes, **dict.fromkeys(_TRUST if bundle_path else (), bundle_path)}
        return found

    def refuse(self, host: str) -> None:
        """Remember who was asked for in vain."""
        name = host.lower() if HOST.fullmatch(host.lower()) else "(no host's name)"
        if name not in self.refused and len(self.refused) < _REFUSED:
            self.refused = (*self.refused, name)

    async def find(self, host: str, port: int) -> tuple[str, ...]:
        """Give the addresses of an open host, looked up once; RefusedError where it is not open."""
        registry = self.registries.get((host, port))
        if registry is None and not (host in self.hosts and port == 443):
            self.refuse(host)
            raise RefusedError(403, f"{host}:{port} is not open to this box")
        if (host, port) not in self._known:
            try:
                private = registry is not None and registry.own
                self._known[host, port] = await addresses(host, port, self.ask, private=private)
            except AddressError as error:
                self.refuse(host)
                raise RefusedError(403, str(error)) from error
        return self._known[host, port]

    def passed(self, *, up: int = 0, down: int = 0) -> None:
        """Count bytes; TooMuchError where it is enough."""
        self.sent += up
        self.received += down
        if self.bytes > self.caps.all:
            raise TooMuchError


@asynccontextmanager
async def egress(
    folder: Path,
    *,
    hosts: Sequence[str] = (),
    registries: Sequence[Registry] = (),
    never: Sequence[str] = (),
    indexes: Mapping[str, str] | None = None,
    resolve: Resolve = resolve,
    caps: Caps | None = None,
    outside: Outside | None = None,
) -> AsyncIterator[EgressProxy]:
    """Lend a proxy that listens on a socket in `folder` and leads to these hosts and registries alone.

    A host that is a registry is led to as one. `never` are domains that nothing leads to, such as the forge's own.
    """
    named = {host.lower() for host in hosts}
    known = (*(each for each in PUBLIC if each.host in named), *registries)  # the operator's word comes last
    read = {(each.host, each.port): each for each in known if not _within(each.host, never)}
    only = frozenset(named - {host for host, _ in read} - {each for each in named if _within(each, never)})
    outlet = Outlet(folder / SOCKET, EGRESS_PORT)
    proxy = EgressProxy(outlet, only, read, indexes or {}, resolve, caps or Caps())
    world = outside or Outside(outward.roots())
    authority = Authority(sorted({each.host for each in read.values()})) if read else None
    if authority is not None:
        proxy.bundle = folder / BUNDLE
        proxy.bundle.write_bytes(bundle(world.trust, authority.pem))
        proxy.bundle.chmod(0o644)
    async with AsyncExitStack() as stack:
        fetching = await stack.enter_async_context(Fetching(proxy, world.trust))

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _Visit(proxy, authority, fetching, world.dial, Exchange(reader, writer)).run()

        await stack.enter_async_context(door(outlet.socket, handle, at_once=proxy.caps.at_once))
        try:
            yield proxy
        finally:
            if proxy.bundle is not None:
                proxy.bundle.unlink(missing_ok=True)


def _within(host: str, domains: Sequence[str]) -> bool:
    return any(host == each or host.endswith(f".{each}") for each in domains)


class _Visit:
    """One connection of a box."""

    def __init__(
        self,
        proxy: EgressProxy,
        authority: Authority | None,
        fetching: Fetching,
        dial: outward.Dial,
        exchange: Exchange,
    ) -> None:
        self._proxy = proxy
        self._authority = authority
        self._fetching = fetching
        self._dial = dial
        self._exchange = exchange
        self._moved = time.monotonic()

    async def run(self) -> None:
        with suppress(ConnectionError, h11.LocalProtocolError, TooMuchError):
            try:
                async with asyncio.timeout(_HEAD_SECONDS):
                    request = await self._exchange.head()
                async with asyncio.timeout(self._proxy.caps.seconds):
                    if request.method == b"CONNECT":
                        await self._connect(request)
                    else:
                        await self._plain(request)
            except RefusedError as error:
                await self._say(error.status, str(error))
            except TimeoutError:
                await self._say(408, "it took too long")
            except (OSError, ssl.SSLError, HelloError) as error:
                _log.info("egress_failed", error=type(error).__name__)

    async def _connect(self, request: h11.Request) -> None:
        host, port = _authority_form(request.target.decode("ascii", "replace"))
        registry = self._proxy.registries.get((host, port))
        if registry is None:
            await self._through(host, port, await self._proxy.find(host, port))
            return
        if registry.plain:
            raise RefusedError(403, f"{host}:{port} is reached over http only")
        await self._open()
        assert self._authority is not None
        if self._exchange.beyond:
            raise ConnectionAbortedError
        reader, writer = self._exchange.reader, self._exchange.writer
        context = self._authority.context(host)
        await writer.start_tls(context, ssl_handshake_timeout=_HEAD_SECONDS)
        await self._fetching.serve(registry, Exchange(reader, writer))

    async def _plain(self, request: h11.Request) -> None:
        """Read from a registry that has no TLS; everything else without TLS stays inside."""
        target = request.target.decode("ascii", "replace")
        if not target.startswith("http://"):
            raise RefusedError(400, "this is a proxy: ask it for a whole address")
        place, slash, path = target.removeprefix("http://").partition("/")
        host, port = _authority_form(place if ":" in place else f"{place}:80")
        registry = self._proxy.registries.get((host, port))
        if registry is None or not registry.plain:
            self._proxy.refuse(host)
            raise RefusedError(403, f"http://{host}:{port} is not open to this box")
        await self._fetching.answer(registry, self._exchange, request, f"{slash or '/'}{path}")

    async def _open(self) -> None:
        await self._exchange.send(h11.Response(status_code=200, headers=[]))

    async def _through(self, host: str, port: int, found: Sequence[str]) -> None:
        """Join the client with its host once it has said plainly that it wants this one."""
        out_reader, out_writer = await self._dial(host, port, found, proxy_for(f"https://{host}:{port}"))
        try:
            await self._open()
            reader, writer = self._exchange.reader, self._exchange.writer
            async with asyncio.timeout(_HEAD_SECONDS):
                name, hello = await read_hello(reader, self._exchange.beyond)
            if name != host:
                self._proxy.refuse(name)
                return
            self._proxy.passed(up=len(hello))
            await write(out_writer, hello)
            await self._join(reader, writer, out_reader, out_writer)
        finally:
            out_writer.close()

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        out_reader: asyncio.StreamReader,
        out_writer: asyncio.StreamWriter,
    ) -> None:
        self._moved = time.monotonic()
        forth = asyncio.create_task(self._pump(reader, out_writer, up=True))
        back = asyncio.create_task(self._pump(out_reader, writer, up=False))
        both = {forth, back}
        try:
            while not back.done() and time.monotonic() - self._moved < self._proxy.caps.idle:
                await asyncio.wait({back}, timeout=self._proxy.caps.idle / 4)
            if back.done():
                await asyncio.wait({forth}, timeout=_LINGER)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        """Copy until the end or a cap, and hand the end on."""
        most, size = (self._proxy.caps.up if up else self._proxy.caps.down), 0
        with suppress(OSError, TooMuchError):
            while chunk := await reader.read(CHUNK):
                size += len(chunk)
                self._moved = time.monotonic()
                self._proxy.passed(**{"up" if up else "down": len(chunk)})
                if size > most:
                    break
                await write(writer, chunk)
        with suppress(OSError):
            if writer.can_write_eof():
                writer.write_eof()

    async def _say(self, status: int, why: str) -> None:
        with suppress(ConnectionError):
            text = json.dumps({"error": f"gitwright: {why}"}).encode()
            await self._exchange.answer(status, "application/json", text)


def _authority_form(text: str) -> tuple[str, int]:
    """Read `host:port` as CONNECT has it; an address is no host's name, and nothing is cut off or decoded."""
    host, _, port = text.rpartition(":")
    host = host.lower()
    if not HOST.fullmatch(host) or not port.isdecimal() or not 0 < int(port[:6]) < 65536:
        raise RefusedError(400, "this names no host and port")
    return host, int(port)
