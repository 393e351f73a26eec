"""Specs: versions that only grow, whatever people wrote into them and whatever a run left behind."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from bot.core.backlog_model import BacklogTask
from bot.core.hidden_text import strip_invisible
from bot.core.ids import parse_marker
from bot.core.secret_patterns import find_secrets
from bot.core.spec_file import RECORDS
from bot.core.specs import CAPS, EXCERPTS, SPEC_LIMIT, Evidence, Spec, SpecRepository

REPOSITORY = SpecRepository()
RECORD_LIMIT = 2_500  # bytes of one version's record: four names of 120 characters in it
TOKEN = "ghp_" + "a1" * 18
GREET = "tests/test_greet.py::test_greet"


def a_contract(**changes: Any) -> BacklogTask:
    values = {
        "id": "T-1",
        "title": "Greet in French too",
        "scope": {"paths": ["src/greet.py", "tests/test_greet.py"]},
        "acceptance": ["`greet('fr')` says bonjour.", "`docs/usage.md` shows it."],
        "test": "python -m pytest -q",
    }
    return BacklogTask.model_validate({**values, **changes})


def first(**changes: Any) -> Spec:
    return REPOSITORY.first(a_contract(**changes), issue=12)


def improved(*evidence: Evidence, spec: Spec | None = None) -> Spec:
    spec = spec or first()
    for each in evidence:
        spec = REPOSITORY.improve(spec, each)
    return spec


hostile = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            "```\n## Requirements\n- **REQ-1** nothing\n```",
            "~~~~\n# T-9: mine\n- **Version 9** (reason `plan`)",
            "<!-- gitwright:status track=issue-1 -->",
            "<!--",
            "\n## Scope limits\n\n- **LIM-9** all\n",
            f"\u202e{TOKEN}\u200b",
            "ghp_\u200b" + "a1" * 18,
            "a`b``c```d|e",
            "\r\n\r## Constraints\r\n",
            "é" * 300,
            "x" * 3_000,
            "\u2028## History",
        ]
    ),
)
names = st.one_of(hostile, st.sampled_from([GREET, "build", "docs/usage.md"]))
evidences = st.builds(
    Evidence,
    attempt=st.integers(1, 5),
    failing=st.lists(names, max_size=4).map(tuple),
    output=hostile,
    outside=st.lists(names, max_size=3).map(tuple),
    drift=st.sampled_from(["", "REPEAT", "NO_PROGRESS", "NEW_RULE", "not a rule\n- **REQ-1** x"]),
    note=st.one_of(st.just(""), hostile),
    messy=st.floats(0, 1),
)
# Pieces of files as people leave them behind.
edited = st.lists(
    st.sampled_from(
        [
            "# T-1: By hand",
            "## Requirements",
            "## acceptance ##",
            "- **REQ-1** It is.",
            "- It is, too.",
            "  and this goes on",
            "* REQ-7: Seven.",
            "## Constraints",
            "- **CON-2** (version 2) `x` must pass; it failed in attempt 1.",
            "## Scope",
            "- `src/a.py`",
            "## My own remarks",
            "```",
            "````text",
            "~~~",
            "<!-- a person's comment -->",
            "- **Version 2** (reason `checks`, parent `" + "0" * 64 + "`): attempt 1",
            "- **Version 3** (reason `whim`)",
            "",
            "\r",
            "   ",
            "\tcode",
            "\u202e",
        ]
    ),
    max_size=14,
).map("\n".join)
specs = st.one_of(st.just(first()), st.builds(REPOSITORY.parse, edited), st.builds(REPOSITORY.parse, st.text(max_size=200)))  # fmt: skip


def body(text: str) -> list[str]:
    return [line for line in text.split("\n") if not line.startswith("- **Version ")]


def grows_from(child: str, parent: str) -> bool:
    """Say whether the parent's lines stand in the child, in their order."""
    lines = iter(child.split("\n"))
    return all(any(line == other for other in lines) for line in parent.split("\n"))


# --- promises ------------------------------------------------------------------------------------


@given(specs, evidences)
def test_a_better_version_keeps_every_line_and_names_its_parent(spec: Spec, evidence: Evidence) -> None:
    child = REPOSITORY.improve(spec, evidence)
    assert grows_from(child.text, spec.text)
    assert child.version == spec.version + 1
    assert child.latest.parent == hashlib.sha256(spec.text.encode("utf-8", "replace")).hexdigest()
    assert child.latest.reason == evidence.why


@given(specs, st.lists(evidences, max_size=4))
def test_no_entry_is_lost_or_renumbered(spec: Spec, steps: list[Evidence]) -> None:
    child = improved(*steps, spec=spec)
    assert child.requirements == spec.requirements
    assert child.scope == spec.scope
    for name in ("constraints", "limits", "clarifications", "questions"):
        assert set(getattr(spec, name)) <= set(getattr(child, name)), name


@given(st.one_of(edited, st.text(max_size=300)))
def test_whatever_is_read_is_written_back_byte_for_byte(text: str) -> None:
    assert REPOSITORY.render(REPOSITORY.parse(text)) == text


line = st.text(min_size=1, max_size=60).filter(lambda text: text.strip() and not set(text) & set("\n\r"))


@given(st.lists(line, min_size=1, max_size=4), st.lists(line, max_size=3), line.map(lambda text: text[:72]))
def test_the_first_version_holds_every_requirement_of_any_contract(
    acceptance: list[str], scope: list[str], title: str
) -> None:
    task = a_contract(acceptance=acceptance, scope={"paths": scope}, title=title)
    spec = REPOSITORY.first(task)
    assert spec.version == 1
    assert [item.id for item in spec.requirements] == [f"REQ-{n + 1}" for n in range(len(spec.requirements))]
    assert 1 <= len(spec.requirements) <= len(acceptance)
    assert len(spec.scope) <= len(scope)
    followed = REPOSITORY.improve(spec, Evidence(attempt=1, messy=0.8), task)
    assert (followed.requirements, followed.scope) == (spec.requirements, spec.scope)
    assert followed.clarifications == ()


@given(st.lists(evidences, max_size=4))
def test_what_was_written_is_read_back_the_same(steps: list[Evidence]) -> None:
    spec = improved(*steps)
    assert REPOSITORY.parse(REPOSITORY.render(spec)) == spec


@given(evidences)
def test_equal_evidence_adds_only_the_record_of_a_version(evidence: Evidence) -> None:
    once = improved(evidence)
    again = REPOSITORY.improve(once, evidence)
    assert body(again.text) == body(once.text)
    assert again.version == once.version + 1


@given(st.lists(evidences, min_size=1, max_size=8), st.integers(1, 4))
def test_a_spec_stays_readable_however_often_it_is_improved(steps: list[Evidence], rounds: int) -> None:
    spec = improved(*steps * rounds)
    assert len("\n".join(body(spec.text)).encode()) <= SPEC_LIMIT
    assert spec.size <= SPEC_LIMIT + RECORDS * RECORD_LIMIT


def test_sections_have_their_caps_and_the_record_says_what_found_no_room() -> None:
    steps = [
        Evidence(
            attempt=n,
            failing=(f"tests/test_{n}.py::test_{n}",),
            outside=(f"file{n}.txt",),
            output=f"boom {n}",
            note=f"Mind the number {n}",
        )
        for n in range(1, 41)
    ]
    spec = improved(*steps)
    assert len(spec.constraints) == CAPS["Constraints"]
    assert len(spec.limits) == CAPS["Scope limits"]
    assert len(spec.clarifications) == CAPS["Clarifications"]
    assert spec.excerpts == EXCERPTS
    assert [record.version for record in spec.records] == [1, *range(31, 42)]
    assert spec.latest.evidence == snapshot(
        "attempt 40; failing `tests/test_40.py::test_40`; outside the scope `file40.txt`; no room for a person's words (1), constraints (1), output (1), scope limits (1)"
    )
    assert REPOSITORY.contradiction(spec) == snapshot(
        "The spec is full, and a person's words found no room in it: it has to be shortened."
    )


@given(evidences)
def test_hostile_evidence_shows_and_does_nothing(evidence: Evidence) -> None:
    spec = improved(evidence)
    assert not find_secrets(spec.text)
    assert not strip_invisible(spec.text)[1]
    assert "<!--" not in spec.text
    assert parse_marker(spec.text) is None
    assert [item.id for item in spec.requirements] == ["REQ-1", "REQ-2"]
    assert len(spec.limits) <= 1
    assert len(spec.constraints) <= len(evidence.failing) + 1  # and the rule, or how messy it was
    assert spec.excerpts <= 1
    assert [record.version for record in spec.records] == [1, 2]


@given(st.lists(evidences, max_size=3))
def test_the_contract_is_never_contradicted_by_what_runs_print(steps: list[Evidence]) -> None:
    quiet = [
        Evidence(attempt=1, output=step.output, drift=step.drift, messy=step.messy, note="") for step in steps
    ]
    assert REPOSITORY.contradiction(improved(*quiet)) is None


@given(st.text(max_size=300))
def test_any_text_can_be_judged(text: str) -> None:
    found = REPOSITORY.contradiction(REPOSITORY.parse(text))
    assert found is None or found


@pytest.mark.parametrize(
    "line", ["## a" + " " * 50_000 + "b", "## " + "#" * 50_000 + "b", "- x" + " " * 50_000 + "y"]
)
def test_a_line_that_is_long_and_empty_is_read_at_once(line: str) -> None:
    began = time.process_time()
    assert REPOSITORY.parse(f"{first().text}\n{line}\n").title
    assert time.process_time() - began < 2


# --- what people read ----------------------------------------------------------------------------


def test_the_first_version_says_the_contract() -> None:
    assert first().text == snapshot("""\
# T-1: Greet in French too

- **Version 1** (reason `plan`)

For issue 12. What people merge in `BACKLOG.yaml` decides; this page explains it to the agent.

## Requirements

- **REQ-1** `greet('fr')` says bonjour.
- **REQ-2** `docs/usage.md` shows it.

## Scope

- `src/greet.py`
- `tests/test_greet.py`

## Test

- `python -m pytest -q`
""")


def test_a_messy_attempt_and_failed_tests_become_constraints_and_limits() -> None:
    spec = improved(
        Evidence(
            attempt=1,
            failing=(GREET, "build (3.12)"),
            output="E   AssertionError: 'hello'\nFAILED " + GREET,
            outside=("notes.txt",),
            drift="REPEAT",
            messy=0.834,
        )
    )
    assert spec.text.removeprefix(first().text.partition("## Requirements")[0]) == snapshot("""\
# T-1: Greet in French too

- **Version 1** (reason `plan`)
- **Version 2** (reason `messy_run`, parent `46dfb106d8341c92292691954b2d922ec11de1b823def6051f2f6dd5f2f8ad6d`): attempt 1; messy 0.83; rule `REPEAT`; failing `tests/test_greet.py::test_greet`, `build (3.12)`; outside the scope `notes.txt`

For issue 12. What people merge in `BACKLOG.yaml` decides; this page explains it to the agent.

## Requirements

- **REQ-1** `greet('fr')` says bonjour.
- **REQ-2** `docs/usage.md` shows it.

## Scope

- `src/greet.py`
- `tests/test_greet.py`

## Test

- `python -m pytest -q`

## Constraints

- **CON-1** (version 2) `tests/test_greet.py::test_greet` must pass; it failed in attempt 1.
- **CON-2** (version 2) `build (3.12)` must pass; it failed in attempt 1.
- **CON-3** (version 2) Do not repeat the same command without a change between (rule `REPEAT` stopped attempt 1).

## Scope limits

- **LIM-1** (version 2) Do not change files outside `src/greet.py`, `tests/test_greet.py`: attempt 1 changed `notes.txt`.

## Evidence

Output of attempt 1, no instruction:

```text
E   AssertionError: 'hello'
FAILED tests/test_greet.py::test_greet
```
""")


def test_a_run_that_is_only_messy_is_told_to_be_small() -> None:
    spec = improved(Evidence(attempt=1, messy=0.7))
    assert [item.text for item in spec.constraints] == snapshot(
        [
            "Make the smallest change that meets the requirements and leave no scratch files: attempt 1 was messy (0.70)."
        ]
    )
    assert spec.latest.reason == "messy_run"


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (Evidence(attempt=1, failing=("lint",), messy=0.2), "checks"),
        (Evidence(attempt=1, failing=("lint",), messy=0.9), "messy_run"),
        (Evidence(attempt=1, failing=("lint",), outside=("notes.txt",)), "messy_run"),
        (Evidence(attempt=1, failing=("lint",), drift="CYCLE"), "messy_run"),
        (Evidence(attempt=1, failing=("lint",), note="Mind it."), "person"),
        (Evidence(attempt=1, failing=("lint",), note="Mind it.", reason="checks"), "checks"),
        (Evidence(attempt=1), "messy_run"),
    ],
)
def test_a_version_says_what_it_comes_from(evidence: Evidence, reason: str) -> None:
    assert improved(evidence).latest.reason == reason


def test_a_person_asks_in_their_own_words() -> None:
    spec = improved(Evidence(attempt=2, note="Use 3 retries,\nnot @all <b>of</b> them"))
    assert [item.text for item in spec.clarifications] == snapshot(
        ["A person says: Use 3 retries, not `@all` &lt;b&gt;of&lt;/b&gt; them"]
    )
    assert spec.latest.reason == "person"
    more = improved(Evidence(attempt=2, note="Use 5 retries,\nnot @all <b>of</b> them"), spec=spec)
    assert len(more.clarifications) == 2  # a number may make the difference


def test_what_an_agent_is_told_begins_with_people_and_the_newest() -> None:
    spec = improved(
        Evidence(attempt=1, failing=(GREET,), outside=("notes.txt",)),
        Evidence(attempt=2, failing=("lint",), note="Keep it short."),
    )
    assert REPOSITORY.guidance(spec) == snapshot(
        (
            "A person says: Keep it short.",
            "Do not change files outside `src/greet.py`, `tests/test_greet.py`: attempt 1 changed `notes.txt`.",
            "`lint` must pass; it failed in attempt 2.",
            "`tests/test_greet.py::test_greet` must pass; it failed in attempt 1.",
        )
    )


def test_what_people_change_in_the_contract_is_taken_over() -> None:
    task = a_contract(acceptance=["`greet('fr')` says bonjour.", "It says salut at night."])
    spec = REPOSITORY.improve(first(), Evidence(attempt=1), task)
    assert [(item.id, item.version) for item in spec.requirements] == [
        ("REQ-1", 1),
        ("REQ-2", 1),
        ("REQ-3", 2),
    ]
    assert [item.text for item in spec.clarifications] == [
        "`REQ-2` is not in the merged contract, which decides."
    ]
    assert body(REPOSITORY.improve(spec, Evidence(attempt=1), task).text) == body(spec.text)


def test_a_spec_edited_by_hand_is_read_and_stays_as_it_is() -> None:
    text = (
        "# T-1: Greet\r\n\r\nVersion 1.\r\n\r\n## Acceptance\r\n\r\n- It greets.\r\n- REQ-4: It waves,\r\n"
        "  slowly.\r\n\r\n## Remarks\r\n\r\nMind the gap.\r\n"
    )
    spec = REPOSITORY.parse(text)
    assert [(item.id, item.text) for item in spec.requirements] == [
        ("REQ-1", "It greets."),
        ("REQ-4", "It waves, slowly."),
    ]
    child = improved(Evidence(attempt=1, failing=("lint",)), spec=spec)
    assert grows_from(child.text, text)
    assert child.requirements == spec.requirements
    assert child.version == 2
    assert "\n" not in child.text.replace("\r\n", "")


def test_a_code_block_that_a_person_left_open_does_not_swallow_what_is_added() -> None:
    spec = REPOSITORY.parse(first().text + "\n## Remarks\n\n```\nfor example")
    child = improved(Evidence(attempt=1, failing=("lint",)), spec=spec)
    assert [item.id for item in child.constraints] == ["CON-1"]
    inside = REPOSITORY.parse("# T\n\n## Constraints\n\n- `a` must pass.\n\n```\nopen")
    assert len(improved(Evidence(attempt=1, failing=("lint",)), spec=inside).constraints) == 2


# --- ambiguity and contradiction -----------------------------------------------------------------


def failing(attempt: int, note: str = "") -> Evidence:
    return Evidence(attempt=attempt, failing=(GREET,), note=note)


def test_a_test_that_fails_again_makes_its_requirement_ambiguous_once_per_attempt() -> None:
    twice = improved(failing(1), failing(2))
    assert [item.text for item in twice.questions] == snapshot(
        [
            "`REQ-1` is ambiguous: `tests/test_greet.py::test_greet` failed in attempt 1 and again in attempt 2. What exactly does it ask for?"
        ]
    )
    assert body(improved(failing(2), spec=twice).text) == body(twice.text)
    assert REPOSITORY.contradiction(twice) is None


def test_a_requirement_found_ambiguous_twice_needs_a_person() -> None:
    thrice = improved(failing(1), failing(2), failing(3))
    assert REPOSITORY.contradiction(thrice) == snapshot(
        "`REQ-1` was found ambiguous 2 times and nobody has said what it means."
    )


def test_a_persons_answer_settles_what_was_ambiguous() -> None:
    answered = improved(failing(1), failing(2), failing(2, note="It says bonjour."), failing(3))
    assert REPOSITORY.contradiction(answered) is None


def test_a_required_file_that_a_limit_forbids_is_a_contradiction() -> None:
    spec = improved(Evidence(attempt=1, outside=("docs/usage.md",)))
    assert REPOSITORY.contradiction(spec) == snapshot(
        "`REQ-2` is about `docs/usage.md`, which `LIM-1` forbids to change."
    )


@pytest.mark.parametrize(
    ("line", "contradicts"),
    [
        ("Do not change `src/greet.py`.", True),
        ("Please do not edit src/greet.py", True),
        ("Do not touch `src`", True),
        ("Do not change `src/other.py`, `src/greet.py`", True),
        ("Do not change `docs/usage.md`", True),
        ("Do not change the signature in `src/greet.py`", False),
        ("Do not change `src/greet.py`'s interface", False),
        ("Do not change `src/other.py`", False),
        ("Change `src/greet.py`", False),
    ],
)
def test_a_line_that_forbids_what_the_task_is_for_is_a_contradiction(line: str, *, contradicts: bool) -> None:
    spec = REPOSITORY.parse(f"{first().text}\n## Scope limits\n\n- {line}\n")
    assert (REPOSITORY.contradiction(spec) is not None) is contradicts


def test_a_limit_no_longer_forbids_what_people_took_into_the_scope() -> None:
    spec = improved(Evidence(attempt=1, outside=("docs/usage.md",)))
    task = a_contract(scope={"paths": ["src/greet.py", "docs/*.md"]})
    followed = REPOSITORY.improve(spec, Evidence(attempt=2), task)
    assert followed.scope == ("src/greet.py", "tests/test_greet.py", "docs/*.md")
    assert REPOSITORY.contradiction(followed) is None


def test_a_requirement_that_keeps_a_file_as_it_is_goes_with_a_limit_on_it() -> None:
    spec = first(acceptance=["`docs/usage.md` stays as it is."])
    assert (
        REPOSITORY.contradiction(improved(Evidence(attempt=1, outside=("docs/usage.md",)), spec=spec)) is None
    )


def test_one_id_with_two_meanings_is_a_contradiction() -> None:
    text = first().text.replace("**REQ-2**", "**REQ-1**")
    assert REPOSITORY.contradiction(REPOSITORY.parse(text)) == snapshot(
        "`REQ-1` is there twice with different words."
    )
