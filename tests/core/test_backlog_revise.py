"""A note is worked into a backlog where people have not written, and every other byte stays."""

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from bot.core.backlog import Backlog, dump, load
from bot.core.backlog_edit import add_task, raw, set_field
from bot.core.backlog_model import BacklogTask
from bot.core.backlog_revise import FIELDS, revise


def task(id_: str = "T-1", **changes: Any) -> BacklogTask:
    values = {"id": id_, "title": f"Do {id_}", "scope": {"paths": [f"{id_}.py"]}, "acceptance": ["It is."]}
    return BacklogTask.model_validate({**values, **changes})


def backlog(*tasks: BacklogTask) -> Backlog:
    return Backlog(track="issue-1", issue=1, base_sha="a" * 40, goal="G.", tasks=tasks)


BEFORE = dump(backlog(task(), task("T-2", depends_on=["T-1"])))


def test_what_the_model_wants_is_written_where_people_have_not_written() -> None:
    mine = BEFORE.replace("title: Do T-1", "title: My words  # and why").replace(
        "issue: 1\n", "issue: 1\n# x\n"
    )
    wanted = backlog(task(title="Theirs", priority="high"), task("T-2"))
    made = revise(BEFORE, mine, wanted)
    assert made.changed == {"T-1": ("priority",), "T-2": ("depends_on",)}
    assert made.kept == {"T-1": ("title",)}
    changed = {
        line.strip(): now.strip()
        for line, now in zip(mine.splitlines(), made.text.splitlines(), strict=False)
        if line != now
    }
    assert changed["priority: medium"] == "priority: high"
    assert "title: My words  # and why" in made.text
    assert "# x\n" in made.text


def test_what_people_wrote_is_theirs_at_the_next_note_as_well() -> None:
    mine = BEFORE.replace("title: Do T-1", "title: My words")
    first = revise(BEFORE, mine, backlog(task(estimate="L"), task("T-2", depends_on=["T-1"])))
    second = revise(first.before, first.text, backlog(task(title="Theirs", estimate="S"), task("T-2")))
    assert second.kept == {"T-1": ("title",)}
    assert "title: My words" in second.text
    assert raw(second.text, "T-1", "estimate") == "S"


def test_new_tasks_come_last_and_left_out_ones_are_dropped() -> None:
    made = revise(BEFORE, BEFORE, backlog(task("T-2"), task("T-3", acceptance=["A", "B"])))
    assert (made.added, made.dropped) == (("T-3",), ("T-1",))
    after = load(made.text).backlog
    assert after is not None
    assert [(t.id, t.status) for t in after.tasks] == [("T-1", "dropped"), ("T-2", "todo"), ("T-3", "todo")]
    assert after.tasks[2].acceptance == ("A", "B")


def test_a_task_that_people_took_out_does_not_come_back_and_their_own_is_not_touched() -> None:
    only = backlog(task(), task("T-9", title="Mine"))
    made = revise(BEFORE, dump(only), backlog(task(), task("T-2"), task("T-9", title="Theirs")))
    assert made.text == dump(only)
    assert made.kept == {"T-2": ("that it was taken out",), "T-9": ("title",)}


def test_every_style_that_people_write_in_can_be_changed() -> None:
    text = (
        "version: 1\ntrack: issue-1\ntasks:\n"
        "- {id: T-1, title: One, scope: {paths: [a.py]}, acceptance: [It is.]}\n"
        "- id: T-2\n  title: 'Two'\n  depends_on: [T-1]  # because\n  scope: {paths: [b.py, c.py]}\n"
        "  acceptance:\n  - One.\n  # a remark\n  - Two.\n"
    )
    text = set_field(text, "T-1", "title", "Uno: due")
    text = set_field(text, "T-1", "paths", ("x,y.py", "z.py"))
    text = set_field(text, "T-2", "depends_on", ())
    text = set_field(text, "T-2", "paths", ("d.py",))
    after = load(text).backlog
    assert after is not None, load(text).problems
    assert (after.tasks[0].title, after.tasks[0].scope.paths) == ("Uno: due", ("x,y.py", "z.py"))
    assert (after.tasks[1].depends_on, after.tasks[1].scope.paths) == ((), ("d.py",))
    assert "# because" in text
    assert "# a remark" in text


WORDS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(
    lambda text: bool(text.strip()) and text == text.strip()
)


@given(
    st.sampled_from(FIELDS),
    WORDS,
    st.lists(WORDS, min_size=1, max_size=4, unique=True),
    st.sampled_from(["S", "M", "L"]),
)
def test_a_changed_field_reads_back_and_nothing_else_changes(
    name: str, words: str, entries: list[str], estimate: str
) -> None:
    values: dict[str, Any] = {
        "title": words,
        "kind": "simple",
        "priority": "low",
        "depends_on": ("T-1",),
        "paths": tuple(entries),
        "acceptance": tuple(entries),
        "test": words,
        "estimate": estimate,
    }
    text = set_field(BEFORE, "T-2", name, values[name])
    after, before = _plain(text), _plain(BEFORE)
    changed = after[1]["scope"]["paths"] if name == "paths" else after[1].get(name)
    assert changed == (list(values[name]) if isinstance(values[name], tuple) else values[name])
    if name == "paths":
        after[1]["scope"] = before[1]["scope"]
    else:
        after[1][name] = before[1].get(name)
    assert {k: v for k, v in after[1].items() if v is not None} == before[1]
    assert after[0] == before[0]


def _plain(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(text)["tasks"]
    return found


def test_a_context_is_written_anew_with_its_digest_beside_it() -> None:
    text = set_field(BEFORE, "T-1", "context", "First\n\n  second: #3\n")
    after = load(text).backlog
    assert after is not None
    assert after.tasks[0].context == "First\n\n  second: #3\n"
    assert add_task(text, task("T-5")).startswith(text)
