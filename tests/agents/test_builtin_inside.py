"""What the built-in agent's tools do with files: helpful where a model errs, closed to what is not the worktree's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.agents.builtin_inside import ENTRIES, MATCHES, TEXT, RefusedError, answer, inside
from bot.ports import JsonDict


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg/mod.py").write_text(
        "one = 1\n\ndef two():\n    return one\n\ndef three():\n    return one\n"
    )
    (root / ".git").mkdir()
    (root / ".git/config").write_text("[core]\n")
    (tmp_path / "outside.txt").write_text("a secret\n")
    return root


def do(root: Path, tool: str, **given: object) -> tuple[bool, str]:
    defaults: JsonDict = {
        "read": {"first": 1, "count": 400},
        "edit": {"every": False},
        "list": {"path": ".", "pattern": ""},
        "grep": {"path": ".", "files_like": ""},
    }.get(tool, {})
    done = answer(root, {"tool": tool, **defaults, **given})
    return done["ok"], done["text"]


def test_lines_come_with_their_numbers_and_a_range(root: Path) -> None:
    assert do(root, "read", path="pkg/mod.py", first=3, count=2) == (
        True,
        "     3\tdef two():\n     4\t    return one\n(7 lines in all; shown to 4)",
    )
    assert do(root, "read", path="pkg/mod.py", first=90)[1] == "pkg/mod.py has 7 lines"


def test_a_long_file_and_a_long_line_are_cut_and_it_is_said(root: Path) -> None:
    (root / "long.txt").write_text("x" * 9_000 + "\n" + "word\n" * 20_000)
    ok, text = do(root, "read", path="long.txt", count=2_000)
    assert ok
    assert len(text) < TEXT + 100
    assert "shown to" in text
    assert len(text.splitlines()[0]) < 2_100


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b"a\0b"), "binary"),
        (lambda path: path.mkdir(), "no regular file"),
        (os.mkfifo, "no regular file"),
        (lambda path: path.write_bytes(b"x" * (5 << 20)), "too much"),
        (lambda path: path.symlink_to("nowhere"), "No such file"),
        (lambda path: path.symlink_to(path), "Too many levels|No such file"),
    ],
)
def test_what_is_no_text_is_refused_with_its_reason(root: Path, make: object, said: str) -> None:
    make(root / "odd")  # type: ignore[operator]
    ok, text = do(root, "read", path="odd")
    assert not ok
    assert any(each in text for each in said.split("|")), text


def test_an_edit_replaces_the_one_place(root: Path) -> None:
    assert do(root, "edit", path="pkg/mod.py", old="one = 1", new="one = 2") == (
        True,
        "changed pkg/mod.py at line 1",
    )
    assert (root / "pkg/mod.py").read_text().startswith("one = 2\n\ndef two")


def test_an_edit_that_fits_nowhere_or_twice_says_where_to_look(root: Path) -> None:
    before = (root / "pkg/mod.py").read_text()
    assert (
        "occurs 2 times in pkg/mod.py (lines 4, 7)"
        in do(root, "edit", path="pkg/mod.py", old="    return one", new="x")[1]
    )
    assert (
        "its first line stands at 4, 7"
        in do(root, "edit", path="pkg/mod.py", old="\treturn one\n", new="x")[1]
    )
    assert "read the file again" in do(root, "edit", path="pkg/mod.py", old="nothing so", new="x")[1]
    assert (root / "pkg/mod.py").read_text() == before
    assert do(root, "edit", path="pkg/mod.py", old="return one", new="return 1", every=True)[0]
    assert (root / "pkg/mod.py").read_text().count("return 1") == 2


def test_line_ends_and_bytes_that_are_no_utf_8_stay_as_they_were(root: Path) -> None:
    (root / "dos.txt").write_bytes(b"a\r\nb \xff\r\nc\r\n")
    assert do(root, "edit", path="dos.txt", old="a\nb", new="x\nb")[0]
    assert (root / "dos.txt").read_bytes() == b"x\r\nb \xff\r\nc\r\n"


def test_a_file_is_written_with_its_folders(root: Path) -> None:
    assert do(root, "write", path="new/deep/file.txt", text="a\nb\n") == (
        True,
        "made new/deep/file.txt, 2 lines",
    )
    assert do(root, "write", path="new/deep/file.txt", text="c")[1].startswith("replaced")
    assert do(root, "write", path="new", text="c") == (False, "new is a folder")
    assert not do(root, "write", path="pkg/mod.py/below", text="c")[0]


def test_folders_are_listed_and_files_found_by_pattern_in_bounds(root: Path) -> None:
    for number in range(ENTRIES + 5):
        (root / f"n{number:04}.txt").write_text("word\n")
    assert do(root, "list", path="pkg") == (True, "mod.py")
    assert do(root, "list", pattern="*.py") == (True, "pkg/mod.py")
    everything = do(root, "list")[1]
    assert everything.endswith("(and 6 more)")
    assert ".git" not in everything
    assert do(root, "list", path="pkg/mod.py") == (False, "pkg/mod.py is no folder")
    found = do(root, "grep", pattern="^word$")[1].splitlines()
    assert len(found) == MATCHES + 1
    assert do(root, "grep", pattern="return", files_like="*.py")[1] == (
        "pkg/mod.py:4: return one\npkg/mod.py:7: return one"
    )
    assert do(root, "grep", pattern="core", path=".") == (True, "nothing")


@pytest.mark.parametrize(
    "path",
    ["../outside.txt", "/etc/passwd", "link/outside.txt", "link", ".git/config", "pkg/../.git", "a\0b"],
)
@pytest.mark.parametrize("tool", ["read", "write", "edit", "list", "grep"])
def test_nothing_leads_out_of_the_worktree_or_into_git(root: Path, tool: str, path: str) -> None:
    (root / "link").symlink_to(root.parent)
    more: JsonDict = {"write": {"text": "x"}, "edit": {"old": "a", "new": "b"}, "grep": {"pattern": "a"}}.get(
        tool, {}
    )
    ok, text = do(root, tool, path=path, **more)
    assert not ok
    assert "secret" not in text
    assert (root.parent / "outside.txt").read_text() == "a secret\n"
    assert (root / ".git/config").read_text() == "[core]\n"


def test_a_search_does_not_follow_links_out(root: Path) -> None:
    (root / "link").symlink_to(root.parent)
    (root / "file-link").symlink_to(root.parent / "outside.txt")
    assert do(root, "grep", pattern="secret") == (True, "nothing")
    assert "outside" not in do(root, "list", pattern="*.txt")[1]


@given(name=st.text(max_size=60))
def test_any_name_is_inside_or_refused(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.getbasetemp()
    try:
        found = inside(root.resolve(), name)
    except (RefusedError, OSError, UnicodeEncodeError):
        return
    assert found.is_relative_to(root.resolve())
