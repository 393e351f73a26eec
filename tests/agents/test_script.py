"""The script file: what it may say, and what a person reads when it is wrong."""

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bot.agents.script import FailingPlanner, Script, load_script
from bot.core.planning import PlanProposal
from bot.errors import UserError

NAMES = ("architecture", "tests", "smallest")


def a_script(folder: Path, text: str) -> Path:
    path = folder / "script.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_field_of_the_format_is_read(tmp_path: Path) -> None:
    (tmp_path / "fix.patch").write_text("x", encoding="utf-8")
    script = load_script(
        a_script(
            tmp_path,
            """
planners:
  - agent_id: architecture
    summary: One paragraph.
    tasks:
      - {local_id: a, title: Ignore None in __get__, description: "...", kind: simple, priority: medium,
         files: [src/pkg/mod.py], symbols: [], depends_on: [], acceptance: ["..."], estimate: S}
    risks: []
    questions: []
  - {fail: stall}
backlog: null
revisions: [[{id: T-1}]]
tasks:
  - match: "^Ignore"
    runs: [{patch: fix.patch, say: "done", behave: ok}, {behave: loop}]
default: {behave: no_change}
ci: null
people: [{when: {task: Ignore, event: merged}, patch: fix.patch}]
""",
        )
    )
    assert script.planners[1] == FailingPlanner(fail="stall")
    assert script.tasks[0].runs[0].patch == (tmp_path / "fix.patch").resolve()
    assert script.people[0].when.event == "merged"


def test_an_empty_file_is_a_script_that_changes_nothing(tmp_path: Path) -> None:
    assert load_script(a_script(tmp_path, "")).run("anything", 1).behave == "no_change"


def test_run_n_takes_entry_n_and_the_last_one_repeats() -> None:
    script = Script.model_validate(
        {
            "tasks": [
                {"match": "A", "runs": [{"behave": "crash"}, {"behave": "loop"}]},
                {"match": "", "runs": [{}]},
            ]
        }
    )
    assert [script.run("Task A", n).behave for n in (1, 2, 3, 9)] == ["crash", "loop", "loop", "loop"]
    assert script.run("Other", 1).behave == "ok"


def test_planners_are_found_by_name_and_nameless_ones_by_place() -> None:
    script = Script.model_validate(
        {"planners": [{"fail": "crash"}, {"agent_id": "architecture", "summary": "s"}, {"agent_id": "mine"}]}
    )
    assert script.planner_names(NAMES) == ("tests", "architecture", "mine")
    assert script.planner("tests", NAMES) == FailingPlanner(fail="crash")
    found = script.planner("architecture", NAMES)
    assert isinstance(found, PlanProposal)
    assert found.summary == "s"
    assert script.planner("smallest", NAMES) == PlanProposal(agent_id="mine")
    assert Script().planner("architecture", NAMES) is None


def test_all_problems_are_said_at_once_with_their_places(tmp_path: Path) -> None:
    text = """
planners: [{agent_id: a, tasks: [{local_id: x}]}, {fail: explode}]
tasks: [{match: "(", runs: []}, {match: ok, runs: [{patch: missing.patch, behave: dance}]}]
people: [{when: {task: x, event: never}, patch: gone.patch}]
colour: blue
"""
    with pytest.raises(UserError) as caught:
        load_script(a_script(tmp_path, text))
    assert str(caught.value).replace(str(tmp_path), "DIR") == snapshot("""\
The script `DIR/script.yaml` has 9 problem(s):
- `planners[0].tasks[0].title`: Field required
- `planners[1].fail`: Input should be 'crash', 'stall' or 'garbage'
- `tasks[0].match`: is no regular expression: missing ), unterminated subpattern at position 0
- `tasks[0].runs`: give at least one run
- `tasks[1].runs[0].patch`: there is no file `missing.patch` beside the script
- `tasks[1].runs[0].behave`: Input should be 'ok', 'crash', 'stall', 'loop', 'outside_scope', 'no_change' or 'resolve'
- `people[0].when.event`: Input should be 'pr_opened', 'merged' or 'waits'
- `people[0].patch`: there is no file `gone.patch` beside the script
- `colour`: Extra inputs are not permitted\
""")


@pytest.mark.parametrize(
    ("content", "said"), [(b"a: [", "not valid YAML"), (b"\xff\xfe\xff", "cannot be read")]
)
def test_a_file_that_is_no_yaml_is_a_users_problem(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "script.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        load_script(path)


def test_a_list_at_the_top_is_a_users_problem(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the file"):
        load_script(a_script(tmp_path, "- a\n- b\n"))
