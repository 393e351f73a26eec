"""What may start now: order, limits, leases; and scopes that meet."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import scopes
from bot.core.backlog_model import BacklogTask, Scope
from bot.core.schedule import UNITS, Lease, Waiting, critical_paths, overlaps, ready_tasks, startable


def a_task(number: int, **more: object) -> BacklogTask:
    values: dict[str, object] = {
        "id": f"T-{number}",
        "title": f"Task {number}",
        "scope": Scope(paths=(f"f{number}.py",)),
        "acceptance": ("x",),
        **more,
    }
    return BacklogTask.model_validate(values)


@st.composite
def graphs(draw: st.DrawFn, most: int = 7) -> tuple[BacklogTask, ...]:
    return tuple(
        a_task(
            number,
            depends_on=tuple(f"T-{n}" for n in sorted(draw(st.sets(st.integers(0, number - 1), max_size=3)))) if number else (),
            priority=draw(st.sampled_from(["critical", "high", "medium", "low"])),
            status=draw(st.sampled_from(["todo", "todo", "done", "dropped"])),
            estimate=draw(st.sampled_from(["S", "M", "L"])),
            scope=Scope(paths=tuple(draw(st.lists(st.sampled_from(["a.py", "b.py", "src", "src/c.py", "*.md", "d.md"]), min_size=1, max_size=2)))),
        )
        for number in range(draw(st.integers(0, most)))
    )  # fmt: skip


@given(graphs())
def test_ready_is_what_is_to_do_and_waits_for_nothing(tasks: tuple[BacklogTask, ...]) -> None:
    status = {task.id: task.status for task in tasks}
    wanted = {
        t.id for t in tasks if t.status == "todo" and all(status[need] == "done" for need in t.depends_on)
    }
    assert {task.id for task in ready_tasks(tasks)} == wanted


def test_urgent_tasks_come_first_then_those_that_hold_up_most_then_as_written() -> None:
    tasks = (
        a_task(1),
        a_task(2, priority="low", estimate="L"),
        a_task(3),
        a_task(4, depends_on=["T-3"]),
        a_task(5, priority="critical", estimate="S"),
        a_task(6),
    )
    assert [task.id for task in ready_tasks(tasks)] == ["T-5", "T-3", "T-1", "T-6", "T-2"]


@given(graphs())
def test_the_critical_path_is_the_longest_chain(tasks: tuple[BacklogTask, ...]) -> None:
    by_need = {t.id: [o for o in tasks if t.id in o.depends_on] for t in tasks}

    def longest(task: BacklogTask) -> int:
        own = UNITS[task.estimate] if task.status == "todo" else 0
        return own + max((longest(other) for other in by_need[task.id]), default=0)

    assert critical_paths(tasks) == {task.id: longest(task) for task in tasks}


@given(graphs(), st.integers(0, 4), st.integers(0, 4))
def test_no_two_tasks_that_can_meet_start_and_no_limit_is_passed(
    tasks: tuple[BacklogTask, ...], workers: int, pulls: int
) -> None:
    held = [Lease("other/T-1", ("src/c.py",))]
    start, waiting = startable(ready_tasks(tasks), held, free_workers=workers, free_pulls=pulls)
    assert len(start) <= min(workers, pulls)
    assert sorted(t.id for t in ready_tasks(tasks)) == sorted(
        [*(t.id for t in start), *(w.task for w in waiting)]
    )
    for a, b in permutations(start, 2):
        assert not overlaps(a.scope.paths, b.scope.paths)
    assert not any(overlaps(task.scope.paths, held[0].paths) for task in start)


def test_each_waiting_task_says_what_it_waits_for() -> None:
    same = Scope(paths=("a.py",))
    ready = (a_task(1, scope=same), a_task(2, scope=same), a_task(3), a_task(4))
    start, waiting = startable(ready, [], free_workers=2, free_pulls=3, track="issue-1")
    assert [task.id for task in start] == ["T-1", "T-3"]
    assert waiting == (Waiting("T-2", "lease", "issue-1/T-1: a.py"), Waiting("T-4", "workers"))
    assert startable(ready[:1], [], free_workers=2, free_pulls=0)[1] == (Waiting("T-1", "open_prs"),)
    assert len(startable(ready, [], free_workers=9, free_pulls=9, overlap="allow")[0]) == 4


@given(graphs(most=7), st.integers(1, 3))
def test_working_off_the_list_takes_at_most_twice_the_best_time(
    tasks: tuple[BacklogTask, ...], workers: int
) -> None:
    """Graham's bound for list scheduling: 2 - 1/m of the larger of the two lower bounds plus the chain."""
    todo = tuple(t.model_copy(update={"status": "todo", "scope": Scope(paths=(t.id,))}) for t in tasks)
    clock, running, done = 0, dict[str, int](), set[str]()
    while len(done) < len(todo):
        now = tuple(t.model_copy(update={"status": "done"}) if t.id in done else t for t in todo)
        ready = tuple(t for t in ready_tasks(now) if t.id not in running)
        start, _ = startable(ready, [], free_workers=workers - len(running), free_pulls=99)
        running |= {task.id: clock + UNITS[task.estimate] for task in start}
        clock = min(running.values())
        done |= {name for name, end in running.items() if end == clock}
        running = {name: end for name, end in running.items() if end > clock}
    work = sum(UNITS[task.estimate] for task in todo)
    chain = max(critical_paths(todo).values(), default=0)
    assert clock <= work / workers + (1 - 1 / workers) * chain + 1e-9


# --- scopes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "meet"),
    [
        ("src/a.py", "src/a.py", True),
        ("src/a.py", "src/b.py", False),
        ("src", "src/a.py", True),
        ("src/", "./src/deep/a.py", True),
        ("src", "srcs/a.py", False),
        ("*.md", "docs/new.md", True),
        ("*.md", "a.py", False),
        ("src/*.py", "src", True),
        ("src/*.py", "docs", False),
        ("docs/*.md", "docs/*.rst", False),
        ("docs/*", "docs/*.rst", True),
        ("src/a*", "src/*b", True),
        ("*", "anything", True),
        ("test_[ab].py", "test_*.py", True),
        ("*.py", "README.md", False),
        ("*.py", "src", True),
    ],
)
def test_scopes_meet(a: str, b: str, meet: bool) -> None:
    assert overlaps([a], [b]) is meet
    assert overlaps([b], [a]) is meet


paths = st.lists(st.sampled_from(["a", "b", "src", "x.py", "y.md"]), min_size=1, max_size=3).map("/".join)
patterns = st.one_of(
    paths, st.sampled_from(["*", "*.py", "src/*", "a/*.md", "?", "b*", "src/*/x.py", "*y*", "[ab]/*"])
)


@given(patterns, patterns, paths)
def test_scopes_that_do_not_meet_have_no_path_in_common(a: str, b: str, path: str) -> None:
    if scopes.covers(a, path) and scopes.covers(b, path):
        tree = [path]
        assert overlaps([a], [b], tree)
        if "." in path:  # a name with an ending is taken for a file, also where the tree is not known
            assert overlaps([a], [b])


@given(patterns, paths)
def test_an_entry_covers_itself_what_is_below_it_and_what_it_matches(entry: str, path: str) -> None:
    below = path == entry or path.startswith(entry + "/")
    assert scopes.covers(entry, path) == (
        below or (any(c in entry for c in "*?[") and fnmatchcase(path, entry))
    )


@pytest.mark.parametrize(
    "path", ["/etc", "../x", "a/../../b", ".git/config", "a/.GIT/x", "~/x", "C:/x", "a\nb", "\\x"]
)
def test_paths_out_of_the_repository_are_not_safe(path: str) -> None:
    assert not scopes.is_safe(path)


@pytest.mark.parametrize("path", ["a.py", ".github/x.yml", "a..b/c", "é/x", "src/*.py"])
def test_ordinary_paths_are_safe(path: str) -> None:
    assert scopes.is_safe(path)
