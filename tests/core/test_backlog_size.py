"""A file with thousands of tasks is read in bounded work."""

import time

import pytest

from bot.core import backlog

TASK = """  - id: T-{0}
    title: Do {0}
    kind: simple
    status: todo
    depends_on: []
    scope:
      paths: ["src/**"]
    acceptance: [It is.]
"""


def test_scopes_of_very_many_tasks_are_not_compared_pair_by_pair_and_that_is_said() -> None:
    rows = "".join(TASK.format(number) for number in range(1, 1_001))
    text = f"version: 1\ntrack: issue-1\nissue: 1\nbase_sha: {'0' * 40}\ngoal: g\ntasks:\n{rows}"
    loaded = backlog.load(text)
    assert loaded.backlog is not None
    overlaps = [problem for problem in loaded.problems if problem.code == "SCOPE_OVERLAP"]
    assert len(overlaps) == 1
    assert "1000 open tasks" in overlaps[0].message


HEAD = "version: 1\ntrack: issue-1\ntasks:\n"
TREE = [f"src/pkg{n % 400}/sub{n % 37}/module_{n}_handler.py" for n in range(50_000)]


def task(number: int, needs: list[int] | None = None, path: str = "") -> str:
    deps = ", ".join(f"T-{need}" for need in needs or [])
    return (
        f"  - id: T-{number}\n    title: Do {number}\n    depends_on: [{deps}]\n"
        f'    scope: {{paths: ["{path or f"src/m{number}.py"}"]}}\n    acceptance: [It is.]\n'
    )


@pytest.mark.parametrize(
    ("tasks", "code"),
    [
        ([task(n, path=f"src/pkg3/sub3/module_{n}_hanlder.py") for n in range(1, 41)], "SCOPE_MISSING_FILE"),
        ([task(n, path=f"src/*/{n}_handler.py") for n in range(1, 41)], "SCOPE_MISSING_FILE"),
        ([task(n, path=f"src/pkg{n}*") for n in range(1, 30)], "SCOPE_OVERLAP"),
        ([task(n, [n + 10_000]) for n in range(1, 2_001)], "UNKNOWN_DEP"),
        ([task(n, [n % 2_000 + 1]) for n in range(1, 2_001)], "CYCLE"),
        ([task(n, [m for m in range(1, 101) if m != n]) for n in range(1, 101)], "CYCLE"),
    ],
)
def test_no_defect_of_a_large_file_or_tree_takes_long_to_tell(tasks: list[str], code: str) -> None:
    begin = time.process_time()
    loaded = backlog.load(HEAD + "".join(tasks), TREE)
    assert code in {problem.code for problem in loaded.problems}
    assert time.process_time() - begin < 8.0  # without bounds each took from half a minute to hours
