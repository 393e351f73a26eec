"""What a process that holds secrets gives up, each part of it, and that it does not go on as root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_CLOSE = """
import os, sys
from bot.broker import hardening
from bot.errors import UserError
{before}
try:
    print(hardening.close() or "closed", os.geteuid() == 0)
except UserError as error:
    print(error)
"""


def closed(before: str = "") -> str:
    """Close a process of its own and give what it says."""
    script = _CLOSE.format(before=before)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return done.stdout.strip()


def test_it_is_root_no_longer() -> None:
    assert closed() == "closed False"


@pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux",
    reason="does not apply: needs root, which is to be dropped, on Linux",
)
def test_who_cannot_drop_root_does_not_run() -> None:
    before = (  # give up the right to change users, and stay root
        "import ctypes; head, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()\n"
        "assert ctypes.CDLL(None).capset(head, none) == 0"
    )
    assert "cannot run: the user id 65533 could not be taken" in closed(before)
