"""What a planning agent can look at: the worktree, and nothing else."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.models.tools import MOST_HITS, READ_LINES, ReadTools, RefusedError


@pytest.fixture
def tools(tmp_path: Path) -> ReadTools:
    root = tmp_path / "work"
    (root / "src").mkdir(parents=True)
    (root / ".git").write_text("gitdir: /elsewhere", encoding="utf-8")
    (root / "src" / "mod.py").write_text("def one():\n    return 1\n", encoding="utf-8")
    (root / "data.bin").write_bytes(b"\0\1\2 one")
    (tmp_path / "secret").write_text("one password", encoding="utf-8")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "out").symlink_to(tmp_path)
    return ReadTools(root)


def test_a_folder_is_listed_with_links_named_and_git_left_out(tools: ReadTools) -> None:
    assert tools.list_folder() == "data.bin\nlink (link)\nout (link)\nsrc/"
    assert tools.list_folder("src/") == "mod.py"


def test_a_file_is_read_with_line_numbers_and_in_portions(tools: ReadTools, tmp_path: Path) -> None:
    assert tools.read_file("src/mod.py") == "1: def one():\n2:     return 1"
    (tmp_path / "work" / "long.txt").write_text("x\n" * (READ_LINES + 5), encoding="utf-8")
    assert tools.read_file("long.txt").endswith(f"... 5 more lines, from line {READ_LINES + 1}")
    assert len(tools.read_file("long.txt", READ_LINES + 1).splitlines()) == 5


def test_a_search_sees_text_files_and_follows_no_link(tools: ReadTools) -> None:
    assert tools.search("ONE") == "src/mod.py:1: def one():"
    assert tools.search("password") == "(no line contains that)"
    assert tools.search("return", "src/mod.py") == "src/mod.py:2: return 1"


def test_a_search_stops_where_nobody_reads_on(tools: ReadTools, tmp_path: Path) -> None:
    (tmp_path / "work" / "many.txt").write_text("needle\n" * 500, encoding="utf-8")
    assert len(tools.search("needle").splitlines()) == MOST_HITS + 1


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../secret",
        "src/../../secret",
        "link",
        "out/secret",
        "out",
        ".git",
        "gone",
        "src/\0",
        "/etc/passwd",
        "def one():\n" * 500,  # a text in the place of a path
    ],
)
@pytest.mark.parametrize("use", [ReadTools.list_folder, ReadTools.read_file])
def test_what_leads_out_is_refused(tools: ReadTools, use: Callable[[ReadTools, str], str], path: str) -> None:
    with pytest.raises(RefusedError):
        use(tools, path)


@pytest.mark.parametrize("path", ["src", "data.bin"])
def test_what_is_no_text_is_not_read(tools: ReadTools, path: str) -> None:
    with pytest.raises(RefusedError):
        tools.read_file(path)


def test_a_pipe_does_not_hang_the_reader(tools: ReadTools, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "work" / "pipe")
    with pytest.raises(RefusedError):
        tools.read_file("pipe")
    assert tools.search("one") == "src/mod.py:1: def one():"


@pytest.mark.parametrize("path", ["//etc", "///etc/passwd", "/etc", "//"])
def test_a_path_never_begins_at_the_hosts_root(tmp_path: Path, path: str) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    tools = ReadTools(tmp_path)
    with contextlib.suppress(RefusedError):
        assert "mine.txt" in tools.list_folder(path)


@given(st.lists(st.sampled_from(["..", ".", "src", "out", "link", "secret", "", "/", "mod.py"]), max_size=6))
def test_no_path_shows_what_lies_outside(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    base = tmp_path_factory.mktemp("outside")
    (base / "work" / "src").mkdir(parents=True)
    (base / "work" / "src" / "mod.py").write_text("fine", encoding="utf-8")
    (base / "secret").write_text("password", encoding="utf-8")
    (base / "work" / "link").symlink_to(base / "secret")
    (base / "work" / "out").symlink_to(base)
    for use in (ReadTools.list_folder, ReadTools.read_file, lambda tools, path: tools.search("pass", path)):
        with contextlib.suppress(RefusedError):
            assert "password" not in use(ReadTools(base / "work"), "/".join(parts))
