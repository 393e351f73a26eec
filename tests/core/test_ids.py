"""Names that are derived, never stored."""

from hypothesis import given
from hypothesis import strategies as st

from bot.core.ids import Marker, backlog_branch, identity, keyed, parse_marker, task_branch, track_id


def test_names_are_those_of_the_contract() -> None:
    assert (track_id(12), track_id(12, 3)) == ("issue-12", "issue-12-r3")
    assert backlog_branch("agent", "issue-12") == "agent/issue-12/backlog"
    assert backlog_branch("agent", "issue-12", 2) == "agent/issue-12/backlog-2"
    assert task_branch("agent", "issue-12", "T-1", 2) == "agent/issue-12/T-1-a2"
    assert (
        str(Marker("task", "issue-12", "T-1", 2))
        == "<!-- gitwright:task track=issue-12 task=T-1 attempt=2 -->"
    )
    assert str(Marker("status", "issue-12")) == "<!-- gitwright:status track=issue-12 -->"


@given(
    st.builds(
        Marker,
        st.sampled_from(["status", "plan", "backlog", "task", "receipt", "answer", "problem"]),
        st.none() | st.from_regex(r"issue-[1-9][0-9]{0,4}", fullmatch=True),
        st.none() | st.from_regex(r"[A-Z]{1,6}-[0-9]{1,3}", fullmatch=True),
        st.none() | st.integers(1, 9),
    )
)
def test_a_marker_is_read_back_as_it_was_written(marker: Marker) -> None:
    assert parse_marker(f"{marker}\nText") == marker


@given(st.text())
def test_no_text_breaks_the_reading_of_markers(text: str) -> None:
    parse_marker(text)
    identity(text)


def test_a_marker_counts_on_the_first_line_only() -> None:
    assert parse_marker("\n<!-- gitwright:status track=issue-1 -->") is None
    assert parse_marker("> <!-- gitwright:status track=issue-1 -->") is None
    assert parse_marker("<!-- gitwright:other track=issue-1 -->") is None


@given(st.text(min_size=1, max_size=60))
def test_a_key_tells_answers_apart_and_cannot_end_its_comment(key: str) -> None:
    head = keyed(Marker("answer", "issue-1"), key)
    assert identity(f"{head}\nText") == head
    assert identity(f"{head}\r\nText".replace("\n<", "\r\n<")) == head
    assert head.count("-->") == 2
