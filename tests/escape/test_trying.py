"""A probe that breaks, hangs or is killed has met no wall: the suite says so instead of counting it as stopped."""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Callable

import pytest

from tests.escape.test_escape import STOPPED
from tests.escape.trying import PROBES, Probe, tried


def _ended(number: int) -> object:
    os.kill(os.getpid(), number)
    return True


def _refused(number: int) -> object:
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    "broken",
    [
        lambda: {}["nobody there"],
        lambda: 1 // 0,
        lambda: int("many"),
        lambda: list(PROBES)[len(PROBES)],
        lambda: (_ for _ in ()).throw(OSError("of nobody knows what")),
        lambda: (_ for _ in ()).throw(TimeoutError("timed out")),
        lambda: _ended(signal.SIGKILL),
        lambda: _ended(signal.SIGALRM),
    ],
)
def test_a_probe_that_breaks_has_met_no_wall(broken: Callable[[], object]) -> None:
    said = tried(Probe("a wall", broken))
    assert said.startswith("broken: ")
    assert not re.fullmatch(STOPPED, said)


@pytest.mark.parametrize(
    ("wall", "said"),
    [
        (lambda: False, "stopped"),
        (lambda: _refused(errno.EPERM), "stopped: EPERM"),
        (lambda: _ended(signal.SIGSYS), "stopped: SIGSYS"),
    ],
)
def test_a_refusal_is_a_wall(wall: Callable[[], object], said: str) -> None:
    assert tried(Probe("a wall", wall)) == said
    assert re.fullmatch(STOPPED, said)
