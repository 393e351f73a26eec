"""Files that agents may have written: whatever they made, it is handed over and removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import files

DEEP = 1_200  # folders in each other: more than calls may be nested


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is emptied at the end whatever becomes of the test, since pytest could not."""
    made = tmp_path / "made"
    made.mkdir()
    yield made
    files.remove(made)


def nested(folder: Path, depth: int, name: str = "d") -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        deeper = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)


def test_folders_in_each_other_are_removed_however_deep(folder: Path) -> None:
    nested(folder, DEEP)
    nested(folder, 40, "d" * 200)
    (folder / "0").mkdir()
    assert files.remove(folder) == []
    assert not folder.exists()


def test_a_link_is_removed_and_not_what_it_leads_to(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (folder / "link").symlink_to(kept)
    nested(folder, DEEP)
    (folder / "d/link").symlink_to(kept)
    assert files.remove(folder) == []
    assert [path.name for path in kept.iterdir()] == ["file"]


def test_what_its_owner_locked_is_removed_too(folder: Path) -> None:
    nested(folder, 3)
    for path in ("d/d", "d", "."):
        (folder / path).chmod(0o000)
    assert files.remove(folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="does not apply: only root hands files over")
def test_a_deep_folder_is_handed_over_whole(folder: Path, tmp_path: Path) -> None:
    nested(folder, DEEP)
    (folder / "link").symlink_to(tmp_path)
    files.give(folder, 12345)
    assert (folder / "/".join(["d"] * DEEP) / "file").stat().st_uid == 12345
    assert (folder / "link").lstat().st_uid == 12345
    assert tmp_path.stat().st_uid != 12345
