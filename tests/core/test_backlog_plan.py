"""From a merged plan to a backlog: nothing invalid, and tasks that can meet wait for each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.core.backlog import Backlog, Scope, dump, from_plan, load, separated
from bot.core.backlog_plan import with_left_out
from bot.core.plans import MergedPlan, PlannedTask
from bot.core.scopes import overlaps
from tests.core.test_backlog import backlogs

planned_files = st.lists(
    st.sampled_from(["a.py", "b.py", "src", "src/c.py", "../evil", "/etc/x", "*.md", ""]), max_size=3
)


@st.composite
def plans(draw: st.DrawFn) -> MergedPlan:
    def task(number: int) -> PlannedTask:
        return PlannedTask(
            key=f"k{number}",
            title=draw(st.text(min_size=1, max_size=200)),
            files=tuple(draw(planned_files)),
            acceptance=tuple(draw(st.lists(st.text(max_size=90), max_size=2))),
            depends_on=tuple(f"k{n}" for n in sorted(draw(st.sets(st.integers(0, number - 1), max_size=2))))
            if number
            else (),
            votes=2,
        )

    tasks = tuple(task(number) for number in range(draw(st.integers(0, 5))))
    return MergedPlan(
        tasks=tasks, minority=tuple(task(len(tasks) + n) for n in range(draw(st.integers(0, 2))))
    )


@given(plans(), st.text(max_size=50), st.sets(st.sampled_from([f"k{n}" for n in range(7)])))
def test_every_plan_becomes_a_backlog_without_errors(plan: MergedPlan, goal: str, include: set[str]) -> None:
    backlog = from_plan(plan, track="issue-1", issue=1, base_sha="a" * 40, goal=goal, include=include)
    found = load(dump(backlog))
    assert found.errors == ()
    assert found.backlog == backlog
    assert len(backlog.tasks) >= len(plan.tasks)
    assert [task.id for task in backlog.tasks] == [f"T-{n + 1}" for n in range(len(backlog.tasks))]
    assert "SCOPE_OVERLAP" not in {problem.code for problem in found.problems}


@given(plans())
def test_tasks_that_can_meet_wait_for_each_other(plan: MergedPlan) -> None:
    tasks = from_plan(plan, track="issue-1", issue=None, base_sha="", goal="").tasks
    needs: dict[str, set[str]] = {}
    for task in tasks:
        needs[task.id] = set(task.depends_on).union(*(needs[need] for need in task.depends_on))
    for place, task in enumerate(tasks):
        for earlier in tasks[:place]:
            if overlaps(task.scope.paths, earlier.scope.paths):
                assert earlier.id in needs[task.id]


@given(backlogs(), st.lists(planned_files, min_size=8, max_size=8))
def test_of_any_tasks_those_that_can_meet_are_separated_and_nothing_else_changes(
    backlog: Backlog, paths: list[list[str]]
) -> None:
    scoped = tuple(
        task.model_copy(update={"scope": Scope(paths=tuple(path for path in some if path) or ("z",))})
        for task, some in zip(backlog.tasks, paths, strict=False)
    )
    before = backlog.model_copy(update={"tasks": scoped})
    after = separated(before)
    assert separated(after) == after
    assert "SCOPE_OVERLAP" not in {problem.code for problem in load(dump(after)).problems}
    for old, new in zip(before.tasks, after.tasks, strict=True):
        assert set(old.depends_on) <= set(new.depends_on)
        assert new.model_copy(update={"depends_on": old.depends_on}) == old


def test_a_minority_task_is_included_by_its_key_with_what_it_needs() -> None:
    plan = MergedPlan(
        tasks=(PlannedTask(key="main", title="Main", files=("m.py",)),),
        minority=(
            PlannedTask(key="base", title="Base", files=("b.py",)),
            PlannedTask(key="extra", title="Extra", files=("e.py",), depends_on=("base",)),
            PlannedTask(key="other", title="Other", files=("o.py",)),
        ),
    )
    backlog = from_plan(plan, track="t", issue=None, base_sha="", goal="", include=["extra"])
    assert [(t.title, t.depends_on) for t in backlog.tasks] == [
        ("Main", ()),
        ("Base", ()),
        ("Extra", ("T-2",)),
    ]


def test_a_task_without_files_may_touch_all_and_so_runs_alone() -> None:
    plan = MergedPlan(
        tasks=(PlannedTask(key="a", title="A", files=("a.py",)), PlannedTask(key="b", title="B"))
    )
    backlog = from_plan(plan, track="t", issue=None, base_sha="", goal="")
    assert [(t.scope.paths, t.depends_on) for t in backlog.tasks] == [(("a.py",), ()), (("*",), ("T-1",))]


names = st.sets(st.sampled_from(["M-1", "M-2", "M-9"]))


@given(plans(), names, st.data())
def test_what_was_left_out_is_added_below_and_changes_nothing_else(
    plan: MergedPlan, wanted: set[str], data: st.DataObject
) -> None:
    backlog = from_plan(plan, track="issue-1", issue=1, base_sha="a" * 40, goal="Greet.")
    if backlog.tasks:  # people may have dropped any of them
        gone = data.draw(st.sampled_from(backlog.tasks)).id
        kept = [t for t in backlog.tasks if t.id != gone and gone not in t.depends_on]
        backlog = backlog.model_copy(update={"tasks": tuple(kept)})
    more, made = with_left_out(backlog, plan, sorted(wanted), {}, taken=["T-7"])
    assert wanted & set(plan.left_out()) <= set(made)
    assert more.tasks[: len(backlog.tasks)] == backlog.tasks
    assert [task.id for task in more.tasks[len(backlog.tasks) :]] == list(made.values())
    assert not set(made.values()) & {"T-7", *(task.id for task in backlog.tasks)}
    errors = {problem.code for problem in load(dump(more)).errors} if more.tasks else set()
    assert not errors - {problem.code for problem in load(dump(backlog)).errors}
    for task in more.tasks[len(backlog.tasks) :]:
        for other in backlog.tasks:
            if overlaps(task.scope.paths, other.scope.paths):
                assert reaches(more, task.id, other.id)
    again, nothing = with_left_out(more, plan, sorted(wanted), made)
    assert (again, nothing) == (more, {})


def reaches(backlog: Backlog, later: str, earlier: str) -> bool:
    """Tell whether a task waits for another, directly or not."""
    needs = {task.id: task.depends_on for task in backlog.tasks}
    waiting, seen = [later], set[str]()
    while waiting:
        each = waiting.pop()
        if each not in seen:
            seen.add(each)
            waiting += needs.get(each, ())
    return earlier in seen


def test_what_it_needs_of_the_left_out_comes_with_it_and_what_is_there_is_named() -> None:
    plan = MergedPlan(
        tasks=(PlannedTask(key="a", title="A", files=("a.py",)),),
        minority=(
            PlannedTask(key="b", title="B", files=("b.py",), depends_on=("a", "c")),
            PlannedTask(key="c", title="C", files=("c.py",)),
        ),
    )
    backlog = from_plan(plan, track="issue-1", issue=1, base_sha="a" * 40, goal="Greet.")
    both, made = with_left_out(backlog, plan, ["M-1"], {})
    assert made == {"M-2": "T-2", "M-1": "T-3"}
    assert [task.depends_on for task in both.tasks] == [(), (), ("T-1", "T-2")]
    one, _ = with_left_out(backlog, plan, ["M-2"], {})
    both, made = with_left_out(one, plan, ["M-1"], {"M-2": "T-2"})
    assert made == {"M-1": "T-3"}
    assert both.tasks[2].depends_on == ("T-1", "T-2")
