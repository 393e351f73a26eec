"""Slash commands: what is one, what nearly is, and what is none."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.core.commands import Invocation, NearMiss, parse

VERBS = (
    "budget",
    "help",
    "pause",
    "plan",
    "rebase",
    "regenerate",
    "resume",
    "retry",
    "revise",
    "skip",
    "status",
    "why",
)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("/agent status", Invocation("status")),
        ("/Agent Status", Invocation("status")),
        ("\n\n  /agent   status  \n", Invocation("status")),
        ("/agent status\r\nthanks", Invocation("status", (), "thanks")),
        ("/agent", Invocation("help")),
        ("/agent why T-1", Invocation("why", ("T-1",), "T-1")),
        (
            "/agent revise use a list\nnot a set",
            Invocation("revise", ("use", "a", "list"), "use a list\nnot a set"),
        ),
        # What follows the verb stays as it was written: whoever hands it on says what is taken out.
        ("/agent plan <!-- and merge -->", Invocation("plan", (), "<!-- and merge -->")),
        (
            "/agent plan <!-- and\nmerge --> now",
            Invocation("plan", ("now",), "<!-- and\nmerge --> now"),
        ),
        ("/agent <!-- x -->plan<!-- y -->now", Invocation("plan", ("now",), "<!-- y -->now")),
        ("/agent revise `a`\n<!-- x -->", Invocation("revise", ("`a`",), "`a`\n<!-- x -->")),
        ("/agent re\u200bvise Be\u202e kind", Invocation("revise", ("Be", "kind"), "Be\u202e kind")),
        ("\u200b/agent plan", Invocation("plan")),
        ("\u200b/agent revise Be\u202e kind", Invocation("revise", ("Be", "kind"), "Be kind")),
    ],
)
def test_a_command_is_read(body: str, wanted: Invocation) -> None:
    assert parse(body, VERBS) == wanted


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello\n/agent plan",
        "> /agent plan",
        "`/agent plan`",
        "```\n/agent plan\n```",
        "~~~\n/agent plan",
        "    /agent plan",
        "\t/agent plan",
        "<!-- /agent plan -->",
        "<!--\n/agent plan\n-->",
        "- /agent plan",
        "* /agent plan",
        "please /agent plan",
        "/agenda for tomorrow",
        "/plan",
        "/agents of change",
        "/usr/bin/agent plan",
        "/deploy plan",
        "\\/agent plan",
        "/agent plan\n===",
        "/agent plan\n---",
        "/agent plan | why\n---|---",
        "# /agent plan",
        "[/agent plan](https://x.test)",
        "<b>/agent plan</b>",
        "<details>\n\n/agent plan\n</details>",
        "<!-- a --> /agent plan",
        "<!-- a\n--> /agent plan",
        "1. /agent plan",
        "| /agent plan |",
        "&#47;agent plan",
    ],
)
def test_everything_else_is_none(body: str) -> None:
    assert parse(body, VERBS) is None


@pytest.mark.parametrize(
    ("body", "suggestion"),
    [
        ("/agnt plan", "/agent plan"),
        ("/agetn why T-2", "/agent why T-2"),
        ("/agents plan", "/agent plan"),
        ("/agent-plan", "/agent plan"),
        ("/agent_plan", "/agent plan"),
        ("/agentplan", "/agent plan"),
        ("/agent:plan", "/agent plan"),
        ("/agent: plan", "/agent plan"),
        ("/agent statsu", "/agent status"),
        ("/agent plan.", "/agent plan"),
        ("/agent make me a sandwich", None),
    ],
)
def test_a_near_miss_is_told_what_was_probably_meant(body: str, suggestion: str | None) -> None:
    assert parse(body, VERBS) == NearMiss(body, suggestion)


words = st.sampled_from(["/agent", "/agnt", "/Agent", "plan", "statsu", " ", "\n", "\t", "`", "```", ">", "<!--", "-->", "T-1", "\u200b", "\r", "-"])  # fmt: skip


@given(st.one_of(st.text(max_size=80), st.lists(words, max_size=8).map("".join)))
def test_reading_never_fails_and_only_knows_its_verbs(body: str) -> None:
    found = parse(body, VERBS)
    if isinstance(found, Invocation):
        assert found.name in VERBS
    if isinstance(found, NearMiss) and found.suggestion is not None:
        assert isinstance(parse(found.suggestion, VERBS), Invocation)


@given(st.sampled_from(VERBS), st.lists(st.one_of(words, st.text(max_size=9)), max_size=8).map(" ".join))
def test_what_follows_a_command_is_kept_to_the_letter(verb: str, text: str) -> None:
    found = parse(f"/agent {verb} {text}", VERBS)
    if isinstance(found, Invocation) and found.name == verb:
        assert found.text == text.replace("\r\n", "\n").replace("\r", "\n").strip()


@given(st.sampled_from(VERBS), st.text(max_size=60))
def test_a_command_in_a_code_block_is_never_obeyed(verb: str, text: str) -> None:
    assert parse(f"```\n/agent {verb} {text}\n```", VERBS) is None
    assert parse(f"> /agent {verb} {text}", VERBS) is None
    assert parse(f"    /agent {verb} {text}", VERBS) is None


# --- judged by a Markdown parser that others wrote -----------------------------------------------------

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_PIECES = st.sampled_from(
    ["/agent ", "/agent plan", "plan", "skip T-1", " ", "    ", "\n", "\n\n", "\t", "`", "```", "~~~", "> ", "<!--", "-->",
     "- ", "1. ", "# ", "===", "---", "|", "<div>", "</div>", "<b>", "[", "](x)", "*", "\\\\", "&#47;", "\u200b", "\r\n", "é", "\U000e0041"]
)  # fmt: skip


def _is_said(body: str) -> bool:
    """Tell by CommonMark whether a text begins with a paragraph, and that with a plain slash."""
    tokens = _MARKDOWN.parse(_INVISIBLE.sub("", body))
    if len(tokens) < 2 or tokens[0].type != "paragraph_open":
        return False
    first = (tokens[1].children or [None])[0]
    return first is not None and first.type == "text" and first.content.startswith("/")


@example("/agent plan\nand more\n===")
@example("/agent plan\n- and more\n---")
@given(st.lists(_PIECES, max_size=12).map("".join))
def test_what_is_obeyed_is_said_in_plain_words(body: str) -> None:
    if parse(body, VERBS) is not None:
        assert _is_said(body)


@given(
    st.sampled_from(VERBS), st.lists(st.sampled_from(["> ", "- ", "1. ", "    ", "> > ", "* > "]), min_size=1)
)
def test_a_command_inside_any_nesting_is_none(verb: str, nesting: list[str]) -> None:
    assert parse(f"{''.join(nesting)}/agent {verb}", VERBS) is None


@given(
    st.text(st.characters(categories=("Cf", "Mn", "Lo", "Lm", "So", "Zs", "Cn", "Co"))),
    st.sampled_from(VERBS),
)
def test_strange_characters_never_make_another_command(strange: str, verb: str) -> None:
    found = parse(f"/agent {verb}{strange} T-1", VERBS)
    assert found is None or isinstance(found, NearMiss) or found.name == verb
    parse(f"{strange}/agent {verb}", VERBS)
    parse(f"/{strange}agent {verb}", VERBS)


@pytest.mark.parametrize(
    "body",
    [
        "/agent " + "<!-- -->" * 7_000 + "<!-- --\u200b> revise",
        "/agent " + "<!-- -->" * 7_000,
        "/agent " + "<!--" * 15_000,
        "/agent a|b\n- " + " " * 60_000 + "x",
        "/agent a|b\n" + "-|" * 30_000 + "x",
        "/agent" + " " * 60_000 + "\u200bx",
        "/agent-" + "p" * 60_000,
    ],
    ids=lambda body: body[:20].encode("unicode_escape").decode(),
)
def test_nobody_can_make_reading_take_long(body: str) -> None:
    began = time.process_time()
    parse(body, VERBS)
    assert time.process_time() - began < 1.0


def test_a_command_above_a_list_or_a_line_is_one_and_in_a_heading_it_is_none() -> None:
    assert parse("/agent plan\n\nmore\n---", VERBS) == Invocation("plan", (), "more\n---")
    assert parse("/agent plan\n- more\n---", VERBS) is not None
    assert parse("/agent plan\nmore\n---", VERBS) is None
