"""Check boxes: what is a tick, whose turn it is, and that a text is written anew without losing a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import boxes
from bot.core.boxes import Box
from tests.core.builders import a_task, a_track

names = st.builds(
    Box,
    st.sampled_from(["rebase", "retry", "include"]),
    st.sampled_from(["", "T-1", "M-12", "ABC-7"]),
    st.integers(0, 99),
)
words = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)
shown = st.lists(st.tuples(names, words), max_size=6, unique_by=lambda each: each[0])


def written(rows: list[tuple[Box, str]], ticked: set[Box] = frozenset(), end: str = "\n") -> str:  # type: ignore[assignment]
    lines = [boxes.line(box, f"{label}.") for box, label in rows]
    lines = [
        line.replace("- [ ]", "- [x]", 1) if box in ticked else line
        for line, (box, _) in zip(lines, rows, strict=True)
    ]
    return end.join(["# Before", "", *lines, "", "After"])


@given(names)
def test_a_box_is_read_as_it_is_written(box: Box) -> None:
    assert boxes.parse(str(box)) == box


@given(shown, st.data(), st.sampled_from(["\n", "\r\n"]))
def test_exactly_the_boxes_that_changed_are_named(
    rows: list[tuple[Box, str]], data: st.DataObject, end: str
) -> None:
    all_ = [box for box, _ in rows]
    then = set(data.draw(st.lists(st.sampled_from(all_)))) if all_ else set()
    now = set(data.draw(st.lists(st.sampled_from(all_)))) if all_ else set()
    ticked, unticked = boxes.changed(written(rows, then), written(rows, now, end))
    assert (set(ticked), set(unticked)) == (now - then, then - now)


@given(st.text(max_size=80), st.text(max_size=80))
def test_reading_never_fails(before: str, after: str) -> None:
    boxes.changed(before, after)
    boxes.parse(before)


@given(shown, st.data())
def test_writing_anew_keeps_every_other_word(rows: list[tuple[Box, str]], data: st.DataObject) -> None:
    all_ = [box for box, _ in rows]
    ticked = set(data.draw(st.lists(st.sampled_from(all_)))) if all_ else set()
    body = written(rows, ticked)
    same = boxes.redrawn(body, boxes.line)
    # Around a box's words space is free: "- [ ] <mark> Words" and "- [ ] <mark>Words" are the same list item.
    assert ["".join(line.split()) for line in same.splitlines()] == [
        "".join(line.split()) for line in written(rows).splitlines()
    ]
    assert boxes.redrawn(same, boxes.line) == same
    assert boxes.redrawn("no box here\n- [ ] mine", boxes.line) == "no box here\n- [ ] mine"


@pytest.mark.parametrize(
    "after",
    [
        "- [x] Rebase",
        "> - [x] <!-- box:rebase T-1 -->Rebase",
        "    - [x] <!-- box:rebase T-1 -->Rebase",
        "text - [x] <!-- box:rebase T-1 -->Rebase",
        "```\n- [x] <!-- box:rebase T-1 -->Rebase\n```",
        "~~~~ md\n```\n- [x] <!-- box:rebase T-1 -->Rebase\n~~~",
        "- [y] <!-- box:rebase T-1 -->Rebase",
        "- [x] <!-- box:rebase T-1 #x -->Rebase",
        "- [x] <!-- box:REBASE T-1 -->Rebase",
    ],
)
def test_what_only_looks_like_a_box_is_none(after: str) -> None:
    assert boxes.changed(after.replace("[x]", "[ ]"), after) == ((), ())


def test_a_box_that_was_not_there_before_is_nobodys_tick() -> None:
    assert boxes.changed("", "- [x] <!-- box:rebase T-1 -->Rebase") == ((), ())


@given(names, st.integers(0, 120))
def test_a_tick_is_fresh_once(box: Box, later: int) -> None:
    track = a_track(a_task())
    assert boxes.fresh(track, box)
    acted = boxes.spent(track, box)
    assert not boxes.fresh(acted, box)
    assert boxes.offered(acted, box.kind, box.about).turn == box.turn + 1
    assert boxes.fresh(acted, Box(box.kind, box.about, later)) == (later > box.turn)
    assert boxes.fresh(acted, Box("other", box.about, 0))
