"""The class of a task by its planned files; doubt goes upward."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.routing import ModelRouter

TREE = ["docs/a.md", "docs/b.md", "src/a.py", "src/b.py", "tests/test_a.py", "README.md", "pyproject.toml"]


@pytest.mark.parametrize(
    ("scope", "kind"),
    [
        (["docs/a.md", "README.md"], "documentation"),
        (["docs"], "documentation"),
        (["docs/*.md"], "documentation"),
        (["docs/new.md"], "documentation"),
        (["src/a.py"], "simple"),
        (["src/a.py", "tests/test_a.py", "README.md"], "simple"),
        (["tests/test_a.py"], "simple"),
        (["src/a.py", "src/b.py"], "complex"),
        (["src"], "complex"),
        (["src/*.py"], "complex"),
        (["*"], "complex"),
        ([], "complex"),
        ([" "], "complex"),
        ([".github/workflows/ci.yml"], "complex"),
        ([".github/README.md"], "complex"),
        (["src/a.py", "tests/test_a.py", "README.md", "docs/a.md"], "complex"),
        (["package.json", "package-lock.json"], "simple"),
        (["src/auth/login.py"], "complex"),
        (["db/migrations/0001.py"], "complex"),
    ],
)
def test_the_class_follows_from_the_files(scope: list[str], kind: str) -> None:
    route = ModelRouter().classify(scope, TREE)
    assert route.kind == kind
    assert route.reasons


def test_what_is_protected_waited_for_or_large_goes_upward() -> None:
    router = ModelRouter()
    assert router.classify(["src/a.py"], TREE, protected=["src"]).kind == "complex"
    assert router.classify(["src/a.py"], TREE, dependants=2).kind == "complex"
    assert router.classify(["src/a.py"], TREE, estimate="L").kind == "complex"


@given(
    st.lists(st.sampled_from([*TREE, "src", "docs", "*.py", "new.py"]), max_size=4),
    st.sampled_from([*TREE, "src", "*"]),
)
def test_more_files_never_make_a_task_simpler(scope: list[str], more: str) -> None:
    order = ["documentation", "simple", "complex"]
    router = ModelRouter()
    if scope:
        wider = router.classify([*scope, more], TREE).kind
        assert order.index(wider) >= order.index(router.classify(scope, TREE).kind)
