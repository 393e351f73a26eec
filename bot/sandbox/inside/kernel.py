"""Owns the calls of the kernel that Python's slim modules lack, and its signals: what takes long to load is not loaded.

`ctypes`, `signal`, `contextlib` and `typing` would take three times as long as the interpreter itself, in each box.
"""

from __future__ import annotations

import _ctypes
import _signal as signals  # type: ignore[import-not-found]  # what `signal` wraps in classes

_PRCTL = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]  # None: what is loaded already
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36

SIGKILL: int = signals.SIGKILL
SIGSTOP: int = signals.SIGSTOP
SIGCONT: int = signals.SIGCONT


def hide() -> None:
    """Keep neighbours of the same user from looking into this process, or doing anything with what it has open."""
    _ctypes.call_function(_PRCTL, (_PR_SET_DUMPABLE, 0, 0, 0, 0))


def adopt() -> None:
    """Become the parent of all orphans below this process."""
    _ctypes.call_function(_PRCTL, (_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def ignore_interrupts() -> None:
    signals.signal(signals.SIGINT, signals.SIG_IGN)


def usual_signals() -> None:
    """Give up what Python and we have changed: a command finds its signals as they are elsewhere."""
    for number in (signals.SIGINT, signals.SIGPIPE, signals.SIGXFSZ):
        signals.signal(number, signals.SIG_DFL)
