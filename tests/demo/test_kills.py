from hypothesis import given
from hypothesis import strategies as st

from bot.demo.kills import Executioner, Kill, plan_kills


@given(st.integers(0, 20), st.integers(), st.integers(1, 8))
def test_a_seed_always_chooses_the_same_kills(count: int, seed: int, tasks: int) -> None:
    assert plan_kills(count, seed, tasks) == plan_kills(count, seed, tasks)
    assert len(plan_kills(count, seed, tasks)) == count


def test_seeds_choose_differently() -> None:
    assert len({plan_kills(5, seed, 3) for seed in range(20)}) > 15


def test_a_kill_waits_for_calls_and_then_for_its_delay() -> None:
    executioner = Executioner((Kill(3, 0.0), Kill(2, 1.0)))
    assert [executioner.strike(calls, 0.0) for calls in (10, 11, 12)] == [False, False, False]
    assert executioner.strike(13, 0.0)
    assert [executioner.strike(calls, 5.0) for calls in (13, 14, 15)] == [False, False, False]
    assert not executioner.strike(15, 5.9)
    assert executioner.strike(15, 6.0)
    assert executioner.left == 0
    assert not executioner.strike(100, 100.0)
