"""Owns a network of one's own, in which addresses of the world answer: nothing of it leaves the machine.

A program: `python3 -I -S streets.py ABSTRACT ADDRESS.. -- COMMAND..` starts the command in a new network namespace whose loopback has
these addresses. On each somebody answers, on TCP port 80, on UDP port 53 and on an abstract unix socket of that name.
An ordinary user gets a user namespace for it, in which the command is the same user.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

_NEW_USER, _NEW_NET = 1 << 28, 1 << 30
_SET_ADDRESS, _SET_FLAGS, _SET_MASK = 0x8916, 0x8914, 0x891C
_UP = 0x1 | 0x8 | 0x40  # up, loopback, running
PORT, NAMES_PORT = 80, 53


def leave(uid: int, gid: int) -> None:
    """Go into a new network, in which nothing is set up."""
    spaces = _NEW_NET if uid == 0 else _NEW_USER | _NEW_NET
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(spaces):
        raise OSError(ctypes.get_errno(), "no network of one's own")
    if uid:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            Path(f"/proc/self/{name}").write_text(text, "ascii")


def settle(addresses: list[str]) -> None:
    """Give the loopback of this network its addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP))
        for number, address in enumerate(each for each in addresses if ":" not in each):
            name = f"lo:{number}".encode() if address != "127.0.0.1" else b"lo"
            for request, value in ((_SET_ADDRESS, address), (_SET_MASK, "255.255.255.255")):
                if address != "127.0.0.1":
                    fcntl.ioctl(
                        asking,
                        request,
                        struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(value)),
                    )
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asking:
        for address in addresses:
            if ":" in address and address != "::1":
                packed = socket.inet_pton(socket.AF_INET6, address)
                fcntl.ioctl(asking, _SET_ADDRESS, struct.pack("16sIi", packed, 128, 1))
                _await(address)


def _await(address: str) -> None:
    """Wait until the kernel lets somebody have a new address of IPv6, which it looks at in its own time."""
    deadline = time.monotonic() + 60
    while True:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as trying:
            try:
                trying.bind((address, 0))
            except OSError:
                if time.monotonic() > deadline:
                    raise
            else:
                return
        time.sleep(0.01)


def answer(abstract: str, addresses: list[str]) -> None:
    """Answer everybody, in threads that end with this process."""
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, PORT), family=family)
        threading.Thread(target=_greet, args=(listener,), daemon=True).start()
        names = socket.socket(family, socket.SOCK_DGRAM)
        names.bind((address, NAMES_PORT))
        threading.Thread(target=_name, args=(names,), daemon=True).start()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0{abstract}")
    listener.listen()
    threading.Thread(target=_greet, args=(listener,), daemon=True).start()


def _greet(listener: socket.socket) -> None:
    while True:
        link, _ = listener.accept()
        with link, suppress(OSError):
            link.sendall(b"reached\n")


def _name(link: socket.socket) -> None:
    while True:
        asked, who = link.recvfrom(512)
        link.sendto(asked, who)


def main(abstract: str, addresses: list[str], command: list[str]) -> int:
    """Run the command, and give its code."""
    leave(os.geteuid(), os.getegid())
    settle(addresses)
    answer(abstract, addresses)
    # The command ends with this process, however that ends.
    with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command]) as child:
        return child.wait()


if __name__ == "__main__":
    at = sys.argv.index("--")
    sys.exit(main(sys.argv[1], sys.argv[2:at], sys.argv[at + 1 :]))
