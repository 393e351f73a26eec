"""Slash commands: what is one, what nearly is, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("/agent plan <!-- and merge -->", Invocation("plan")),
        ("/agent plan <!-- and\nmerge --> now", Invocation("plan", ("now",), "now")),
        ("\u200b/agent plan", Invocation("plan")),
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


@given(st.sampled_from(VERBS), st.text(max_size=60))
def test_a_command_in_a_code_block_is_never_obeyed(verb: str, text: str) -> None:
    assert parse(f"```\n/agent {verb} {text}\n```", VERBS) is None
    assert parse(f"> /agent {verb} {text}", VERBS) is None
    assert parse(f"    /agent {verb} {text}", VERBS) is None
