"""The class of a task by its planned files; doubt goes upward."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.config import Models
from bot.core.routing import CLASSES, Choice, Market, ModelRouter, Role

TREE = ["docs/a.md", "docs/b.md", "src/a.py", "src/b.py", "tests/test_a.py", "README.md", "pyproject.toml"]


@pytest.mark.parametrize(
    ("scope", "kind"),
    [
        (["docs/a.md", "README.md"], "documentation"),
        (["docs"], "documentation"),
        (["docs/*.md"], "documentation"),
        (["docs/new.md"], "documentation"),
        (["docs/picture.png", "README.md"], "documentation"),
        (["docs/conf.py"], "simple"),
        (["website/src/index.ts", "website/src/theme.ts"], "complex"),
        (["requirements.txt"], "simple"),
        (["lib/CMakeLists.txt"], "simple"),
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


NAMED = Models(
    planning=("p:dear", "p:cheap"),
    documentation=("p:dear", "p:cheap", "p:free"),
    simple=("p:mystery", "p:dear"),
    complex=("p:best",),
)
PRICES = {"p:dear": 5.0, "p:cheap": 0.5, "p:free": 0.0, "p:best": 9.0, "p:mystery": None}


def chosen(role: Role, *, free_tier: bool = False, promoted: bool = False, **closed: str) -> Choice:
    gone = {f"p:{model}": why for model, why in closed.items()}
    market = Market(PRICES, frozenset({"p:free"}), gone)
    return ModelRouter().route(role, NAMED, free_tier=free_tier, market=market, promoted=promoted)


def test_the_cheapest_allowed_model_comes_first_and_an_unknown_price_last() -> None:
    assert chosen("documentation").models == ("p:cheap", "p:dear")
    assert chosen("documentation", free_tier=True).models == ("p:free", "p:cheap", "p:dear")
    assert chosen("simple").models == ("p:dear", "p:mystery")


def test_planning_keeps_the_order_that_people_wrote() -> None:
    assert chosen("planning").models == ("p:dear", "p:cheap")


def test_a_failed_check_promotes_by_one_class_and_never_beyond_the_last() -> None:
    assert [chosen(kind, promoted=True).role for kind in CLASSES] == ["simple", "complex", "complex"]
    assert chosen("planning", promoted=True).role == "planning"
    assert "promoted from documentation to simple" in chosen("documentation", promoted=True).reasons[0]


def test_a_class_without_a_usable_model_takes_a_dearer_class_and_says_so() -> None:
    choice = chosen("simple", dear="out of quota", mystery="gone")
    assert (choice.role, choice.models, choice.closed) == ("complex", ("p:best",), ("p:mystery", "p:dear"))
    assert "`p:dear` is left out: out of quota" in choice.reasons
    assert "no model is usable for simple, so one for complex" in choice.reasons


def test_where_nothing_is_allowed_nothing_is_chosen() -> None:
    choice = ModelRouter().route(
        "planning",
        Models(planning=("p:free",)),
        free_tier=False,
        market=Market(free_tier=frozenset({"p:free"})),
    )
    assert (choice.models, choice.refused) == ((), ("p:free",))


@given(
    st.sampled_from(CLASSES),
    st.booleans(),
    st.booleans(),
    st.sets(st.sampled_from(sorted(PRICES))),
)
def test_no_route_goes_down_or_uses_what_is_closed_or_not_allowed(
    kind: Role, free_tier: bool, promoted: bool, closed: set[str]
) -> None:
    gone = {model.removeprefix("p:"): "closed" for model in closed}
    choice = chosen(kind, free_tier=free_tier, promoted=promoted, **gone)
    assert CLASSES.index(choice.role) >= CLASSES.index(kind)
    assert not closed & set(choice.models)
    assert free_tier or "p:free" not in choice.models
    costs = [PRICES[model] for model in choice.models]
    known = [cost for cost in costs if cost is not None]
    assert known == sorted(known)
    assert None not in costs[: len(known)]
