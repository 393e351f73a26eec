"""The merge of proposals: examples people can follow, and promises over all proposals."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from bot.core.plan_clusters import clean_path
from bot.core.planning import Conflict, MergedPlan, PlannedTask, PlanProposal, ProposedTask, structured_merge

# Drawn from small pools: what matters is which tasks are alike, and whole texts drawn letter by letter never are.
TITLES = [
    "Ignore None in the parser", "The parser must ignore None", "Ignore None in parser and cache", "Cache lookups",
    "Retry with a timeout", "Add docs for the worker", "!!", "\u00e9 config", "Cache lookups with a timeout",
]  # fmt: skip
DESCRIPTIONS = [
    "",
    "Fix the parser so that None is ignored.",
    "Use a timeout for each retry.",
    "See the docs.",
]
SCOPES = [
    (),
    ("src/a.py",),
    ("./src/a.py", "src/b.py"),
    ("src/b.py",),
    ("docs/x.md",),
    ("src//a.py", "tests/test_a.py"),
]
ACCEPTANCE = [(), ("It works.",), ("it works", "Docs say so."), ("  ", "Tests pass.")]
DEPENDS = [(), (), ("t0",), ("t1",), ("t2", "t0"), ("t3", "nobody")]
TEXTS = [(), ("Risky.",), ("risky", "Slow?"), ("Why now?",)]


@st.composite
def tasks_of_one(draw: st.DrawFn) -> tuple[ProposedTask, ...]:
    return tuple(
        ProposedTask(
            local_id=f"t{number}",
            title=draw(st.sampled_from(TITLES)),
            description=draw(st.sampled_from(DESCRIPTIONS)),
            kind=draw(st.sampled_from(["documentation", "simple", "complex"])),
            priority=draw(st.sampled_from(["critical", "high", "medium", "low"])),
            estimate=draw(st.sampled_from(["S", "M", "L"])),
            files=draw(st.sampled_from(SCOPES)),
            symbols=("Foo.bar",) * (number % 2),
            depends_on=draw(st.sampled_from(DEPENDS)),
            acceptance=draw(st.sampled_from(ACCEPTANCE)),
        )
        for number in range(draw(st.integers(0, 4)))
    )


@st.composite
def proposals(draw: st.DrawFn) -> list[PlanProposal]:
    return [
        PlanProposal(
            agent_id=f"agent-{number}",
            base_sha=draw(st.sampled_from(["", "a" * 40, "b" * 40])),
            summary=draw(st.sampled_from(DESCRIPTIONS)),
            tasks=draw(tasks_of_one()),
            risks=draw(st.sampled_from(TEXTS)),
            questions=draw(st.sampled_from(TEXTS)),
        )
        for number in range(draw(st.integers(0, 4)))
    ]


def merge(given_: list[PlanProposal]) -> MergedPlan:
    return structured_merge(given_, planners=3, files=["src/a.py", "src/b.py"])


def every_task(plan: MergedPlan) -> list[PlannedTask]:
    return [*plan.tasks, *plan.minority]


def a_task(local_id: str = "a", title: str = "Ignore None in the parser", **more: object) -> ProposedTask:
    return ProposedTask.model_validate({"local_id": local_id, "title": title, **more})


def a_proposal(agent_id: str, *tasks: ProposedTask, **more: object) -> PlanProposal:
    return PlanProposal.model_validate({"agent_id": agent_id, "tasks": tasks, **more})


# --- promises over all proposals -----------------------------------------------------------------


@given(proposals(), st.randoms(use_true_random=False))
def test_who_answers_first_does_not_matter_to_the_byte(given_: list[PlanProposal], random: object) -> None:
    shuffled = list(given_)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merge(shuffled).model_dump_json() == merge(given_).model_dump_json()


@given(tasks_of_one().filter(bool))
def test_three_times_the_same_proposal_changes_nothing_but_votes(tasks: tuple[ProposedTask, ...]) -> None:
    one = a_proposal("p", *tasks, summary="s", risks=("r",))
    single, triple = merge([one]), merge([one, one, one])
    plain = {"proposals": True, "tasks": {"__all__": {"votes"}}}
    assert triple.model_dump(exclude=plain) == single.model_dump(exclude=plain)
    assert {task.votes for task in triple.tasks} == {3}


@given(tasks_of_one().filter(bool))
def test_identical_proposals_of_all_planners_become_exactly_those_tasks(
    tasks: tuple[ProposedTask, ...],
) -> None:
    plan = merge([a_proposal(name, *tasks) for name in ("a", "b", "c")])
    assert not plan.minority
    assert Counter(task.title for task in plan.tasks) == Counter(task.title for task in tasks)
    assert all(task.votes == 3 for task in plan.tasks)


@given(proposals())
def test_every_proposed_task_is_in_the_plan_exactly_once(given_: list[PlanProposal]) -> None:
    found = Counter((s.agent_id, s.local_id) for task in every_task(merge(given_)) for s in task.sources)
    assert found == Counter((p.agent_id, task.local_id) for p in given_ for task in p.tasks)


@given(proposals())
def test_no_text_is_lost_or_invented(given_: list[PlanProposal]) -> None:
    plan = merge(given_)
    tasks = {(p.agent_id, task.local_id): task for p in given_ for task in p.tasks}
    for planned in every_task(plan):
        own = [tasks[source.agent_id, source.local_id] for source in planned.sources]
        assert planned.title in {task.title for task in own}
        assert planned.description in {task.description for task in own}
        assert set(planned.files) == {clean_path(path) for task in own for path in task.files}
        assert set(planned.symbols) == {name for task in own for name in task.symbols}
        assert said(planned.acceptance) == said(line for task in own for line in task.acceptance)
        assert planned.kind in {task.kind for task in own}
        assert planned.priority in {task.priority for task in own}
        assert planned.estimate in {task.estimate for task in own}
    assert said(plan.risks) == said(risk for proposal in given_ for risk in proposal.risks)
    assert said(plan.questions) == said(question for proposal in given_ for question in proposal.questions)
    assert plan.summary in {"", *(proposal.summary for proposal in given_ if proposal.tasks)}


def said(lines: Iterable[str]) -> set[str]:
    """What lines say, however they are spelled."""
    return {" ".join(line.casefold().split()).rstrip(".") for line in lines if line.strip()}


@given(proposals())
def test_a_planner_has_at_most_one_task_in_each(given_: list[PlanProposal]) -> None:
    for task in every_task(merge(given_)):
        assert len({source.agent_id for source in task.sources}) == len(task.sources) == task.votes


@given(proposals())
def test_tasks_come_after_those_they_need_and_never_wait_in_a_circle(given_: list[PlanProposal]) -> None:
    plan = merge(given_)
    known: set[str] = set()
    for task in plan.tasks:
        assert set(task.depends_on) <= known
        known.add(task.key)
    keys = [task.key for task in every_task(plan)]
    assert len(set(keys)) == len(keys)
    assert all(set(task.depends_on) <= set(keys) for task in plan.minority)


@given(proposals())
def test_minority_means_one_vote_among_several_and_needed_by_nobody(given_: list[PlanProposal]) -> None:
    plan = merge(given_)
    needed = {need for task in plan.tasks for need in task.depends_on}
    assert all(task.votes == 1 and task.key not in needed for task in plan.minority)
    if plan.proposals < 2:
        assert not plan.minority
    else:
        assert all(task.votes > 1 or task.key in needed for task in plan.tasks)


@given(proposals())
def test_merging_the_merged_plan_again_keeps_its_tasks(given_: list[PlanProposal]) -> None:
    plan = merge(given_)
    again = a_proposal(
        "merged",
        *(
            ProposedTask(
                local_id=task.key,
                **task.model_dump(exclude={"key", "votes", "sources"}),
            )
            for task in plan.tasks
        ),
    )
    repeated = structured_merge([again], planners=1)
    drop = {"key", "votes", "sources", "depends_on"}
    assert [t.model_dump(exclude=drop) for t in repeated.tasks] == [
        t.model_dump(exclude=drop) for t in plan.tasks
    ]


# --- examples ------------------------------------------------------------------------------------


def test_two_wordings_of_one_task_become_one_with_two_votes() -> None:
    plan = structured_merge(
        [
            a_proposal("a", a_task("1", "Ignore None in the parser's __get__", files=["src/parser.py"])),
            a_proposal(
                "b", a_task("x", "Parser: __get__ must ignore None", files=["src/parser.py", "tests/t.py"])
            ),
        ],
        planners=3,
    )
    assert [(task.votes, task.files) for task in plan.tasks] == [(2, ("src/parser.py", "tests/t.py"))]
    assert plan.minority == ()


def test_a_task_of_one_planner_among_two_is_left_out_but_kept() -> None:
    common = a_task("1", "Ignore None in the parser", files=["p.py"])
    alone = a_task("2", "Write a changelog entry about releases", files=["CHANGELOG.md"])
    plan = structured_merge([a_proposal("a", common, alone), a_proposal("b", common)], planners=3)
    assert [task.title for task in plan.tasks] == ["Ignore None in the parser"]
    assert [task.title for task in plan.minority] == ["Write a changelog entry about releases"]


def test_a_single_vote_that_a_main_task_needs_is_main() -> None:
    common = {"title": "Ignore None in the parser", "files": ["p.py"]}
    alone = a_task("2", "Introduce a sentinel type", files=["s.py"])
    plan = structured_merge(
        [
            a_proposal("a", alone, a_task("1", **common, depends_on=["2"])),
            a_proposal("b", a_task("1", **common)),
        ],
        planners=3,
    )
    assert [task.title for task in plan.tasks] == ["Introduce a sentinel type", "Ignore None in the parser"]
    assert plan.minority == ()


def test_an_empty_proposal_is_no_opinion_but_its_questions_are_kept() -> None:
    plan = structured_merge([a_proposal("a", a_task()), a_proposal("b", questions=("Why?",))], planners=2)
    assert (plan.proposals, len(plan.tasks), plan.minority) == (1, 1, ())
    assert plan.questions == ("Why?",)


def test_contradicting_orders_are_settled_and_shown() -> None:
    one = {"title": "Ignore None in the parser", "files": ["p.py"]}
    two = {"title": "Raise the worker's timeout setting", "files": ["w.py"]}
    first = a_proposal("a", a_task("1", **one), a_task("2", **two, depends_on=["1"]))
    second = a_proposal("b", a_task("1", **one), a_task("2", **two, depends_on=["1"]))
    third = a_proposal("c", a_task("1", **one, depends_on=["2"]), a_task("2", **two))
    plan = structured_merge([first, second, third], planners=3)
    assert [(task.key, task.depends_on) for task in plan.tasks] == [
        ("ignore-none-in-the-parser", ()),
        ("raise-the-worker-s-timeout-setting", ("ignore-none-in-the-parser",)),
    ]
    assert plan.conflicts == snapshot(
        (
            Conflict(
                kind="ORDER",
                tasks=("ignore-none-in-the-parser", "raise-the-worker-s-timeout-setting"),
                agents=("c",),
                evidence="`ignore-none-in-the-parser` was said to need `raise-the-worker-s-timeout-setting`; left out, because most planners do not say so",
            ),
        )
    )


def test_a_tie_takes_the_safer_value_and_says_so() -> None:
    plan = structured_merge(
        [a_proposal("a", a_task(kind="simple")), a_proposal("b", a_task(kind="complex"))], planners=2
    )
    assert plan.tasks[0].kind == "complex"
    assert [conflict.evidence for conflict in plan.conflicts] == snapshot(
        ["kind: complex or simple; taken: complex"]
    )


def test_tasks_on_one_file_without_an_order_are_shown_as_a_conflict() -> None:
    plan = structured_merge(
        [
            a_proposal(
                "a",
                a_task("1", "Ignore None", files=["p.py"]),
                a_task("2", "Rename the worker setting", files=["p.py"]),
            )
        ],
        planners=1,
    )
    assert [(c.kind, c.evidence) for c in plan.conflicts] == snapshot([("SCOPE", "both change `p.py`")])


def test_tasks_that_are_alike_but_not_enough_stay_apart_and_are_shown() -> None:
    plan = structured_merge(
        [
            a_proposal("a", a_task("1", "Ignore None in the parser", files=["p.py", "q.py"])),
            a_proposal("b", a_task("1", "Cache results of lookups", files=["p.py", "r.py", "q.py"])),
        ],
        planners=2,
    )
    assert [c.kind for c in plan.conflicts] == ["POSSIBLE_DUPLICATE"]
    assert len(plan.minority) == 2


def test_a_proposal_for_another_commit_is_named() -> None:
    plans = [
        a_proposal(name, a_task(), base_sha=sha * 40) for name, sha in (("a", "1"), ("b", "1"), ("c", "2"))
    ]
    merged = structured_merge(plans, planners=3)
    assert merged.base_sha == "1" * 40
    assert [(c.kind, c.agents) for c in merged.conflicts] == [("STALE", ("c",))]


def test_the_order_within_proposals_is_followed_where_nothing_else_decides() -> None:
    titles = ["Build the parser core", "Teach the cache to expire", "Write worker retry tests"]
    files = ["a.py", "b.py", "c.py"]
    for order in itertools.permutations(range(3)):
        tasks = [a_task(str(i), titles[i], files=[files[i]]) for i in order]
        plan = structured_merge([a_proposal(name, *tasks) for name in "abc"], planners=3)
        assert [task.title for task in plan.tasks] == [titles[i] for i in order]


@settings(max_examples=5, deadline=None)
@given(st.integers(12, 25))
def test_many_tasks_keep_the_planners_order_too(size: int) -> None:
    tasks = [a_task(str(i), f"Part{i} alpha{i} beta{i} gamma{i}", files=[f"f{i}.py"]) for i in range(size)]
    plan = structured_merge([a_proposal(name, *tasks) for name in "abc"], planners=3)
    assert [task.title for task in plan.tasks] == [task.title for task in tasks]
