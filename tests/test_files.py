"""Files that agents may have written: whatever they made, it is handed over and removed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import files
from tests.support.descriptors import few_descriptors

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


def test_removing_holds_few_files_open_however_deep_the_folders_are(folder: Path) -> None:
    """What an agent nests must not take the descriptors that the rest of the process needs."""
    nested(folder, 400)
    with few_descriptors(40):
        left = files.remove(folder)
    assert left == []


@pytest.mark.skipif(os.geteuid() != 0, reason="does not apply: only root can make what cannot be removed")
def test_what_cannot_be_removed_is_named_and_keeps_nothing_else(folder: Path) -> None:
    nested(folder, 40)
    (folder / "a/b/kept").mkdir(parents=True)
    (folder / "z").touch()
    busy = folder / "a/b/kept"
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(busy)], check=False, timeout=60).returncode:
        pytest.skip("does not apply: this root may not mount")
    try:
        assert files.remove(folder) == [str(folder), str(folder / "a"), str(folder / "a/b"), str(busy)]
    finally:
        subprocess.run(["umount", str(busy)], check=True, timeout=60)


@pytest.mark.skipif(os.geteuid() != 0, reason="does not apply: only root hands files over")
def test_a_deep_folder_is_handed_over_whole(folder: Path, tmp_path: Path) -> None:
    nested(folder, DEEP)
    (folder / "link").symlink_to(tmp_path)
    files.give(folder, 12345)
    assert (folder / "/".join(["d"] * DEEP) / "file").stat().st_uid == 12345
    assert (folder / "link").lstat().st_uid == 12345
    assert tmp_path.stat().st_uid != 12345


def test_what_is_appended_stays_beneath_whatever_links_lie_in_the_way(folder: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "kept").write_text("kept")
    (folder / "linked").symlink_to(away)
    (folder / "file").symlink_to(away / "kept")
    os.mkfifo(folder / "pipe")
    for name in ("linked/new", "file", "pipe", "../away/new", "/x", "a//b", ""):
        with pytest.raises(OSError, match=r".+"):
            files.append_beneath(folder, name, b"x")
    files.append_beneath(folder, "a/b/c", b"one")
    files.append_beneath(folder, "a/b/c", b" two")
    assert (folder / "a/b/c").read_text() == "one two"
    assert [(path.name, path.read_text()) for path in away.iterdir()] == [("kept", "kept")]


def test_what_is_put_replaces_a_link_and_follows_none(folder: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "kept").write_text("kept")
    (folder / "linked").symlink_to(away)
    (folder / "file").symlink_to(away / "kept")
    (folder / "twin").hardlink_to(away / "kept")
    for name in ("linked/kept", "../away/kept", "/x", ""):
        with pytest.raises(OSError, match=r".+"):
            files.put_beneath(folder, name, b"x", None)
    for name in ("file", "twin", "a/b"):
        files.put_beneath(folder, name, b"new", None)
        assert (folder / name).read_text() == "new"
    assert [(path.name, path.read_text()) for path in away.iterdir()] == [("kept", "kept")]
