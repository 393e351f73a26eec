"""What a head's checks say together."""

import pytest

from bot.core.checks import rollup
from bot.core.values import Check
from tests.core.builders import a_check

GREEN, RED, RUNNING = a_check(), a_check(conclusion="failure"), a_check(conclusion=None)
SKIPPED = a_check("docs", "skipped")
OURS = a_check("gitwright/task", "failure", ours=True)


@pytest.mark.parametrize(
    ("checks", "base", "mergeable", "verdict"),
    [
        ([GREEN], [], True, "green"),
        ([GREEN, SKIPPED], [], None, "green"),
        ([GREEN, RED], [], True, "red"),
        ([RED, RUNNING], [], True, "red"),
        ([GREEN, RUNNING], [], True, "running"),
        ([a_check(conclusion="action_required")], [], True, "awaiting_approval"),
        ([a_check(conclusion="a new word of GitHub's")], [], True, "running"),
        ([a_check(conclusion="cancelled")], [], True, "red"),
        ([GREEN], [], False, "conflicted"),
    ],
)
def test_others_checks_are_judged_together(
    checks: list[Check], base: list[Check], mergeable: bool | None, verdict: str
) -> None:
    assert rollup(checks, base, mergeable).verdict == verdict


def test_nothing_that_ran_is_never_green() -> None:
    assert rollup([], [GREEN], True).verdict == "missing"
    assert rollup([SKIPPED], [GREEN], True).verdict == "missing"


def test_no_checks_on_the_base_either_means_that_there_is_no_ci() -> None:
    assert rollup([], [], True).verdict == "no_ci"


def test_the_bots_own_checks_never_count() -> None:
    assert rollup([OURS], [OURS], True).verdict == "no_ci"
    assert rollup([OURS, GREEN], [], True).verdict == "green"


def test_what_failed_is_named() -> None:
    assert rollup([GREEN, a_check("lint", "failure")], [], True).names == ("lint",)
