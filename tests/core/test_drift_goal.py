"""Thoughts that lead away from the goal warn, and nothing more; what took a session's place is told in few words."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.drift import ContextDriftDetector, Signal, Step
from bot.core.drift_goal import SAMPLES, THOUGHTS, GoalWatch
from bot.core.drift_summary import touched, tried

GOAL = "Round durations of less than a minute to whole seconds\nformat_duration(59.6) gives 60 s"
ON = (
    "format_duration rounds the seconds wrongly below a minute",
    "I look how durations of less than a minute are formatted",
    "the seconds are cut and not rounded to whole ones",
    "a duration of 59.6 seconds must give 60 s",
)
OFF = (
    "the logging of the database pool could be nicer",
    "let me tidy the imports of the web server",
    "perhaps a new colour for the button",
    "the continuous integration uses an old image",
)


def thinking(*texts: str, goal: str = GOAL) -> list[tuple[Signal, ...]]:
    detector = ContextDriftDetector(goal=goal)
    return [detector.observe(Step(action="think", args=text, kind="think")) for text in texts]


def codes(found: list[tuple[Signal, ...]]) -> list[tuple[int, str, str]]:
    return [(n, signal.code, signal.act) for n, signals in enumerate(found) for signal in signals]


LONG = [f"{ON[n % 4]} {n}" for n in range(THOUGHTS + SAMPLES)]


def test_thoughts_that_leave_the_goal_warn_once() -> None:
    found = codes(thinking(*LONG, *OFF))
    assert {(code, act) for _, code, act in found} == {("GOAL_DRIFT", "warn")}
    assert len(found) <= 2
    assert found[0][0] >= len(LONG)


def test_without_a_goal_nobody_says_so() -> None:
    assert codes(thinking(*LONG, *OFF, goal="")) == []


def test_before_the_run_has_a_percentile_of_its_own_nothing_is_said() -> None:
    assert codes(thinking(*LONG[: SAMPLES // 2], *OFF)) == []


def test_thoughts_that_come_nearer_are_not_falling() -> None:
    assert codes(thinking(*[f"{OFF[n % 4]} {n}" for n in range(THOUGHTS + SAMPLES)], *ON)) == []


@given(st.lists(st.sampled_from([*ON, *OFF, "", "\N{GRINNING FACE}"]), max_size=60), st.text(max_size=40))
def test_the_goal_only_ever_warns(texts: list[str], goal: str) -> None:
    assert {act for _, code, act in codes(thinking(*texts, goal=goal)) if code == "GOAL_DRIFT"} <= {"warn"}


def test_a_flood_of_thoughts_is_compared_in_bounded_time() -> None:
    watch, began = GoalWatch(GOAL), time.process_time()
    for number in range(100):
        watch.leads_away(" ".join(f"word{number}x{n}" for n in range(3_000)))
    for _ in range(100_000):
        watch.leads_away("on and on")
    assert time.process_time() - began < 10.0


def step(args: str, *, ok: bool | None = True, **changes: object) -> Step:
    return Step(action="execute", args=args, ok=ok, kind="execute", **changes)  # type: ignore[arg-type]


def test_what_was_tried_is_told_newest_last_each_action_once() -> None:
    edit = Step(action="edit", args="a.py", ok=True, kind="edit", files=("src/a.py",))
    thought = Step(action="think", args="hm", kind="think")
    steps = [
        step("make", ok=False, observation="error 1"),
        edit,
        thought,
        step("make", ok=False, observation="error 2"),
    ]
    assert tried(steps) == ("edit a.py: succeeded", "execute make: failed, 2 times: error 2")
    assert touched(steps) == ("src/a.py",)


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_a_long_run_is_told_in_few_words(size: int) -> None:
    lines = tried([step("x" * size + str(n), ok=False, observation="y" * size) for n in range(100)])
    assert len(lines) == 20
    assert sum(map(len, lines)) < 10_000
