"""The points of death: each lies in the code once, and is nothing where nobody asks for it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bot.points import POINTS, VARIABLE

ROOT = Path(__file__).parents[1]


def test_every_point_lies_in_the_code_once() -> None:
    found = [
        name
        for path in (ROOT / "bot").rglob("*.py")
        for name in re.findall(r'points\.reached\("([a-z-]+)"\)', path.read_text(encoding="utf-8"))
    ]
    assert sorted(found) == sorted(POINTS)


@pytest.mark.parametrize(
    ("wanted", "alive"), [("", "aaa"), ("a", ""), ("a:2", "a"), ("a:3", "aa"), ("b", "aaa"), ("a:4", "aaa")]
)
def test_a_process_dies_where_it_is_told_to_and_nowhere_else(wanted: str, alive: str) -> None:
    code = "from bot.points import reached\nfor _ in range(3): reached('a'); print('a', end='', flush=True)"
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    environment |= {"PYTHONPATH": str(ROOT)} | ({VARIABLE: wanted} if wanted else {})
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == alive
    assert done.returncode == (0 if alive == "aaa" else -signal.SIGKILL)
