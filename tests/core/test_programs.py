"""The programs of a command: named, asked for their version by a real shell, and the answer read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.programs import probe, programs, read_probe


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("python -m pytest -q", ("python",)),
        ("PYTHONPATH=src python -m pytest", ("python",)),
        ("npm ci && npm test | tee log; (cd x && make)", ("npm", "tee", "make")),
        ("env A=1 uv run pytest", ("uv",)),
        ("./run-tests.sh || exit 1", ()),
        ("$RUNNER --all", ()),
        ("cd x\nmake test", ("make",)),
        ("echo 'open", ()),
        ("", ()),
    ],
)
def test_the_programs_of_a_command_are_named(command: str, wanted: tuple[str, ...]) -> None:
    assert programs([command]) == wanted


@given(st.text())
def test_no_command_names_what_a_shell_would_take_for_more_than_a_word(command: str) -> None:
    assert all(
        name.replace(".", "").replace("-", "").replace("+", "").isalnum() or "_" in name
        for name in programs([command])
    )


def test_each_program_is_asked_and_one_that_is_missing_or_broken_is_told(tmp_path: Path) -> None:
    for name, text in (("odd", "#!/bin/sh\nexit 2\n"), ("bad", "#!/nowhere/interpreter\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    names = ("sh", "odd", "bad", "not-there")
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(
        ["/bin/sh", "-c", probe(names)], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert read_probe(names, done.stdout) == {
        "sh": "",
        "odd": "",
        "bad": "it cannot be started",
        "not-there": "it is not installed",
    }


def test_what_was_not_answered_is_not_told() -> None:
    assert read_probe(("make",), "") == {}
