"""People who work on a clone are told which file an internal error is in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bot.local.clone import find_clone
from bot.local.place import Wanted, room
from tests.cli.clones import logging_kept


def _clone(folder: Path) -> str:
    folder.mkdir()
    who = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
    for words in (
        ("init", "--quiet", "-b", "main"),
        (*who, "commit", "--quiet", "--allow-empty", "-m", "first"),
    ):
        subprocess.run(["git", *words], cwd=folder, check=True, timeout=60)
    said = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, timeout=60, capture_output=True, text=True
    )
    return said.stdout.strip()


async def test_an_internal_error_in_a_clone_names_the_log_that_lies_there(tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    head = _clone(folder)
    clone = await find_clone(folder)
    with logging_kept():
        async with room(Wanted(clone, "made", "tasks", head)) as found:
            assert found.bot.performer.log == "`.git/gitwright/gitwright.log`"
            assert (folder / ".git/gitwright/gitwright.log").is_file()


async def test_a_log_outside_of_the_clone_is_named_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "clone"
    head = _clone(folder)
    monkeypatch.setenv("GITWRIGHT_DATA_DIR", str(tmp_path / "data"))
    clone = await find_clone(folder)
    with logging_kept():
        async with room(Wanted(clone, "made", "tasks", head)) as found:
            log = Path(found.bot.performer.log.strip("`"))
            assert log.is_relative_to(tmp_path / "data")
            assert log.is_file()
