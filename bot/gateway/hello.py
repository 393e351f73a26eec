"""Owns reading the first message of TLS: which host a client says that it wants, before anything is handed on.

Source: RFC 8446 section 4.1.2, RFC 6066 section 3; encrypted client hello: RFC 9849.
"""

from __future__ import annotations

import asyncio

MOST = 1 << 14  # bytes of a record
_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_ENCRYPTED = frozenset({0xFE0D, 0xFFCE})  # the name that counts would be in there


class HelloError(Exception):
    """What came is no ClientHello that says plainly whom it wants."""


async def read_hello(reader: asyncio.StreamReader, begun: bytes = b"") -> tuple[str, bytes]:
    """Read a ClientHello; gives the one host that it names, in lower case, and all bytes that were read.

    It must fit in one record, as those of all clients do, and nothing may come behind it.
    """
    raw = await _to(reader, begun, 5)
    size = int.from_bytes(raw[3:5])
    if raw[0] != _HANDSHAKE or raw[1] != 3 or not 4 < size <= MOST:
        raise HelloError("this is no TLS")
    raw = await _to(reader, raw, 5 + size)
    message = raw[5 : 5 + size]
    if message[0] != _CLIENT_HELLO or int.from_bytes(message[1:4]) != size - 4:
        raise HelloError("this is no whole ClientHello")
    return _name(message[4:]), raw


async def _to(reader: asyncio.StreamReader, begun: bytes, size: int) -> bytes:
    """Read on until there are `size` bytes."""
    if len(begun) >= size:
        return begun
    try:
        return begun + await reader.readexactly(size - len(begun))
    except asyncio.IncompleteReadError as error:
        raise HelloError("there is no whole ClientHello") from error


class _Bytes:
    """Reads fields; HelloError where there are none left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise HelloError("the ClientHello ends too early")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def field(self, size: int) -> bytes:
        """Take what has its length, in so many bytes, before it."""
        return self.take(self.number(size))


def _name(hello: bytes) -> str:
    fields = _Bytes(hello)
    fields.take(2 + 32)  # version, random
    for size in (1, 2, 1):  # session id, ciphers, compressions
        fields.field(size)
    extensions = _Bytes(fields.field(2) if fields else b"")
    found: dict[int, bytes] = {}
    while extensions:
        kind, content = extensions.number(2), extensions.field(2)
        if kind in found:
            raise HelloError("an extension is there twice")
        found[kind] = content
    if not _ENCRYPTED.isdisjoint(found):
        raise HelloError("the host's name is encrypted")
    if _SERVER_NAME not in found:
        raise HelloError("no host is named")
    listed = _Bytes(_Bytes(found[_SERVER_NAME]).field(2))
    kind, name = listed.number(1), listed.field(2)
    if listed or kind != 0:
        raise HelloError("not one host is named")
    try:
        return name.decode("ascii").lower()
    except UnicodeDecodeError as error:
        raise HelloError("the host's name is none") from error
