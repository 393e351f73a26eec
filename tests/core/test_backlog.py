"""BACKLOG.yaml: reading with every problem at once, writing stably, and changing single lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from bot.core import yaml_tree
from bot.core.backlog import (
    Backlog,
    BacklogManager,
    BacklogTask,
    Scope,
    Stats,
    context_sha256,
    dump,
    edited_by_person,
    from_plan,
    load,
    set_status,
    with_contexts,
)
from bot.core.plans import MergedPlan, PlannedTask
from bot.errors import UserError

GOOD = """\
# people write comments
version: 1
track: issue-12
issue: 12
base_sha: 0123456789abcdef0123456789abcdef01234567
goal: One sentence.
tasks:
  - id: T-1   # the first
    title: Make the parser strict
    kind: simple
    status: todo
    depends_on: []
    scope: {paths: [src/parser.py]}
    acceptance:
      - Checkable sentence.
    estimate: S
  - {id: T-2, title: Write it down, depends_on: [T-1], scope: {paths: [docs]}, acceptance: ["yes"]}
"""

lines = st.one_of(
    st.sampled_from(
        ["no", "on", "null", "~", "1.10", "0o17", "012", "1e3", "- x", "a: b", "# no", "'", '"', "[x]", "{", "|", ">",
         "@a", "`b`", "%", "!t", "&a", "*a", "?", "---", "...", "é 😀", "a  b", "x:", "2001-01-01", "true", "=", "<<"]
    ),
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=30),
).filter(lambda text: bool(text.strip()))  # fmt: skip
contexts = st.one_of(
    st.text(st.sampled_from("ab :#-|>'\"\n\t\r é\u2028\x85\ufeff\x00😀"), max_size=40),
    st.lists(lines, max_size=5).map("\n".join),
)


@st.composite
def backlogs(draw: st.DrawFn) -> Backlog:
    count = draw(st.integers(0, 4))
    tasks = tuple(
        BacklogTask(
            id=f"T-{number + 1}",
            title=draw(lines),
            kind=draw(st.sampled_from(["documentation", "simple", "complex"])),
            priority=draw(st.sampled_from(["critical", "high", "medium", "low"])),
            status=draw(st.sampled_from(["todo", "done", "dropped"])),
            depends_on=tuple(f"T-{n + 1}" for n in sorted(draw(st.sets(st.integers(0, number - 1))))) if number else (),
            scope=Scope(paths=tuple(draw(st.lists(st.sampled_from(["src/a.py", "docs", "*.md", "a b"]), min_size=1, unique=True)))),
            acceptance=tuple(draw(st.lists(lines, min_size=1, max_size=3))),
            test=draw(st.one_of(st.none(), lines)),
            estimate=draw(st.sampled_from(["S", "M", "L"])),
            votes=draw(st.integers(0, 3)),
            spec=draw(st.integers(1, 3)),
        )
        for number in range(count)
    )  # fmt: skip
    backlog = Backlog(
        track="issue-12",
        issue=draw(st.one_of(st.none(), st.integers(1, 999))),
        base_sha=draw(st.sampled_from(["", "1" * 40, "0" * 39 + "e", "1" * 20 + "e" + "1" * 19])),
        goal=draw(st.one_of(st.just(""), lines)),
        tasks=tasks,
    )
    return with_contexts(backlog, {task.id: draw(contexts) for task in tasks})


# --- writing -------------------------------------------------------------------------------------


@given(backlogs())
def test_what_is_written_reads_back_the_same_and_is_written_the_same_again(backlog: Backlog) -> None:
    text = dump(backlog)
    found = load(text)
    assert found.errors == ()
    assert found.backlog == backlog
    assert dump(backlog) == text


@given(backlogs())
def test_another_reader_of_yaml_sees_the_same_strings(backlog: Backlog) -> None:
    import yaml  # the plain loader of PyYAML knows nothing of our schema

    found = yaml.safe_load(dump(backlog))
    assert [task["title"] for task in found["tasks"]] == [task.title for task in backlog.tasks]
    assert [task["acceptance"] for task in found["tasks"]] == [
        list(task.acceptance) for task in backlog.tasks
    ]
    assert [task["context"] for task in found["tasks"]] == [task.context for task in backlog.tasks]
    assert found.get("base_sha", "") == backlog.base_sha


@given(backlogs(), st.data(), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_changing_a_status_changes_that_word_and_no_other_byte(
    backlog: Backlog, data: st.DataObject, newline: str, bom: bool
) -> None:
    text = ("\ufeff" if bom else "") + dump(backlog).replace("\n", newline)
    for task in backlog.tasks:
        status = data.draw(st.sampled_from(["todo", "done", "dropped"]))
        changed = set_status(text, task.id, status)
        root, _ = yaml_tree.read(text)
        assert root is not None
        old = yaml_tree.find(root, ("tasks", int(task.id[2:]) - 1, "status"))
        assert changed[: old.start] == text[: old.start]
        assert changed[old.start :] == status + text[old.end :]
        text = changed


def test_a_status_is_changed_in_every_way_people_write_it() -> None:
    assert set_status(GOOD, "T-1", "done") == GOOD.replace("status: todo", "status: done")
    assert "{id: T-2, status: dropped, title" in set_status(GOOD, "T-2", "dropped")
    bare = "tasks:\n- id: T-1 # c\n  title: x"
    assert set_status(bare, "T-1", "done") == "tasks:\n- id: T-1 # c\n  status: done\n  title: x"
    assert set_status("tasks:\n- title: x\n  id: T-1", "T-1", "done").endswith("id: T-1\n  status: done")
    assert (
        set_status("tasks:\n- id: T-1\n  status:\n", "T-1", "done") == "tasks:\n- id: T-1\n  status: done\n"
    )
    assert set_status("tasks:\n- id: T-1\n  status: 'todo' # c\n", "T-1", "done").endswith(
        "status: done # c\n"
    )


def test_a_status_of_no_task_is_refused() -> None:
    with pytest.raises(UserError, match="no task `T-9`"):
        set_status(GOOD, "T-9", "done")


def test_what_people_see() -> None:
    backlog = from_plan(
        MergedPlan(
            tasks=(
                PlannedTask(key="a", title="Do: it", files=("a.py",), acceptance=("It is done.",), votes=3),
            )
        ),
        track="issue-1",
        issue=1,
        base_sha="0123456789abcdef0123456789abcdef01234567",
        goal="Have it done.",
    )
    assert dump(with_contexts(backlog, {"T-1": "# Do it\n\n- now\n"})) == snapshot(
        """\
version: 1
track: issue-1
issue: 1
base_sha: 0123456789abcdef0123456789abcdef01234567
goal: Have it done.
tasks:
  - id: T-1
    title: 'Do: it'
    kind: complex
    priority: medium
    status: todo
    depends_on: []
    scope:
      paths:
        - a.py
    acceptance:
      - It is done.
    estimate: M
    votes: 3
    spec: 1
    context: |
      # Do it

      - now
    context_sha256: dfdde2aa210d42808e0836e8a3d9863bcbc5e30323208b9437eeef7649c8e5c5
"""
    )


# --- reading -------------------------------------------------------------------------------------


def test_peoples_compact_style_is_read() -> None:
    backlog = load(GOOD).backlog
    assert backlog is not None
    assert [(t.id, t.title, t.depends_on, t.scope.paths) for t in backlog.tasks] == [
        ("T-1", "Make the parser strict", (), ("src/parser.py",)),
        ("T-2", "Write it down", ("T-1",), ("docs",)),
    ]
    assert backlog.tasks[0].priority == "medium"


def test_every_problem_is_told_at_once_with_its_place_and_a_hint() -> None:
    text = """\
version: 2
track: issue-12
tasks:
  - id: T-1
    titel: A
    depends_on: [T-3, T-3, t2]
    scope: {paths: [../x, src/prser.py]}
    acceptance: []
  - id: T-1
    title: B
    title: C
    depends_on: [T-1]
    acceptance: [x]
  - id: T-3
    title: D
    status: doing
    depends_on: [T-1, T-3]
    scope: {paths: [src/parser.py]}
    acceptance: [x]
"""
    found = [(p.line, p.column, p.code, p.message, p.hint) for p in load(text, ["src/parser.py"]).problems]
    assert found == snapshot(
        [
            (1, 10, "SCHEMA", "`version`: this must be at most 1", "Write `version: 1`."),
            (4, 5, "SCHEMA", "The key `title` is missing", "Add `title:`."),
            (5, 5, "SCHEMA", "The key `titel` is not known", "Did you mean `title`?"),
            (
                6,
                18,
                "CYCLE",
                "These tasks wait for each other: `T-1` -> `T-3` -> `T-1`",
                "Remove one of these dependencies.",
            ),
            (6, 23, "DUP_DEP", "`T-1` names `T-3` twice", "Remove one of the entries."),
            (
                6,
                28,
                "UNKNOWN_DEP",
                "`T-1` depends on `t2`, which is no task",
                "Remove this entry or add the task.",
            ),
            (
                7,
                21,
                "SCHEMA",
                "The path `../x` is not inside the repository",
                "Write it from the repository's root, without `..`.",
            ),
            (
                7,
                27,
                "SCOPE_MISSING_FILE",
                "`src/prser.py` does not exist yet",
                "Right for a new file; or did you mean `src/parser.py`?",
            ),
            (
                8,
                17,
                "SCHEMA",
                "`acceptance`: at least one entry is needed",
                "A list of sentences that can be checked.",
            ),
            (9, 9, "DUP_ID", "The id `T-1` is used twice, first in line 4", "Use a free id, such as `T-2`."),
            (
                9,
                9,
                "SCOPE_EMPTY",
                "`T-1` names no path in `scope.paths`",
                "Name the files or folders that it may change.",
            ),
            (11, 5, "DUP_YAML_KEY", "The key `title` is written twice", "Keep one of them."),
            (12, 18, "SELF_DEP", "`T-1` depends on itself", "Remove this entry."),
            (
                16,
                13,
                "SCHEMA",
                "`status`: this must be 'todo', 'done' or 'dropped'",
                "See the format of BACKLOG.yaml, version 1.",
            ),
            (17, 23, "SELF_DEP", "`T-3` depends on itself", "Remove this entry."),
        ]
    )


@pytest.mark.parametrize(
    ("change", "code", "severity"),
    [
        (("T-2, title: Write it down, depends_on: [T-1]", "T-1, title: x"), "DUP_ID", "error"),
        (("title: Write it down", "title: x, title: y"), "DUP_YAML_KEY", "error"),
        (("depends_on: [T-1]", "depends_on: [T-7]"), "UNKNOWN_DEP", "error"),
        (("depends_on: [T-1]", "depends_on: [T-2]"), "SELF_DEP", "error"),
        (("depends_on: []", "depends_on: [T-2]"), "CYCLE", "error"),
        (("{paths: [docs]}", "{paths: []}"), "SCOPE_EMPTY", "error"),
        (("scope: {paths: [docs]}, ", ""), "SCOPE_EMPTY", "error"),
        (("estimate: S", "context: " + "é" * 1537), "CONTEXT_TOO_BIG", "error"),
        (("version: 1", "version: 2"), "SCHEMA", "error"),
        (("track: issue-12", "track: ../x"), "SCHEMA", "error"),
        (("[docs]", "[/etc/passwd]"), "SCHEMA", "error"),
        (("[docs]", "[.git/hooks]"), "SCHEMA", "error"),
        (("goal: One", "goal: &a One"), None, "error"),
        (("goal: One sentence.", "goal: *a"), "SCHEMA", "error"),
        (("goal: One", "goal: !!python/object:os.system One"), "SCHEMA", "error"),
        (("tasks:", "---\ntasks:"), "SCHEMA", "error"),
        (("depends_on: [T-1]", "depends_on: [T-1, T-1]"), "DUP_DEP", "warning"),
        (("status: todo", "status: dropped"), "UNREACHABLE", "warning"),
        (("title: Write", "status: done, title: Write"), "DONE_BEFORE_DEP", "warning"),
        (("depends_on: [T-1], scope: {paths: [docs]}", "scope: {paths: [src]}"), "SCOPE_OVERLAP", "warning"),
        (("[docs]", "[new.md]"), "SCOPE_MISSING_FILE", "warning"),
        (("base_sha: 0123", "base_sha: 1123"), "STALE_BASE", "warning"),
    ],
)
def test_each_defect_is_found_and_only_it(change: tuple[str, str], code: str | None, severity: str) -> None:
    assert change[0] in GOOD
    files, head = ["src/parser.py", "docs/x.md"], "0123456789abcdef0123456789abcdef01234567"
    assert load(GOOD, files, head).problems == ()
    found = load(GOOD.replace(*change), files, head)
    assert {p.code for p in found.problems} == ({code} if code else set())
    assert {p.severity for p in found.problems} <= {severity}
    assert (found.backlog is None) == (severity == "error" and code is not None)


def test_a_cycle_through_an_id_that_is_used_twice_is_told_where_it_is_written() -> None:
    text = """\
version: 1
track: issue-12
tasks:
  - {id: T-1, title: A, scope: {paths: [a]}, acceptance: [x]}
  - {id: T-1, title: B, scope: {paths: [b]}, acceptance: [x], depends_on: [T-2]}
  - {id: T-2, title: C, scope: {paths: [c]}, acceptance: [x], depends_on: [T-1]}
"""
    assert [(p.line, p.code) for p in load(text).problems] == [(5, "DUP_ID"), (5, "CYCLE")]


def test_a_mistyped_path_is_compared_with_its_folder_and_with_files_of_its_name() -> None:
    def hint(path: str) -> str:
        found = load(
            GOOD.replace("[docs]", f"[{path}]"), ["src/parser.py", "docs/guide.md", "x/deep/guide.md"]
        )
        return next(p.hint for p in found.problems if p.code == "SCOPE_MISSING_FILE")

    assert hint("docs/gudie.md") == "Right for a new file; or did you mean `docs/guide.md`?"
    assert hint("doc/guide.md") == "Right for a new file; or did you mean `docs/guide.md`?"
    assert hint("docs/other.rst") == "Right for a new file; else mend it."


def test_a_dependency_that_follows_from_others_is_named() -> None:
    third = "  - {id: T-3, title: x, depends_on: [T-1, T-2], scope: {paths: [x.py]}, acceptance: [x]}\n"
    assert [(p.code, p.message) for p in load(GOOD + third).problems] == [
        ("REDUNDANT_DEP", "`T-3` waits for `T-1` anyway, through another task")
    ]


@pytest.mark.parametrize(
    "text", ["", "no", "[]", "- a", "a: [", "\x00", "\t", "a: b: c", "{" * 5000, "[" * 100_000, "- " * 3000]
)
def test_a_file_that_is_no_backlog_is_a_problem_and_no_crash(text: str) -> None:
    found = load(text)
    assert found.backlog is None
    assert found.problems[0].code == "SCHEMA"


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert {problem.code for problem in load(bomb).errors} == {"SCHEMA"}


@given(st.text(max_size=80))
def test_reading_never_fails(text: str) -> None:
    load(text)
    load(f"version: 1\ntrack: x\ntasks:\n  - {text}")


def test_words_that_yaml_takes_for_something_else_stay_words() -> None:
    text = GOOD.replace("Write it down", "no").replace('"yes"', "on, 1.10, 0o17, 012")
    backlog = load(text).backlog
    assert backlog is not None
    assert (backlog.tasks[1].title, backlog.tasks[1].acceptance) == ("no", ("on", "1.10", "0o17", "012"))


def test_a_context_that_a_person_edited_is_known() -> None:
    task = with_contexts(load(GOOD).backlog or Backlog(track="x"), {"T-1": "text\n"}).tasks[0]
    assert task.context_sha256 == context_sha256("text\n")
    assert not edited_by_person(task)
    assert edited_by_person(task.model_copy(update={"context": "other\n"}))


# --- the manager ---------------------------------------------------------------------------------


def test_the_manager_loads_counts_changes_and_saves() -> None:
    manager = BacklogManager(GOOD)
    assert [task.id for task in manager.get_ready_tasks()] == ["T-1"]
    assert manager.get_stats() == Stats(total=2, todo=2, done=0, dropped=0, ready=1, blocked=1)
    manager.update_task_status("T-1", "done")
    assert [task.id for task in manager.get_ready_tasks()] == ["T-2"]
    assert manager.save() == GOOD.replace("status: todo", "status: done")
    assert manager.get_stats() == Stats(total=2, todo=1, done=1, dropped=0, ready=1, blocked=0)


def test_a_broken_backlog_has_no_ready_tasks() -> None:
    manager = BacklogManager(GOOD.replace("T-2", "T-1"))
    assert manager.get_ready_tasks() == ()
    assert manager.get_stats().total == 0
