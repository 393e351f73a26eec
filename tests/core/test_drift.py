"""What an agent's steps say of its run: each rule at its threshold and below it, and what holds of every run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from bot.core.drift import MOST_STEPS, ContextDriftDetector, Signal, Step, StepKind, normalize
from bot.core.plans import Kind

READ = Step(action="read", args="a.py", observation="text", kind="read")
TEST = Step(action="shell", args="pytest", observation="1 failed", kind="execute")
FAILED = Step(action="shell", args="make", ok=False, kind="execute")
REJECTED = Step(action="edit", args="a.py", ok=False, kind="edit")
MESSAGE = Step(action="message", kind="message")
THOUGHT = Step(action="thought", kind="think")


def a_step(number: int, **changes: Any) -> Step:
    """A step that repeats no other."""
    return Step(**{"action": "read", "args": f"file {number}", "observation": f"{number}", **changes})


def fold(steps: Iterable[Step], **options: Any) -> list[tuple[Signal, ...]]:
    detector = ContextDriftDetector(**options)
    return [detector.observe(step) for step in steps]


def said(steps: Iterable[Step], **options: Any) -> set[tuple[str, str]]:
    return {(signal.code, signal.act) for signals in fold(steps, **options) for signal in signals}


def at_the_end(steps: Iterable[Step], **options: Any) -> set[tuple[str, str]]:
    return {(signal.code, signal.act) for signal in fold(steps, **options)[-1]}


def changing(steps: Sequence[Step]) -> list[Step]:
    return [
        Step(action=s.action, args=s.args, observation=s.observation, kind=s.kind, ok=s.ok, tree=f"{n}")
        for n, s in enumerate(steps)
    ]


# Each rule at its threshold, and one step below.


def test_the_fourth_equal_step_in_a_row_stops() -> None:
    assert ("REPEAT", "stop") not in said([READ] * 3)
    assert ("REPEAT", "stop") in at_the_end([READ] * 4)


def test_equal_steps_that_change_the_tree_each_time_are_work() -> None:
    assert said(changing([READ] * 20)) == set()


def test_a_third_equal_call_that_failed_nudges_and_the_fourth_stops() -> None:
    failures = [Step(action="shell", args="make", observation=f"{n}", ok=False) for n in range(4)]
    assert said(failures[:2]) == set()
    assert at_the_end(failures[:3]) == {("REPEAT_ERR", "nudge")}
    assert at_the_end(failures) == {("REPEAT_ERR", "stop")}


def test_failures_of_different_calls_are_no_row() -> None:
    assert said([a_step(n, ok=False, kind="execute") for n in range(11)]) == set()


@pytest.mark.parametrize("length", range(1, 6))
def test_a_cycle_stops_in_its_fifth_round(length: int) -> None:
    # Results differ, so that no other loop rule has a say; the longest stands still for long, too.
    steps = [Step(action="read", args=f"{n % length}", observation=f"{n}") for n in range(5 * length)]
    assert said(steps[:-1], task_class="complex") <= {("NO_PROGRESS", "nudge")}
    assert at_the_end(steps, task_class="complex") - {("NO_PROGRESS", "nudge")} == {("CYCLE", "stop")}


def test_a_cycle_of_six_steps_is_not_looked_for() -> None:
    assert ("CYCLE", "stop") not in said([a_step(n % 6, observation=f"{n}") for n in range(36)])


def test_a_cycle_whose_rounds_leave_other_trees_is_work() -> None:
    rounds = [Step(action=("edit", "test")[n % 2], tree=f"{n // 2}") for n in range(40)]
    assert said(rounds) == set()


def test_a_cycle_that_undoes_its_own_changes_stops() -> None:
    rounds = [Step(action=("edit", "undo")[n % 2], observation=f"{n}", tree="ab"[n % 2]) for n in range(10)]
    assert said(rounds[:-1]) == set()
    assert at_the_end(rounds) == {("CYCLE", "stop")}


def test_two_steps_that_take_turns_stop_at_the_sixth() -> None:
    turns = [READ, TEST] * 3
    assert ("ALTERNATE", "stop") not in said(turns[:5])
    assert ("ALTERNATE", "stop") in at_the_end(turns)


def test_equal_steps_take_no_turns() -> None:
    assert ("ALTERNATE", "stop") not in said([READ] * 6)


def test_steps_that_take_turns_with_new_results_go_on() -> None:
    assert said([a_step(n % 2, observation=f"{n}") for n in range(6)]) == set()


def test_the_same_result_nudges_at_the_third_time_and_stops_at_the_fourth_while_no_file_changed() -> None:
    steps = [step for n in range(4) for step in (a_step(n), READ)]
    assert said(steps[:5]) == set()
    assert at_the_end(steps[:6]) == {("STATE_REPEAT", "nudge")}
    assert at_the_end(steps) == {("STATE_REPEAT", "stop")}


def test_running_the_tests_again_after_each_change_is_normal_work() -> None:
    steps = [step for n in range(20) for step in (Step(action="edit", args=f"{n}", tree=f"{n}"), TEST)]
    assert said(steps) == set()


@pytest.mark.parametrize(("kind", "patience"), [("documentation", 1), ("simple", 1), ("complex", 2)])
def test_standing_still_nudges_and_then_stops_by_the_class_of_the_task(kind: Kind, patience: int) -> None:
    steps = [a_step(n, tree="0") for n in range(15 * patience)]
    assert said(steps[: 12 * patience - 1], task_class=kind) == set()
    assert at_the_end(steps[: 12 * patience], task_class=kind) == {("NO_PROGRESS", "nudge")}
    assert said(steps[12 * patience : -1], task_class=kind) <= {("NO_PROGRESS", "nudge")}
    assert at_the_end(steps, task_class=kind) == {("NO_PROGRESS", "stop")}


def test_a_tree_that_nobody_looked_at_is_no_sign_of_a_change() -> None:
    trees = ["", "0", "", "0", *[""] * 11]
    assert ("NO_PROGRESS", "stop") in at_the_end(a_step(n, tree=tree) for n, tree in enumerate(trees))


def test_the_first_tree_is_a_change_only_where_another_was_there_before() -> None:
    steps = [*(a_step(n) for n in range(11)), a_step(11, tree="1")]
    assert at_the_end(steps) == {("NO_PROGRESS", "nudge")}
    assert at_the_end(steps, tree="0") == set()


def test_rejected_edits_nudge_at_the_third_and_stop_at_the_fifth() -> None:
    edits = [Step(action="edit", args=f"{n}", ok=False, kind="edit") for n in range(5)]
    assert said(edits[:2]) == set()
    assert at_the_end(edits[:3]) == {("EDIT_FAIL", "nudge")}
    assert at_the_end(edits[:4]) == set()
    assert at_the_end(edits) == {("EDIT_FAIL", "stop")}


@pytest.mark.parametrize("between", [a_step(9, kind="edit", ok=True), READ], ids=["accepted", "a look"])
def test_another_step_between_rejected_edits_starts_the_row_again(between: Step) -> None:
    edits = [Step(action="edit", args=f"{n}", ok=False, kind="edit") for n in range(4)]
    assert said([*edits[:2], between, *edits[2:]]) == set()


def test_changes_outside_the_scope_only_ever_nudge() -> None:
    outside = [a_step(n, kind="edit", tree=f"{n}", files=(f"other/{n}.py",)) for n in range(40)]
    assert said(outside, scope=["src"]) == {("SCOPE_DRIFT", "nudge")}
    assert said(outside, scope=["src", "other/*"]) == set()
    assert said(outside) == set()


def test_no_more_files_are_remembered_than_can_be_looked_at_in_each_step() -> None:
    steps = [
        a_step(n, kind="edit", tree=f"{n}", files=tuple(f"other/{n}-{m}.py" for m in range(700)))
        for n in range(3)
    ]
    detector = ContextDriftDetector(scope=["src", "other/0-*"])
    signals = [signal for step in steps for signal in detector.observe(step)]
    assert [signal.text.partition(".")[0] for signal in signals] == [
        "Outside this task's scope: 300 of 1000 changed files"
    ]


def test_reading_outside_the_scope_is_no_drift() -> None:
    assert said([a_step(0, kind="read", files=("other.py",))], scope=["src"]) == set()


def test_a_command_that_changed_the_tree_changed_the_files_it_names() -> None:
    steps = [a_step(n, kind="execute", tree=f"{n}", files=("other.py",)) for n in range(2)]
    assert at_the_end(steps[:1], scope=["src"]) == set()
    assert at_the_end(steps, scope=["src"]) == {("SCOPE_DRIFT", "nudge")}


def test_a_stray_file_that_is_removed_again_is_forgiven() -> None:
    made = a_step(0, kind="edit", tree="0", files=("repro.py",))
    removed = a_step(1, kind="delete", tree="1", files=("repro.py",))
    again = a_step(2, kind="edit", tree="2", files=("repro.py",))
    assert [len(signals) for signals in fold([made, removed, again], scope=["src"])] == [1, 0, 1]


def test_the_third_message_without_an_action_nudges() -> None:
    assert said([MESSAGE] * 2) == set()
    assert at_the_end([MESSAGE, THOUGHT, MESSAGE, MESSAGE]) == {("MONOLOGUE", "nudge")}
    assert said([MESSAGE, MESSAGE, READ, MESSAGE, MESSAGE]) == set()


def test_more_steps_than_allowed_stop() -> None:
    steps = [a_step(n, tree=f"{n}") for n in range(5)]
    assert said(steps[:4], max_steps=4) == set()
    assert at_the_end(steps, max_steps=4) == {("BUDGET", "stop")}
    flood = [Step(action="message", args=str(n), kind="message") for n in range(MOST_STEPS + 1)]
    assert ("BUDGET", "stop") not in said(flood[:-1])
    assert ("BUDGET", "stop") in at_the_end(flood)


def test_more_tokens_than_allowed_stop() -> None:
    steps = [a_step(n, tree=f"{n}", tokens=50) for n in range(3)]
    assert said(steps[:2], max_tokens=100) == set()
    assert at_the_end(steps, max_tokens=100) == {("BUDGET", "stop")}


# What the two reference detectors are tested for, told anew with our steps.


def test_parity_with_openhands_a_short_history_is_not_stuck() -> None:
    assert said([MESSAGE, TEST]) == set()


def test_parity_with_openhands_different_commands_are_not_stuck() -> None:
    assert (
        said([Step(action="terminal", args=c, observation=c) for c in ("ls", "pwd", "whoami", "date")])
        == set()
    )


def test_parity_with_openhands_one_nudge_after_the_third_error_and_stuck_after_the_fourth() -> None:
    acts = [[s.act for s in signals if s.code == "REPEAT_ERR"] for signals in fold([FAILED] * 4)]
    assert acts == [[], [], ["nudge"], ["stop"]]


def test_parity_with_openhands_an_agent_that_corrects_itself_after_the_nudge_goes_on() -> None:
    signals = fold([FAILED, FAILED, FAILED, READ, MESSAGE])
    assert [bool(given_) for given_ in signals] == [False, False, True, False, False]
    assert {signal.act for given_ in signals for signal in given_} == {"nudge"}


def test_parity_with_openhands_only_the_last_steps_count_for_a_row() -> None:
    old = [a_step(n, tree=f"{n}") for n in range(50)]
    assert ("REPEAT", "stop") in at_the_end([*old, MESSAGE, MESSAGE, *[READ] * 4])


def test_parity_with_gemini_cli_four_equal_calls_with_new_results_are_no_loop_and_five_are() -> None:
    calls = [Step(action="testTool", args="value", observation=f"{n}") for n in range(6)]
    assert [bool(signals) for signals in fold(calls)] == [False, False, False, False, True, True]


def test_parity_with_gemini_cli_three_different_calls_in_three_rounds_are_no_loop() -> None:
    calls = [("testTool", "value1"), ("testTool", "value2"), ("anotherTool", "value1")] * 3
    steps = [Step(action=a, args=b, observation=f"{n}") for n, (a, b) in enumerate(calls)]
    assert said(steps) == set()


@pytest.mark.parametrize("other", [MESSAGE, THOUGHT], ids=["message", "thought"])
def test_parity_with_gemini_cli_thoughts_and_messages_between_calls_do_not_hide_a_loop(other: Step) -> None:
    calls = [Step(action="testTool", args="value", observation=f"{n}") for n in range(5)]
    assert at_the_end([*calls[:4], other, calls[4]]) == {("CYCLE", "stop")}


# Nudges, texts.


def test_a_nudge_is_given_once_until_its_condition_was_gone() -> None:
    still = [a_step(n, tree="0") for n in range(13)]
    moved = a_step(13, tree="1")
    again = [a_step(n, tree="1") for n in range(14, 26)]
    nudged = [n for n, signals in enumerate(fold([*still, moved, *again])) if signals]
    assert nudged == [11, 25]


def test_stops_come_before_nudges() -> None:
    acts = [signal.act for signal in fold([REJECTED] * 4)[-1]]
    assert acts == sorted(acts, key=("stop", "nudge").index)
    assert "stop" in acts


def test_people_and_agents_read_what_is_wrong() -> None:
    steps = [FAILED] * 4 + [READ, TEST] * 3 + [MESSAGE] * 3 + [REJECTED] * 3
    texts = [f"{s.act} {s.code}: {s.text}" for signals in fold(steps, max_steps=15) for s in signals]
    assert texts == snapshot(
        [
            "nudge REPEAT_ERR: `shell` failed 3 times in a row with the same arguments. Read the error and do something else.",
            "nudge STATE_REPEAT: `shell` gave the same result 3 times while no file changed. Its result is known: use it, or do something else.",
            "stop REPEAT: `shell` came 4 times in a row with the same result.",
            "stop REPEAT_ERR: `shell` failed 4 times in a row with the same arguments.",
            "stop STATE_REPEAT: `shell` gave the same result 4 times while no file changed.",
            "nudge STATE_REPEAT: `read` gave the same result 3 times while no file changed. Its result is known: use it, or do something else.",
            "stop ALTERNATE: `read` and `shell` took turns for 6 steps with the same results.",
            "stop ALTERNATE: `read` and `shell` took turns for 6 steps with the same results.",
            "stop ALTERNATE: `read` and `shell` took turns for 6 steps with the same results.",
            "stop ALTERNATE: `read` and `shell` took turns for 6 steps with the same results.",
            "nudge MONOLOGUE: 3 messages without an action. Go on with the task, or finish it.",
            "nudge NO_PROGRESS: 12 steps changed no file. Make the change now, finish if nothing is left to do, or say what is missing.",
            "stop BUDGET: The run took more than 15 steps.",
            "nudge REPEAT_ERR: `edit` failed 3 times in a row with the same arguments. Read the error and do something else.",
            "nudge STATE_REPEAT: `edit` gave the same result 3 times while no file changed. Its result is known: use it, or do something else.",
            "nudge EDIT_FAIL: 3 edits in a row were rejected. Read the file again before the next edit.",
        ]
    )


def test_the_texts_of_standing_still_and_of_the_scope() -> None:
    steps = [a_step(0, kind="edit", files=("x.py",)), *(a_step(n) for n in range(1, 15))]
    texts = {s.text for signals in fold(steps, scope=["src"]) for s in signals if s.code != "STATE_REPEAT"}
    assert sorted(texts) == snapshot(
        [
            "12 steps changed no file. Make the change now, finish if nothing is left to do, or say what is missing.",
            "15 steps changed no file.",
            "Outside this task's scope: 1 of 1 changed files. Keep to the scope, and remove files that were only made to try something out.",
        ]
    )


@pytest.mark.parametrize(
    "action",
    ["@dana <img src=x> #1\n# Heading", "x" * 500, "", "ghp_" + "a1B2" * 9, "`` ` | \u202e"],
    ids=["active", "long", "none", "secret", "marks"],
)
def test_the_name_of_an_action_can_do_nothing_in_a_text(action: str) -> None:
    text = fold([Step(action=action, args="secret args", observation="secret result")] * 4)[-1][0].text
    shown = text.removesuffix(" came 4 times in a row with the same result.")
    assert "\n" not in text
    assert "secret" not in text
    assert len(shown) < 60
    assert shown == "An action" or (shown.startswith("`") and shown.endswith("`"))
    assert "ghp_" not in text


# What holds of every run.

KINDS: tuple[StepKind, ...] = ("read", "edit", "delete", "execute", "think", "message")
any_step = st.builds(
    Step,
    action=st.sampled_from(["a", "b"]),
    args=st.sampled_from(["", "x"]),
    observation=st.sampled_from(["", "y"]),
    ok=st.sampled_from([None, True, False]),
    kind=st.sampled_from(KINDS),
    tree=st.sampled_from(["", "0", "1", "2"]),
    files=st.sampled_from([(), ("src/a.py",), ("b.py",)]),
    tokens=st.integers(0, 100),
)
any_run = st.lists(any_step, max_size=60)


@given(any_run, st.data())
def test_a_run_continued_from_its_stored_steps_says_what_it_would_have_said(
    steps: list[Step], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(steps)))
    whole = fold(steps, scope=["src"], max_steps=50, max_tokens=2000)
    first = ContextDriftDetector(["src"], max_steps=50, max_tokens=2000)
    begun = [first.observe(step) for step in steps[:cut]]
    second = ContextDriftDetector(["src"], max_steps=50, max_tokens=2000)
    assert [second.observe(step) for step in first.steps] == begun == whole[:cut]
    assert [second.observe(step) for step in steps[cut:]] == whole[cut:]
    assert second.steps == tuple(steps)


@given(st.lists(st.tuples(any_step, st.booleans()), max_size=80))
def test_no_run_is_stopped_in_which_every_step_is_new_and_changes_the_tree(
    drawn: list[tuple[Step, bool]],
) -> None:
    kinds: list[tuple[Step, StepKind]] = [(step, "edit" if edit else "execute") for step, edit in drawn]
    steps = [
        Step(action=step.action, args=f"{n}", ok=True, kind=kind, tree=f"{n}", files=step.files)
        for n, (step, kind) in enumerate(kinds)
    ]
    assert all(act != "stop" for _, act in said(steps, scope=["src"]))


@given(any_run)
def test_messages_and_thoughts_change_nothing_that_is_said_of_actions(steps: list[Step]) -> None:
    actions = [step for step in steps if step.kind not in ("message", "think")]
    alone = said(actions, scope=["src"])
    assert {(code, act) for code, act in said(steps, scope=["src"]) if code != "MONOLOGUE"} == alone


@given(any_run)
def test_the_scope_never_stops_and_no_text_is_empty(steps: list[Step]) -> None:
    signals = [signal for given_ in fold(steps, scope=["src"]) for signal in given_]
    assert all(signal.text and "\n" not in signal.text for signal in signals)
    assert all(signal.act == "nudge" for signal in signals if signal.code in ("SCOPE_DRIFT", "MONOLOGUE"))


# Normalizing.


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<object at 0x7f00aa12bc>", "<object at 0x7f99ffffee>"),
        ("3 passed in 0.12s", "3 passed in 14.07s"),
        ("took 3 ms, then 2 seconds", "took 912 ms,  then 1 seconds"),
        ("2026-11-22T10:00:01.123Z ok", "2026-11-23 11:59:59+02:00 ok"),
        ("at 10:00:01", "at 23:59:59.5"),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id 00000000-0000-4000-8000-00000000000f"),
        ("cat /tmp/tmpab12cd34/a.py", "cat /tmp/tmpzz_zzzz9/a.py"),
        ("/tmp/pytest-of-dana/pytest-12/x", "/tmp/pytest-of-ci/pytest-3/x"),
        ("/tmp/run-x1y2z3w4/a", "/tmp/run-q9r8s7t6/a"),
        ("/var/folders/ab/c0d1/T/tmpab12cd34", "/var/folders/ab/c0d1/T/tmpzz_zzzz9"),
        ("a\n\n  b\t", "a b"),
    ],
)
def test_what_differs_by_chance_is_taken_out(one: str, other: str) -> None:
    assert normalize(one) == normalize(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/tmp/tmpab12cd34/a.py", "/tmp/tmpab12cd34/b.py"),
        ("/tmp/a.py", "/tmp/b.py"),
        ("/tmp/test-case12", "/tmp/test-case13"),
        ("/tmp/my-library", "/tmp/my-project"),
        ("open a.py 10", "open a.py 11"),
        ("3 passed", "4 passed"),
        ("tmp_backups", "tmp_results"),
        ("version 1.2.3", "version 1.2.4"),
    ],
)
def test_what_tells_two_steps_apart_stays(one: str, other: str) -> None:
    assert normalize(one) != normalize(other)


@given(st.text(alphabet="0123456789abcdefx:-./ tmpsTZ\n", max_size=60))
def test_normalizing_twice_is_normalizing_once(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)


@pytest.mark.parametrize("unit", ["0", "1:", "/tmp/a-", "1.", "a", "0x", " 1", "/tmp/tmp"])
def test_long_texts_are_normalized_quickly(unit: str) -> None:
    assert len(normalize(unit * 50_000)) <= 50_000 * len(unit)
