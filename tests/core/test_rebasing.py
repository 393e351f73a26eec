"""What happens to a red, messy or conflicted run: every row of the table, and that it always comes to an end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from pydantic import TypeAdapter

from bot.core.messy import MESSY_THRESHOLD
from bot.core.rebasing import MOST_RERUNS, RULES, DecisionKind, RebaseDecision, RebaseEngine, Situation, Where

MESS = MESSY_THRESHOLD
RED = Situation(where="after_push", red=True, failing=("t::a", "t::b"), trend=(2,))
CALM = Situation(where="after_push")
TORN = replace(CALM, conflicts=("src/a.py",), behind=1)
CLOCKWORK = replace(CALM, conflicts=("uv.lock",), mechanical=("uv.lock",), behind=2)


def decide(situation: Situation) -> RebaseDecision:
    return RebaseEngine().decide(situation)


def row(situation: Situation) -> str:
    return next(rule.name for rule in RULES if rule.when(situation))


@dataclass(frozen=True, slots=True)
class Case:
    """A situation, the row that must hold first, and what it decides."""

    row: str
    kind: DecisionKind
    situation: Situation


ROWS = [
    Case("protected", "ask_person", replace(RED, protected=(".github/workflows/ci.yml",))),
    Case("secret", "ask_person", replace(RED, secrets=("a private key in `src/a.py`",))),
    Case("budget", "ask_person", replace(RED, budget_spent=True)),
    Case("contradiction", "ask_person", replace(RED, contradiction="It must and must not fail.")),
    Case("messy_again", "ask_person", replace(CALM, messy=MESS, regenerations=2)),
    Case("flaky", "rerun", replace(RED, flaky=RED.failing)),
    Case("flaky", "rerun", replace(RED, flaky=("t::a",), fails_on_base=("t::b",))),
    Case("flaky", "rerun", replace(RED, where="before_push", flaky=RED.failing)),
    Case("flaky", "rerun", replace(RED, messy=MESS, flaky=RED.failing)),
    Case("base", "wait_for_base", replace(RED, fails_on_base=RED.failing)),
    Case("base", "wait_for_base", replace(RED, fails_on_base=RED.failing, flaky=("t::a",), reruns=MOST_RERUNS)),
    # Before the push the second look was taken: what is flaky did pass, what stays red is red on the base.
    Case("base", "wait_for_base", replace(RED, where="before_push", flaky=("t::a",), fails_on_base=("t::b",))),
    Case("behind", "rebase", replace(RED, behind=3)),
    Case("behind", "rebase", replace(RED, behind=3, people=True)),
    Case("mechanical", "rebase", CLOCKWORK),
    Case("conflict_with_people", "ask_person", replace(TORN, people=True)),
    Case("conflict", "rebase_and_fix", TORN),
    Case("conflict", "rebase_and_fix", replace(TORN, conflicts=("uv.lock", "src/a.py"), mechanical=("uv.lock",))),
    Case("fix", "fix_forward", RED),
    Case("fix", "fix_forward", replace(RED, where="before_push")),
    Case("fix", "fix_forward", replace(RED, people=True)),
    Case("fix", "fix_forward", replace(RED, behind=3, may_rebase=False)),
    Case("fix", "fix_forward", replace(RED, flaky=RED.failing, reruns=MOST_RERUNS)),
    Case("fix", "fix_forward", replace(RED, flaky=("t::a",))),
    Case("fix", "fix_forward", replace(RED, fails_on_base=("t::a",))),
    Case("fix", "fix_forward", replace(RED, where="before_push", flaky=("t::a",))),
    Case("fix", "fix_forward", replace(RED, behind=3, rebased_onto_tip=True, trend=(2, 2))),
    Case("fix", "fix_forward", replace(RED, trend=(3, 2), fixes=1)),
    Case("fix", "fix_forward", replace(RED, trend=(3, 2, 2), fixes=1)),  # a rebase or a rerun in between
    Case("fix", "fix_forward", replace(RED, trend=(3, 0, 2), fixes=1)),  # green before the push, red in CI
    Case("hopeless_with_people", "ask_person", replace(RED, messy=MESS, people=True)),
    Case("hopeless_with_people", "ask_person", replace(RED, trend=(2, 2), fixes=1, people=True)),
    Case("messy", "regenerate", replace(CALM, where="before_push", messy=MESS)),
    Case("messy", "regenerate", replace(CALM, where="before_push", drifted="CYCLE")),
    Case("messy", "regenerate", replace(RED, where="before_push", messy=MESS, flaky=RED.failing)),
    Case("messy", "regenerate", replace(RED, messy=MESS, behind=1)),
    Case("messy", "regenerate", replace(CLOCKWORK, messy=MESS)),
    Case("messy", "regenerate", replace(TORN, messy=MESS)),
    Case("messy", "regenerate", replace(TORN, messy=MESS, may_rebase=False)),
    Case("never", "ask_person", replace(TORN, may_rebase=False)),
    Case("never", "ask_person", replace(CLOCKWORK, may_rebase=False)),
    Case("persists", "regenerate", replace(TORN, conflict_persists=True, fixes=1)),
    Case("persists", "regenerate", replace(TORN, conflict_persists=True, fixes=1, red=True, trend=(1,))),
    Case("stuck", "regenerate", replace(RED, trend=(2, 2), fixes=1)),
    Case("stuck", "regenerate", replace(RED, trend=(1, 2), fixes=1)),
    Case("stuck", "regenerate", replace(RED, trend=(3, 1, 2), fixes=2)),
    Case("regenerations_spent", "ask_person", replace(RED, trend=(2, 2), fixes=1, regenerations=2)),
    Case("regenerations_spent", "ask_person", replace(TORN, conflict_persists=True, regenerations=2)),
    Case("fixes_spent", "ask_person", replace(RED, trend=(3, 2, 1), fixes=2)),
    Case("fixes_spent", "ask_person", replace(TORN, fixes=2)),
    Case("fixes_spent", "ask_person", replace(RED, max_fixes=0)),
    Case("else", "ask_person", CALM),
    Case("else", "ask_person", replace(CALM, behind=1)),
    Case("else", "ask_person", replace(CALM, conflict_persists=True)),
    Case("else", "ask_person", replace(CALM, trend=(2, 2), fixes=1)),
    Case("else", "ask_person", replace(CLOCKWORK, rebased_onto_tip=True)),
]  # fmt: skip


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.row)
def test_the_first_row_that_holds_decides(case: Case) -> None:
    assert (row(case.situation), decide(case.situation).kind) == (case.row, case.kind)


def test_every_row_of_the_table_has_a_case() -> None:
    assert list(dict.fromkeys(case.row for case in ROWS)) == [rule.name for rule in RULES]


def test_a_score_just_below_the_threshold_is_not_messy() -> None:
    assert decide(replace(RED, messy=MESS - 0.001)).kind == "fix_forward"


def test_a_conflict_that_is_no_longer_there_does_not_persist() -> None:
    assert decide(replace(RED, conflict_persists=True)).kind == "fix_forward"


def test_a_test_that_does_not_fail_excuses_nothing() -> None:
    assert decide(replace(RED, failing=(), flaky=("t::a",), fails_on_base=("t::a",))).kind == "fix_forward"
    assert decide(replace(RED, red=False, flaky=RED.failing)).kind == "ask_person"


# --- words -------------------------------------------------------------------------------------------


def test_each_row_says_why_in_a_sentence() -> None:
    assert {case.row: decide(case.situation).why for case in reversed(ROWS)} == snapshot(
        {
            "else": "Nothing is red, messy or in conflict, and no rule says what to do about it.",
            "fixes_spent": "`t::a`, `t::b` fail, and the fixes without being asked are used up (2 of 2).",
            "regenerations_spent": "`t::a`, `t::b` fail, and the task was regenerated 2 of 2 times already.",
            "stuck": "The failures do not get fewer (2, 2): the spec is improved, and the task starts anew from the default branch.",
            "never": "The branch conflicts with the default branch in `src/a.py`, and the settings say `rebase: never`.",
            "persists": "The agent could not resolve the conflict in `src/a.py`: the spec is improved, and the task starts anew from the default branch.",
            "messy": "The run is messy (score 0.50): the spec is improved, and the task starts anew from the default branch.",
            "hopeless_with_people": "The run is messy (score 0.50), and starting anew would leave a person's commits behind.",
            "fix": "`t::a`, `t::b` fail: the agent gets what failed and adds a commit (fix 1 of 2).",
            "conflict": "The branch conflicts with the default branch in `src/a.py`: it is rebased, and only the conflict goes to the agent.",
            "conflict_with_people": "The branch conflicts with the default branch in `src/a.py` and holds a person's commits, which are never rewritten.",
            "mechanical": "Only files that are written by rule are in conflict: `uv.lock`. It is rebased, and they are written anew.",
            "behind": "The branch is red and 3 commits behind the default branch, without a conflict: it is rebased, then the checks run again.",
            "base": "The default branch fails in the same way: `t::a`, `t::b`. The task waits until it is mended there.",
            "flaky": "What fails is known to be flaky or has passed on this commit: `t::a`, `t::b`. The tests run once more on the same commit, and both results are kept.",
            "messy_again": "The run is messy (score 0.50), and the task was regenerated 2 of 2 times already.",
            "contradiction": "The spec contradicts itself: It must and must not fail.",
            "budget": "The budget is spent.",
            "secret": "The change holds what looks like a secret: `` a private key in `src/a.py` ``.",
            "protected": "The change touches what only people may change: `.github/workflows/ci.yml`.",
        }
    )


def test_a_persons_commits_change_the_words_of_a_rebase() -> None:
    assert decide(replace(RED, behind=1, people=True)).why == snapshot(
        "The branch is red and 1 commit behind the default branch, without a conflict: the default branch is merged into it, because a person's commits stay as they are, then the checks run again."
    )


def test_the_inputs_name_what_the_row_looked_at_and_whatever_else_is_unusual() -> None:
    assert decide(replace(RED, trend=(5, 2), fixes=1, messy=0.2)).inputs == snapshot(
        (
            ("red", "yes"),
            ("failing", "`t::a`, `t::b`"),
            ("trend", "5, 2"),
            ("messy", "0.20, messy from 0.50"),
            ("fixes", "1 of 2"),
        )
    )


def test_names_from_tests_and_trees_do_nothing_where_they_are_shown() -> None:
    hostile = ("a`b @team", "<!-- x -->\n# y", "", "n" * 500, "z")
    decision = decide(replace(RED, failing=hostile, trend=(5,)))
    assert decision.why == snapshot(
        "``a`b @team``, `<!-- x --> # y`, `?` and 2 more fail: the agent gets what failed and adds a commit (fix 1 of 2)."
    )


# --- promises ----------------------------------------------------------------------------------------

paths = st.lists(st.sampled_from(["a.py", "b.py", "uv.lock", "docs/c.md"]), unique=True, max_size=3).map(
    tuple
)
tests = st.lists(st.sampled_from(["t::a", "t::b", "t::c"]), unique=True, max_size=3).map(tuple)
few = st.integers(0, 4)
rarely = st.sampled_from([False] * 15 + [True])
wheres: st.SearchStrategy[Where] = st.sampled_from(["before_push", "after_push"])
situations = st.builds(
    Situation,
    where=wheres,
    red=st.sampled_from([True, True, False]),
    failing=tests,
    trend=st.lists(few, max_size=5).map(tuple),
    flaky=tests,
    reruns=few,
    fails_on_base=tests,
    conflicts=paths,
    mechanical=paths,
    conflict_persists=st.booleans(),
    behind=few,
    rebased_onto_tip=st.booleans(),
    messy=st.sampled_from([0.0] * 6 + [MESS, 1.0]),
    drifted=st.sampled_from([""] * 7 + ["CYCLE"]),
    fixes=few,
    max_fixes=few,
    regenerations=few,
    max_regenerations=few,
    protected=rarely.map(lambda yes: ("Makefile",) if yes else ()),
    secrets=rarely.map(lambda yes: ("a token",) if yes else ()),
    budget_spent=rarely,
    contradiction=rarely.map(lambda yes: "It must and must not." if yes else ""),
    people=st.booleans(),
    may_rebase=st.booleans(),
)


@given(situations)
def test_every_situation_gets_one_decision_that_says_why(situation: Situation) -> None:
    decision = decide(situation)
    event(row(situation))
    assert decision == decide(situation)
    assert decision.why[-1] in ".!?"
    assert "{" not in decision.why
    assert decision.inputs
    assert all(name and value for name, value in decision.inputs)


@given(situations)
def test_a_situation_and_its_decision_can_be_stored(situation: Situation) -> None:
    stored = TypeAdapter(Situation)
    assert stored.validate_json(stored.dump_json(situation)) == situation
    kept = TypeAdapter(RebaseDecision)
    assert kept.validate_json(kept.dump_json(decide(situation))) == decide(situation)


@given(situations)
def test_a_persons_commits_are_never_left_behind_nor_given_to_an_agent_to_merge(situation: Situation) -> None:
    decision = decide(replace(situation, people=True))
    assert decision.kind not in ("regenerate", "rebase_and_fix")
    if decision.kind == "rebase":
        assert set(situation.conflicts) <= set(situation.mechanical)
        assert "merged into it" in decision.why


@given(situations)
def test_what_only_people_may_decide_always_goes_to_a_person(situation: Situation) -> None:
    for stop in (
        {"protected": ("Makefile",)},
        {"secrets": ("a token",)},
        {"budget_spent": True},
        {"contradiction": "x"},
    ):
        assert decide(replace(situation, **stop)).kind == "ask_person"


@given(situations)
def test_a_messy_run_is_never_mended_nor_rebased(situation: Situation) -> None:
    kind = decide(replace(situation, drifted="REPEAT")).kind
    assert kind in ("ask_person", "rerun", "wait_for_base", "regenerate")


@given(situations)
def test_what_is_red_before_the_push_is_never_shown(situation: Situation) -> None:
    before = replace(situation, where="before_push", red=True)
    if decide(before).kind == "rerun":  # its work is published
        assert set(before.failing) <= set(before.flaky)


@given(situations)
def test_no_limit_is_passed(situation: Situation) -> None:
    kind = decide(situation).kind
    if kind in ("fix_forward", "rebase_and_fix"):
        assert situation.fixes < situation.max_fixes
    if kind == "regenerate":
        assert situation.regenerations < situation.max_regenerations
    if kind == "rerun":
        assert situation.reruns < MOST_RERUNS
    if kind == "rebase":
        assert not situation.rebased_onto_tip
    if not situation.may_rebase:
        assert kind not in ("rebase", "rebase_and_fix")


# --- it ends -----------------------------------------------------------------------------------------

MOVES = 5  # of the default branch, which only people cause
ATTEMPTS = 3  # one and two regenerations
FIXES = 2


@st.composite
def blows(draw: st.DrawFn) -> Situation:
    """Draw what an adversary may make of the next verdict; the counters are the caller's and not in its hands."""
    failing = draw(tests.filter(bool))
    return Situation(
        where=draw(wheres),
        red=draw(st.booleans()),
        failing=failing,
        flaky=draw(st.sampled_from([(), failing, failing[:1]])),
        fails_on_base=draw(st.sampled_from([(), (), failing[1:]])),
        conflicts=draw(paths),
        mechanical=draw(st.sampled_from([("uv.lock",), ("uv.lock", "a.py", "b.py", "docs/c.md")])),
        messy=draw(st.sampled_from([0.0, 0.0, 0.0, 1.0])),
        conflict_persists=draw(st.booleans()),
        people=draw(rarely),
    )


@dataclass(slots=True)
class Caller:
    """Counts as a caller of the engine must, for one task."""

    fixes: int = 0
    regenerations: int = 0
    reruns: int = 0
    trend: tuple[int, ...] = ()
    on_tip: bool = True
    met: bool = False  # a conflict went to the agent in this attempt

    def sees(self, blow: Situation) -> Situation:
        self.trend += (len(blow.failing) if blow.red else 0,)
        return replace(
            blow,
            trend=self.trend,
            fixes=self.fixes,
            regenerations=self.regenerations,
            reruns=self.reruns,
            behind=0 if self.on_tip else 1,
            rebased_onto_tip=self.on_tip,
            conflict_persists=blow.conflict_persists and self.met,
        )

    def does(self, kind: DecisionKind) -> None:
        if kind == "rerun":
            self.reruns += 1
            return
        self.reruns = 0  # another commit
        if kind == "rebase":
            self.on_tip = True
        elif kind == "fix_forward":
            self.fixes += 1
        elif kind == "rebase_and_fix":
            self.fixes += 1
            self.on_tip = self.met = True
        elif kind == "regenerate":
            self.regenerations += 1
            self.fixes, self.trend, self.on_tip, self.met = 0, (), True, False


@given(st.data())
def test_every_course_comes_to_an_end_whatever_the_world_does(data: st.DataObject) -> None:
    caller, moves, made = Caller(), 0, Counter[DecisionKind]()
    # A fix, a regeneration and a move of the base each make a commit that can be run again MOST_RERUNS times.
    commits = ATTEMPTS * (1 + FIXES) + MOVES
    most = commits * (MOST_RERUNS + 1) + 1
    for _ in range(most):
        if moves < MOVES and data.draw(st.booleans()):
            caller.on_tip, moves = False, moves + 1
        situation = caller.sees(data.draw(blows()))
        kind = decide(situation).kind
        made[kind] += 1
        if kind in ("ask_person", "wait_for_base"):  # people act next
            break
        caller.does(kind)
        assert caller.fixes <= FIXES
    else:
        pytest.fail(f"still deciding after {most} decisions: {made}")
    assert made["regenerate"] <= ATTEMPTS - 1
    assert made["fix_forward"] + made["rebase_and_fix"] <= ATTEMPTS * FIXES
    assert made["rebase"] <= MOVES
