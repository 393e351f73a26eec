"""What may be pushed, told from the first lines of a push alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.broker import pushes
from bot.broker.vault import Pushing

OLD, NEW, NOTHING = b"1" * 40, b"2" * 40, b"0" * 40
MAY = Pushing("acme/greeter", "main")
CAPABLE = b"\0 report-status side-band-64k agent=git/2.39.5"


def line(text: bytes) -> bytes:
    return b"%04x" % (len(text) + 4) + text


def command(ref: bytes, old: bytes = OLD, new: bytes = NEW, capable: bytes = CAPABLE) -> bytes:
    return old + b" " + new + b" " + ref + capable


@pytest.mark.parametrize(
    "name",
    [
        b"agent/issue-1/T-1-a1",
        b"a/b-c_D/issue-12-r3/backlog-2",
        b"x/issue-1/record",
        b"x/issue-1/backlog",
        b"x/onboarding",
    ],
)
@pytest.mark.parametrize("old", [OLD, NOTHING])
def test_one_branch_may_be_made_or_moved(name: bytes, old: bytes) -> None:
    assert pushes.judge([command(b"refs/heads/" + name, old)], MAY) is None


def test_a_look_whether_one_is_let_in_says_no_command() -> None:
    assert pushes.begun(b"0000") == ([], True)
    assert pushes.judge([], MAY) is None


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([command(b"refs/heads/main")], "default branch"),
        ([command(b"refs/heads/MAIN")], "default branch"),
        ([command(b"refs/heads/x", new=NOTHING)], "deleted"),
        ([command(b"refs/heads/x")], "own branches"),
        ([command(b"refs/heads/agent/x")], "own branches"),
        ([command(b"refs/heads/issue-1/backlog")], "own branches"),
        ([command(b"refs/heads/agent/issue-1/T-1")], "own branches"),
        ([command("refs/heads/ü/issue-1/backlog".encode())], "own branches"),
        ([command(b"refs/heads/agent/issue-1/backlog/x")], "own branches"),
        ([command(b"refs/tags/v1")], "only branches"),
        ([command(b"refs/pull/1/head")], "only branches"),
        ([command(b"HEAD")], "only branches"),
        ([command(b"refs/heads/")], "only branches"),
        ([command(b"refs/heads/../tags/x")], "only branches"),
        ([command(b"refs/heads/\xff")], "only branches"),
        ([command(b"refs/heads/-x")], "only branches"),
        ([command(b"refs/heads/a"), OLD + b" " + NEW + b" refs/heads/b"], "one branch"),
        ([b"shallow " + OLD, command(b"refs/heads/a")], "no command"),
        ([b"push-cert\0x", command(b"refs/heads/a")], "no command"),
        ([command(b"refs/heads/a", capable=b"\0 report-status push-options")], "options"),
        ([b""], "no command"),
    ],
)
def test_all_else_is_refused(lines: list[bytes], why: str) -> None:
    refused = pushes.judge(lines, MAY)
    assert refused is not None
    assert why in refused.why


@given(
    texts=st.lists(st.binary(max_size=40), max_size=4),
    rest=st.binary(max_size=40),
    cut=st.integers(min_value=1, max_value=60),
)
def test_lines_are_read_up_to_the_first_flush_however_they_come(
    texts: list[bytes], rest: bytes, cut: int
) -> None:
    head = b"".join(line(text) for text in texts) + b"0000"
    assert pushes.begun(head + rest) == (texts, True)
    found, whole = pushes.begun(head[: max(len(head) - cut, 0)])
    assert not whole
    assert found == texts[: len(found)]


@given(st.binary(max_size=200))
def test_what_is_no_push_is_no_crash(data: bytes) -> None:
    try:
        lines, _ = pushes.begun(data)
    except ValueError:
        return
    pushes.judge(lines, MAY)


def test_git_is_told_in_its_own_words() -> None:
    said = pushes.Refused("no branch is deleted", "refs/heads/x", sideband=True).told()
    assert said.startswith(b"0040\x01000eunpack ok\n")
    assert said.endswith(b"00000000")
    assert b"ng refs/heads/x no branch is deleted\n" in said
