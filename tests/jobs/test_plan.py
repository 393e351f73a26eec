"""What a round of planners comes to where some of them have to wait."""

from __future__ import annotations

from bot.errors import ParkedError
from bot.jobs.plan import waited_for


def test_a_round_waits_where_all_of_its_planners_do_and_for_the_first_of_them() -> None:
    soon, late = ParkedError("429", 60.0), ParkedError("429", 900.0)
    assert waited_for([late, soon, late]) is soon


def test_a_round_of_which_a_planner_failed_for_good_is_not_paid_for_again() -> None:
    assert waited_for([ParkedError("429", 60.0), None, None]) is None
    assert waited_for([None, None, None]) is None
    assert waited_for([]) is None
