"""CODEOWNERS as GitHub reads it: its documentation's examples, and git's own answer for what both say the same of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.core import codeowners

DOCUMENTED = r"""
# The order is important; the last matching pattern takes the most precedence.
*       @global-owner1 @global-owner2
*.js    @js-owner #This is an inline comment.
*.go docs@example.com
*.txt @octo-org/octocats
/build/logs/ @doctocat
docs/*  docs@example.com
apps/ @octocat
/docs/ @doctocat
/scripts/ @doctocat @octocat
**/logs @octocat
/apps/ @octocat
/apps/github
"""
BOTH = [
    "*",
    "*.py",
    "/a/",
    "a/",
    "/a",
    "a/b",
    "/a/b.py",
    "**/b",
    "a/**",
    "a/**/c",
    "b.*",
    "?.py",
    "/*.py",
    "a/b/",
]
PATHS = ["a", "a.py", "a/b", "a/b.py", "a/b/c", "a/x/c", "b", "b/a/b.py", "c/a/b", "x/b/y"]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("README.md", ("@global-owner1", "@global-owner2")),
        ("src/a.js", ("@js-owner",)),
        ("main.go", ("docs@example.com",)),
        ("notes.txt", ("@octo-org/octocats",)),
        ("build/logs/x.txt", ("@octocat",)),
        ("docs/getting-started.md", ("@doctocat",)),
        ("x/docs/a/b.md", ("@global-owner1", "@global-owner2")),
        ("x/apps/y/z", ("@octocat",)),
        ("scripts/run", ("@doctocat", "@octocat")),
        ("deep/er/logs/a/b", ("@octocat",)),
        ("apps/web/x", ("@octocat",)),
        ("apps/github/x", ()),
    ],
)
def test_the_documented_example(path: str, wanted: tuple[str, ...]) -> None:
    assert codeowners.owners(codeowners.parse(DOCUMENTED), path) == wanted


def test_a_star_at_the_end_means_the_files_of_one_folder() -> None:
    rules = codeowners.parse("docs/* @d")
    assert codeowners.owners(rules, "docs/a.md") == ("@d",)
    assert codeowners.owners(rules, "docs/build-app/troubleshooting.md") == ()


def test_what_github_does_not_know_is_left_out() -> None:
    rules = codeowners.parse("!a @x\n[ab].py @y\n\\#a @z\nb not-an-owner\n")
    assert codeowners.owners(rules, "a") == ()
    assert codeowners.owners(rules, "a.py") == ()
    assert codeowners.owners(rules, "#a") == ("@z",)
    assert codeowners.owners(rules, "b") == ()


def test_the_first_place_counts_and_files_are_named_by_owner() -> None:
    assert codeowners.place(["CODEOWNERS", "docs/CODEOWNERS"]) == "CODEOWNERS"
    assert codeowners.place(["a/CODEOWNERS", ".github/CODEOWNERS", "CODEOWNERS"]) == ".github/CODEOWNERS"
    assert codeowners.place(["x"]) is None
    rules = codeowners.parse("* @all\n*.py @py @all")
    assert codeowners.needed(rules, ["a.py", "b.md"]) == {"@py": ("a.py",), "@all": ("a.py", "b.md")}


@pytest.mark.parametrize("pattern", BOTH)
def test_git_says_the_same(tmp_path: Path, pattern: str) -> None:
    (tmp_path / ".gitignore").write_text(f"{pattern}\n")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, timeout=60)
    asked = subprocess.run(
        ["git", "-C", str(tmp_path), "check-ignore", "--no-index", "--stdin"],
        input="".join(f"{path}\n" for path in PATHS),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    rules = codeowners.parse(f"{pattern} @o")
    assert [path for path in PATHS if codeowners.owners(rules, path)] == asked.stdout.split()


@given(st.text(alphabet="*?/ab.@# \n", max_size=200), st.text(alphabet="ab/.", max_size=40))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_file_can_be_read(text: str, path: str) -> None:
    found = codeowners.owners(codeowners.parse(text), path)
    assert all("@" in owner for owner in found)


def test_a_hostile_pattern_is_read_in_time() -> None:
    rules = codeowners.parse(f"{'*a' * 2000} @o\n{'**/' * 500}x @o")
    assert codeowners.owners(rules, "a" * 4000 + "b") == ()
