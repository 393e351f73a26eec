"""What agents report becomes normalized steps, whatever order, shape or nonsense it comes in."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.agents.acp_events import Updates
from bot.agents.steps import Steps, inside
from bot.core.drift import Step
from bot.ports import ToolFinished

WORK = Path("/some/tree")


async def steps_of(*updates: dict[str, Any]) -> list[Step]:
    looked = 0

    async def tree() -> str:
        nonlocal looked
        looked += 1
        return f"tree-{looked}"

    reader, steps = Updates(), Steps(tree, WORK)
    await steps.begin()
    for update in updates:
        events = reader.take(update)
        assert events, "a sign of life was dropped"
        for event in events:
            await steps.take(event, lambda _: ())
    for event in reader.flush():
        await steps.take(event, lambda _: ())
    return steps.trace


def call(id_: str = "1", **fields: Any) -> dict[str, Any]:
    return {"sessionUpdate": "tool_call", "toolCallId": id_, **fields}


def more(id_: str = "1", **fields: Any) -> dict[str, Any]:
    return {"sessionUpdate": "tool_call_update", "toolCallId": id_, **fields}


def chunk(text: str, kind: str = "agent_message_chunk", **fields: Any) -> dict[str, Any]:
    return {"sessionUpdate": kind, "content": {"type": "text", "text": text}, **fields}


def content(text: str) -> list[dict[str, Any]]:
    return [{"type": "content", "content": {"type": "text", "text": text}}]


async def test_the_updates_of_a_call_are_merged_into_one_step() -> None:
    found = await steps_of(
        call(title="edit", kind="edit", status="pending"),
        more(status="in_progress", rawInput={"b": 1, "a": "x"}, locations=[{"path": "/some/tree/a.py"}]),
        more(
            status="completed",
            title=None,
            content=[{"type": "diff", "path": "/some/tree/b.py", "newText": "x"}, *content("took 3.25s")],
        ),
        more(status="completed", content=content("again")),
    )
    assert found == [
        Step(
            action="edit",
            args='{"a": "x", "b": 1}',
            observation="took <duration>",
            ok=True,
            kind="edit",
            tree="tree-2",
            files=("a.py", "b.py"),
        )
    ]


async def test_calls_side_by_side_are_told_in_the_order_of_their_ends() -> None:
    found = await steps_of(
        call("1", kind="read", title="Read a"),
        call("2", kind="read", title="Read b"),
        more("2", status="completed"),
        more("1", status="failed"),
    )
    assert [(step.args, step.ok) for step in found] == [("Read b", True), ("Read a", False)]
    assert {step.tree for step in found} == {"tree-1"}  # reading changes nothing, so nobody looks


@pytest.mark.parametrize(
    "failed",
    [
        {"rawOutput": {"metadata": {"exit": 1}}},
        {"rawOutput": {"exit_code": 2}},
        {"_meta": {"terminal_exit": {"exit_code": 3}}},
    ],
)
async def test_a_command_that_ended_with_a_code_failed(failed: dict[str, Any]) -> None:
    assert [step.ok for step in await steps_of(call(kind="execute", status="completed", **failed))] == [False]


async def test_words_become_one_message_until_something_else_follows() -> None:
    found = await steps_of(
        chunk("I ", "agent_thought_chunk"),
        chunk("think.", "agent_thought_chunk"),
        chunk("Fir", messageId="1"),
        chunk("st.", messageId="1"),
        chunk("Second.", messageId="2"),
        call(kind="search", status="completed", title="look"),
        chunk("Last."),
    )
    assert [(step.kind, step.args) for step in found] == [
        ("think", "I think."),
        ("message", "First."),
        ("message", "Second."),
        ("search", "look"),
        ("message", "Last."),
    ]


async def quick(seconds: float, *updates: dict[str, Any]) -> list[Step]:
    """Take a flood, and say no if that took longer: the bot's only loop stands meanwhile."""
    began = time.process_time()
    found = await steps_of(*updates)
    assert time.process_time() - began < seconds
    return found


async def test_a_flood_of_pieces_costs_as_much_as_it_is_long() -> None:
    empty, small = [chunk("", messageId="m")] * 30_000, [chunk("x", messageId="m")] * 30_000
    found = await quick(2.0, *empty, *small)
    assert [len(step.args) for step in found] == [4_000]


async def test_a_call_without_measure_is_cut_where_it_comes_in() -> None:
    long = "x 12:30 " * 1_000_000
    located = [{"path": f"/some/tree/{n}"} for n in range(300_000)]
    (step,) = await quick(
        3.0,
        call("i" * 10**6, title=long, kind="edit", rawInput={"a": long}, locations=located),
        more("i" * 10**6, status="completed", content=content(f"{long} end")),
    )
    assert len(step.files) == 100
    assert len(step.args) == 4_000
    assert step.observation.endswith(" end")
    reader = Updates()
    (event,) = reader.take(call("i" * 10**6, title=long, rawOutput=long, status="completed"))[1:]
    assert isinstance(event, ToolFinished)
    assert max(len(event.id), len(event.title), len(event.output)) == 8_000
    assert sum(map(len, reader._finished)) <= 200


async def test_a_session_has_a_last_call() -> None:
    reader = Updates()
    ended = [
        event
        for n in range(10_100)
        for event in reader.take(call(str(n), status="completed"))
        if isinstance(event, ToolFinished)
    ]
    assert len(ended) == 10_000


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/some/tree/a/b.py", "a/b.py"),
        ("a/../b.py", "b.py"),
        ("..data/x", "..data/x"),
        ("/some/tree", "."),
        ("/some/tree/../x", None),
        ("../x", None),
        ("/some/tree-2/x", None),
        ("/etc/passwd", None),
    ],
)
def test_a_path_is_inside_or_not(path: str, name: str | None) -> None:
    assert inside(WORK, path) == name


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from(
    ["tool_call", "tool_call_update", "agent_message_chunk", "plan", "agent_thought_chunk"]
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"sessionUpdate": _NAMES},
            optional={
                "toolCallId": st.sampled_from(["1", "2"]) | _JSON,
                "status": st.sampled_from(["completed", "failed", "pending"]) | _JSON,
                "kind": st.sampled_from(["edit", "execute"]) | _JSON,
                "title": _JSON,
                "rawInput": _JSON,
                "rawOutput": _JSON,
                "content": _JSON,
                "locations": st.lists(st.fixed_dictionaries({"path": _JSON})) | _JSON,
                "_meta": _JSON,
                "messageId": _JSON,
            },
        ),
        max_size=12,
    )
)
async def test_nothing_that_an_agent_sends_breaks_the_reading(updates: list[dict[str, Any]]) -> None:
    for step in await steps_of(*updates):
        assert all(not path.startswith(("/", "../")) for path in step.files)
        assert len(step.args) <= 4_000
