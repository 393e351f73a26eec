"""Owns reading one HTTP request of a box and answering it: bounded, unambiguous, a connection each."""

from __future__ import annotations

import asyncio

import h11

from bot.gateway.listening import CHUNK

_HEAD = 32 << 10  # bytes of a request line with its headers
_PARTS = 16_384  # of a body
_WRITE_SECONDS = 60.0  # a box that does not read for so long is gone
_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding", b"authorization"})


class RefusedError(Exception):
    """What a box asked for is not given; the text is for whoever asked."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Exchange:
    """One request and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD)

    async def head(self) -> h11.Request:
        """Read a request's line and headers; RefusedError where two readers could understand them differently."""
        event = await self._next()
        if not isinstance(event, h11.Request):
            raise ConnectionResetError
        if event.http_version not in {b"1.0", b"1.1"}:
            raise RefusedError(505, "only HTTP/1.1 is spoken here")
        # h11 bounds only what is not whole yet.
        if len(event.target) + sum(len(name) + len(value) for name, value in event.headers) > _HEAD:
            raise RefusedError(431, "the request's headers are too large")
        names = [name for name, _ in event.headers]
        if any(names.count(name) > 1 for name in _ONCE):
            raise RefusedError(400, "a header that may be there once is there twice")
        if b"content-length" in names and b"transfer-encoding" in names:
            raise RefusedError(400, "the request tells its length in two ways")
        return event

    async def body(self, most: int) -> bytes:
        """Read the request's body to its end, at most so many bytes."""
        body, parts = bytearray(), 0
        while True:
            event = await self._next()
            if isinstance(event, h11.Data):
                body += event.data
                parts += 1
                if len(body) > most or parts > _PARTS:
                    raise RefusedError(413, "the request is too large, or in too many parts")
                await asyncio.sleep(
                    0
                )  # many parts may have come at once: others have their turn between them
            elif isinstance(event, h11.EndOfMessage):
                return bytes(body)
            else:
                raise ConnectionResetError

    @property
    def beyond(self) -> bytes:
        """What came behind the request."""
        return self._http.trailing_data[0]

    @property
    def left(self) -> bool:
        """Whether nobody is there to be answered: who asked has closed the connection, or said that nothing follows."""
        return self.reader.at_eof() or self.writer.is_closing()

    def again(self) -> bool:
        """Be ready for the connection's next request; False where it is over."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _next(self) -> object:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    await self.send(h11.InformationalResponse(status_code=100, headers=[]))
                self._http.receive_data(await self.reader.read(CHUNK))
        except h11.RemoteProtocolError as error:
            raise RefusedError(error.error_status_hint, f"this is no request: {error}") from error
        return event

    async def answer(
        self, status: int, kind: str, data: bytes, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Give a whole answer, where none has begun."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        told = [("content-type", kind), ("content-length", str(len(data))), ("connection", "close")]
        await self.send(h11.Response(status_code=status, headers=[*told, *headers]))
        await self.send(h11.Data(data=data))
        await self.send(h11.EndOfMessage())

    async def send(self, event: h11.Event) -> None:
        """Send a part of the answer; ConnectionError where nobody takes it."""
        data = self._http.send(event)
        if data:
            await write(self.writer, data)


async def write(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write; ConnectionError where the other side is gone, or does not read."""
    writer.write(data)
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            await writer.drain()
    except TimeoutError as error:
        raise ConnectionAbortedError from error
