"""Owns the ways to sockets of the host, and to networks."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from tests.escape.trying import (
    CALLS,
    MOUNTS,
    NEWNET,
    PROBES,
    QUICK,
    F,
    Missing,
    Probe,
    own,
    probe,
)

NET = "network namespace"


@probe(CALLS)
def socket_to_the_virtual_machines_host() -> object:
    try:
        socket.socket(40, socket.SOCK_STREAM, 0).close()  # AF_VSOCK
    except OSError as error:
        if F["inside"]:
            raise
        raise Missing("no AF_VSOCK") from error
    return True


@probe(CALLS)
def socket_packet() -> object:
    own(NEWNET)
    socket.socket(17, socket.SOCK_RAW, 0).close()
    return True


def _netlink(name: str, protocol: int) -> None:
    def make() -> object:
        socket.socket(16, socket.SOCK_RAW, protocol).close()
        return True

    PROBES[f"socket netlink {name}"] = Probe(CALLS, make)


for each_protocol in (("events", 15), ("generic", 16)):
    _netlink(*each_protocol)


@probe(CALLS)
def socket_of_any_other_family() -> object:
    for family, kind in (
        (38, 5),
        (15, 3),
        (29, 3),
        (31, 3),
        (30, 1),
        (21, 5),
        (43, 1),
        (44, 3),
        (24, 1),
        (41, 2),
    ):
        with suppress(OSError):
            socket.socket(family, kind, 0).close()
            return True
    if not F["inside"]:
        raise Missing("no other family of sockets")
    return False


@probe("user namespace: no capability in a network")
def socket_raw() -> object:
    own(NEWNET)
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    return True


def _unix(name: str, wall: str) -> None:
    def connect() -> object:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(QUICK)
            path = F["sockets"][name]
            link.connect(f"\0{path[1:]}" if path.startswith("@") else path)
        return True

    PROBES[f"socket: {name}"] = Probe(wall, connect)


for each_socket in ("broker", "docker", "in host /tmp", "database server", "another session's gateway"):
    _unix(each_socket, MOUNTS)
_unix("abstract, of the host", NET)


def _tcp(name: str) -> None:
    def connect() -> object:
        with socket.create_connection(tuple(F["addresses"][name]), QUICK) as link:
            return link.recv(1)

    PROBES[f"network: {name}"] = Probe(NET, connect)


for each in ("loopback", "loopback v6", "metadata", "metadata v6", "an address", "an address v6"):
    _tcp(each)


@probe(NET)
def network_udp_and_names() -> object:
    for name in ("an address", "an address v6", "metadata"):
        host, _ = F["addresses"][name]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as link:
            link.settimeout(QUICK)
            link.sendto(b"a name?", (host, 53))
            return link.recv(10)
    return False


@probe(NET)
def network_interfaces() -> object:
    return [line for line in Path("/proc/net/if_inet6").read_text().splitlines() if line.startswith("fd00")]
