"""Owns which addresses a box may be led to: a name is resolved once, here, and what it resolves to is looked at."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

# From a host's name and a port to its addresses, as texts; OSError where it has none.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_SECONDS = 10.0

# Ranges in which another address is wrapped: what it leads to is decided by somebody else.
_WRAPPED: tuple[_Network, ...] = tuple(
    map(
        ipaddress.ip_network,
        (
            "::ffff:0:0/96",  # IPv4-mapped
            "::/96",  # IPv4-compatible
            "64:ff9b::/96",  # NAT64
            "64:ff9b:1::/48",
            "2002::/16",  # 6to4
            "2001::/32",  # Teredo
        ),
    )
)
# Never, whoever asks: where clouds tell a machine its secrets, and what is no single machine.
_NEVER: tuple[_Network, ...] = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "169.254.0.0/16",
            "fe80::/10",
            "168.63.129.16/32",  # Azure
            "100.100.100.200/32",  # Alibaba
            "192.0.0.192/32",  # Oracle
            "fd00:ec2::254/128",  # AWS
            "fd20:ce::254/128",  # Google
            "224.0.0.0/4",
            "240.0.0.0/4",
            "ff00::/8",
        ),
    )
)
_CARRIER = ipaddress.ip_network("100.64.0.0/10")


class AddressError(Exception):
    """A name that leads nowhere, or where nobody may go; the text is for people."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the machine's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


async def addresses(host: str, port: int, ask: Resolve, *, private: bool) -> tuple[str, ...]:
    """Resolve a name and give all of its addresses, if each may be gone to; else AddressError.

    `private` allows those of one's own networks, for a host that the operator names.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            found = tuple(await ask(host, port))
    except (OSError, UnicodeError, TimeoutError) as error:
        raise AddressError(f"{host} is not known") from error
    if not found:
        raise AddressError(f"{host} is not known")
    if not all(allowed(address, private=private) for address in found):
        raise AddressError(f"{host} leads to an address that boxes may not reach")
    return found


def allowed(address: str, *, private: bool) -> bool:
    """Tell whether a box may be led to an address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.version == 6 and (ip.is_loopback or ip.is_unspecified):
        return private and ip.is_loopback
    if any(ip in network for network in (*_NEVER, *_WRAPPED)):
        return False
    return private or (ip.is_global and ip not in _CARRIER)
