"""What a change may touch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import policy


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/ci.yml",
        "CODEOWNERS",
        ".gitattributes",
        "deep/down/.gitattributes",
        ".gitmodules",
        "AGENTS.md",
        "tasks/issue-1/BACKLOG.yaml",
        "infra/prod.tf",
    ],
)
def test_protected_paths_are_named(path: str) -> None:
    assert policy.protected(["src/a.py", path], ["infra/**"], "tasks") == (path,)


@pytest.mark.parametrize(
    "path", ["src/a.py", "github/a.py", "docs/tasks.md", "taskset/a.py", "my.gitattributes.txt"]
)
def test_ordinary_paths_are_not_protected(path: str) -> None:
    assert policy.protected([path], [], "tasks") == ()


def test_a_scope_covers_files_folders_and_patterns() -> None:
    scope = ("src/pkg", "docs/*.md", "setup.py")
    changed = ["src/pkg/deep/a.py", "docs/a.md", "setup.py", "src/other.py", "setup.pyc"]
    assert policy.outside(changed, scope) == ("src/other.py", "setup.pyc")


@given(st.sampled_from(["./src/a.py", "src//a.py", "src/./a.py", "src/", "src/**", "*.py", "src/a.py"]))
def test_a_change_is_outside_exactly_where_its_scope_does_not_lease_it(entry: str) -> None:
    assert policy.outside(["src/a.py"], [entry]) == ()
    assert policy.outside(["docs/a.md"], [entry]) == ("docs/a.md",)


def test_only_secrets_on_new_lines_count() -> None:
    token = "ghp_" + "a1B2" * 9
    old = f"kept = '{token}'\n".encode()
    new = old + f"added = '{token[:-1]}x'\n".encode()
    found = policy.new_secrets({"a.py": old}, {"a.py": new})
    assert [(path, line) for path, line, _ in found] == [("a.py", 2)]
    assert policy.new_secrets({"a.py": old}, {"a.py": old}) == ()
