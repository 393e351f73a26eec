"""Owns the warden: a small process beside the bot that ends the bot's children when the bot itself was killed.

A parent-death signal alone leaves holes: a parent that dies before it is set is never noticed, `setpriv` and
others clear it, and bubblewrap waits for ever where its launcher dies before it has let it go on.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from bot import living

QUIET_SECONDS = 1.0  # a child that lets go of the lifeline may need a moment more to bear its mark
LIMIT_SECONDS = 60.0  # what cannot be killed within that time is left
_LOOK_SECONDS = 0.05
_DISMISS_SECONDS = 5.0
_BYE = b"."


class Warden:
    """The bot's side: holds the lifeline whose end, however it comes, tells the warden."""

    def __init__(self) -> None:
        self.run = os.urandom(8).hex()  # begins the mark of every child of this process
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def watch(self) -> None:
        """Have a warden alive from now on; to be called before every start of a child. OSError where it cannot be."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return
            self._let_go()
            self._start()

    def _start(self) -> None:
        read_end, self._lifeline = os.pipe()
        try:
            # Isolated and without site: standard library only, started within milliseconds.
            self._process = subprocess.Popen(
                [sys.executable, "-E", "-s", "-S", "-m", "bot.warden", self.run],
                stdin=read_end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=Path(__file__).resolve().parents[1],
                env={},
                start_new_session=True,
            )
        finally:
            os.close(read_end)
        atexit.unregister(self.dismiss)
        atexit.register(self.dismiss)

    def dismiss(self) -> None:
        """Have what still lives of the children killed, and the warden end."""
        with self._lock:
            if self._process is None:
                return
            with suppress(OSError):
                os.write(self._lifeline, _BYE)
            self._let_go()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_DISMISS_SECONDS)
            self._process = None

    def _let_go(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def sweep(run: str, quiet: float) -> None:
    """Kill all children of a run until none was seen for `quiet` seconds."""
    known: set[tuple[int, int]] = set()
    started = empty_since = time.monotonic()
    while time.monotonic() - started < LIMIT_SECONDS:
        if _killed(run, known):
            empty_since = time.monotonic()
        elif time.monotonic() - empty_since >= quiet:
            return
        time.sleep(_LOOK_SECONDS)


def _killed(run: str, known: set[tuple[int, int]]) -> bool:
    """Kill whoever is found; False where it is sure that there was nobody."""
    try:
        found = living.of_run(run, known)
    except living.UnseenError:
        return True
    living.kill(found)
    return bool(found)


def main(run: str) -> None:
    """Wait for the end of the lifeline, then end what it held.

    A child between fork and exec still holds it too, so at its end every child bears its mark.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    orderly = os.read(0, 1) == _BYE
    sweep(run, 0 if orderly else QUIET_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])
