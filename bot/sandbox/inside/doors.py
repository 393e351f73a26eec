"""Owns the listeners on a box's loopback, and keeping the process alive that serves them (`bridge.py`)."""

from __future__ import annotations

import gc
import os
import resource
import socket

_STARTS = 20  # where something inside ends it again and again


class Bridge:
    """The process beside this one that joins ports of loopback with sockets; started again if it is killed.

    It is this program still, and so is never dumpable: a new one is until it has begun, and others may look into it.
    """

    def __init__(self, outlets: list[str]) -> None:
        self.pid = 0
        self._started = 0
        self._outlets = []
        for outlet in outlets:
            port, _, path = outlet.partition("=")
            self._outlets.append((socket.create_server(("127.0.0.1", int(port)), backlog=128), path))

    def start(self) -> None:
        """Start it; connections wait in the listeners' queues until it is there."""
        self.pid = 0
        if self._started >= _STARTS:
            return
        self._started += 1
        try:
            pid = os.fork()
        except OSError:
            return
        if pid:
            self.pid = pid
            return
        try:
            self._keep_listeners_only()
            gc.enable()
            from bot.sandbox.inside import bridge  # loads what process 1 does not need

            bridge.main(self._outlets)
        finally:
            os._exit(127)

    def _keep_listeners_only(self) -> None:
        """Close what commands and orders go over: it would never end where it is held here."""
        first = 3
        for number in sorted(listener.fileno() for listener, _ in self._outlets):
            os.closerange(first, number)
            first = number + 1
        os.closerange(first, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
