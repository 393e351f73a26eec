"""A file with thousands of tasks is read in bounded work."""

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
