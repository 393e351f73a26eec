"""Folders that hostile code wrote: nothing is followed, nothing dangerous stays, nothing is shared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot import trees
from bot.trees import TreeError, copy, has_folder, move, others, tame

BOUNDS = {"most_files": 1000, "most_bytes": 1 << 20}


def test_a_copy_goes_through_no_link_of_its_target(tmp_path: Path) -> None:
    outside, source, target = (tmp_path / name for name in ("outside", "source", "target"))
    for folder in (outside, source / "sub", target):
        folder.mkdir(parents=True)
    (source / "sub/file").write_text("hostile")
    (source / "plain").write_text("hostile")
    (outside / "victim").write_text("safe")
    (target / "sub").symlink_to(outside)
    (target / "plain").symlink_to(outside / "victim")
    copy(source, target, None)
    assert sorted(path.name for path in outside.iterdir()) == ["victim"]
    assert (outside / "victim").read_text() == "safe"
    # The same with what everybody would take: it does go through the link.
    os.system(f"cp -r {source}/. {target}/ 2>/dev/null")
    assert (outside / "victim").read_text() == "hostile"


def test_a_copy_keeps_names_times_modes_and_links_and_shares_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "a/b").mkdir(parents=True)
    target.mkdir()
    (source / "a/run").write_text("#!/bin/sh\n")
    (source / "a/run").chmod(0o755)
    os.utime(source / "a/run", (1, 2))
    os.link(source / "a/run", source / "a/b/twin")
    (source / "away").symlink_to("/nowhere")
    copy(source, target, None)
    made = (target / "a/run").stat()
    assert (made.st_mode & 0o777, made.st_mtime, made.st_nlink) == (0o755, 2, 2)
    assert made.st_ino == (target / "a/b/twin").stat().st_ino != (source / "a/run").stat().st_ino
    assert str((target / "away").readlink()) == "/nowhere"


def test_what_is_no_file_is_dropped_and_locked_folders_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "shut").mkdir()
    (tmp_path / "shut/in").write_text("12345")
    (tmp_path / "shut/in").chmod(0o4000)
    (tmp_path / "shut").chmod(0)
    found = tame(tmp_path, **BOUNDS)
    assert (found.files, found.bytes, found.dropped) == (3, 5, ["pipe"])
    assert (tmp_path / "shut/in").stat().st_mode & 0o7777 == 0o600


def test_too_much_is_refused_by_files_bytes_and_depth(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}").write_bytes(b"x" * 10)
    assert tame(tmp_path, most_files=5, most_bytes=50).bytes == 50
    with pytest.raises(TreeError, match="more than 4 files"):
        tame(tmp_path, most_files=4, most_bytes=50)
    with pytest.raises(TreeError, match="more than 0 MB"):
        tame(tmp_path, most_files=5, most_bytes=49)
    deep = tmp_path / "/".join("d" * (trees.DEEPEST + 2))
    deep.mkdir(parents=True)
    with pytest.raises(TreeError, match="deep in each other"):
        tame(tmp_path, **BOUNDS)


def test_all_but_the_repositorys_own_files_is_moved(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for path in ("src/app.py", "src/gen/x", "lib/y", "README", ".git"):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(path)
    (source / "empty").mkdir()
    (source / "src/link").symlink_to("/etc")
    target.mkdir()
    assert sorted(others(source, frozenset({"src/app.py", "README", ".git", "docs/gone.md"}))) == [
        "empty",
        "lib",
        "src/gen",
        "src/link",
    ]
    moved = move(source, target, frozenset({"src/app.py", "README", ".git", "docs/gone.md"}))
    assert sorted(moved) == ["lib", "src/gen", "src/link"]
    assert (target / "src/gen/x").read_text() == "src/gen/x"
    assert not (target / "src/app.py").exists()
    assert sorted(path.name for path in source.iterdir()) == [".git", "README", "empty", "src"]


def test_a_folder_behind_a_link_is_none(tmp_path: Path) -> None:
    (tmp_path / "real/bin").mkdir(parents=True)
    (tmp_path / "venv").symlink_to("real")
    assert has_folder(tmp_path, "real/bin")
    assert not has_folder(tmp_path, "venv/bin")
    assert not has_folder(tmp_path, "real/bin/none")


def test_of_folders_that_are_still_written_files_count_as_well_as_bytes_and_all_in_all(
    tmp_path: Path,
) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    for folder in (work / "sub", home):
        folder.mkdir(parents=True)
        for number in range(10):
            (folder / str(number)).touch()
    (home / "away").symlink_to("/")
    (home / "bytes").write_bytes(bytes(1 << 16))
    trees.look((work, home, tmp_path / "gone"), most_files=23, most_bytes=1 << 17)
    with pytest.raises(TreeError, match="more than 22 files"):
        trees.look((work, home), most_files=22, most_bytes=1 << 17)
    with pytest.raises(TreeError, match="more than 0 MB"):
        trees.look((work, home), most_files=23, most_bytes=1 << 15)
