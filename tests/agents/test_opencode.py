"""The real OpenCode, in a box with walls and without a network, against a scripted model on loopback."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bot.agents import make_coder
from bot.agents.acp_runtime import AcpRuntime
from bot.agents.planner import AgentPlanner
from bot.agents.presets import PRESETS
from bot.agents.sessions import agent_home
from bot.agents.supplies import Limits, Supplies
from bot.gateway.endpoints import Endpoints
from bot.models.planner import problem, prompt
from bot.ports import Coder, JsonDict, RunError
from tests.agents import opencode
from tests.agents.scripted_model import ScriptedModel, serving
from tests.agents.stage import Stage
from tests.agents.test_planner import PLAN, brief

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
]  # a start alone may take half a minute on a busy machine

KEY = "sk-the-real-key"
READ: JsonDict = {"calls": [{"read": {"filePath": "{cwd}/pkg/mod.py"}}]}
EDIT: JsonDict = {
    "calls": [{"edit": {"filePath": "{cwd}/pkg/mod.py", "oldString": "one = 1", "newString": "one = 2"}}]
}


def shell(command: str) -> JsonDict:
    return {"calls": [{"bash": {"command": command, "description": "look"}}]}


@pytest.fixture
def real(walled: Stage) -> Stage:
    if reason := opencode.missing():
        pytest.skip(reason)
    walled.path = f"{opencode.programs()}:{walled.path}"
    return walled


@pytest.fixture
def answering(real: Stage) -> Iterator[ScriptedModel]:
    with serving({"scenarios": []}, "/workspace") as model:
        yield model


def says(model: ScriptedModel, *steps: JsonDict, when: str = "Please fix") -> None:
    model.add({"when": when, "steps": list(steps)})


def a_coder(model: ScriptedModel, **limits: float) -> Coder:
    return make_coder("opencode", supplies(model, **limits))


def supplies(model: ScriptedModel, **limits: float) -> Supplies:
    return Supplies(
        endpoints=Endpoints({"OPENAI_API_KEY": KEY}, model.url),
        limits=Limits(start=120.0, drain=60.0, look=0.1, **limits),
    )


# A command that names folders outside the worktree is refused by OpenCode itself, a program is not.
LOOK = """\
import os, pathlib
home = pathlib.Path.home()
files = [*pathlib.Path("/proc").glob("[0-9]*/environ"), *(path for path in home.rglob("*") if path.is_file())]
seen = [path.read_bytes() for path in files if os.access(path, os.R_OK)]
pathlib.Path("seen.txt").write_bytes(b"\\n".join(seen))
"""
MODEL = {"model": "openai:m1", "timeout": 400.0}


async def test_it_works_and_what_it_costs_is_what_the_model_counted(
    real: Stage, answering: ScriptedModel
) -> None:
    says(answering, READ, EDIT, shell("cat pkg/mod.py; exit 3"), {"text": "All done.", "usage": [500, 7]})
    report = await real.work(a_coder(answering), **MODEL)
    assert report.said == "All done."
    assert (real.worktree / "pkg/mod.py").read_text(encoding="utf-8") == "one = 2\ntwo = 2\n"
    acted = [(step.kind, step.ok, step.files) for step in report.trace if step.kind != "message"]
    assert acted == [
        ("read", True, ("pkg/mod.py",)),
        ("edit", True, ("pkg/mod.py",)),
        ("execute", False, ()),
    ]
    assert [report.usage.input_tokens, report.usage.output_tokens] == answering.usage
    assert set(answering.keys) == {KEY}
    assert real.leftovers == []
    assert real.checked == {"processes", "provider session", "sandbox", "state", "token"}


async def test_neither_the_key_nor_the_host_s_environment_is_inside(
    real: Stage, answering: ScriptedModel
) -> None:
    os.environ["GITWRIGHT_TEST_SECRET"] = "planted-in-the-host"
    (real.worktree / "look.py").write_text(LOOK, encoding="utf-8")
    try:
        says(answering, shell("python3 look.py"), {"text": "Done."})
        await real.work(a_coder(answering), **MODEL)
    finally:
        del os.environ["GITWRIGHT_TEST_SECRET"]
    seen = (real.worktree / "seen.txt").read_bytes()
    assert b"GITWRIGHT_MODEL_TOKEN" in seen
    assert KEY.encode() not in seen
    assert b"planted-in-the-host" not in seen


async def test_a_note_reaches_it_in_the_middle_of_a_command(real: Stage, answering: ScriptedModel) -> None:
    says(answering, READ, shell("sleep 61"), {"text": "Too late."})
    says(answering, EDIT, {"text": "Followed."}, when="Use two.")
    report = await real.work(a_coder(answering), **MODEL, notes=real.notes("Use two."))
    assert report.said == "Followed."
    assert "one = 2" in (real.worktree / "pkg/mod.py").read_text(encoding="utf-8")


async def test_a_loop_is_stopped_and_its_cost_is_kept(real: Stage, answering: ScriptedModel) -> None:
    says(answering, *[shell("cat tests/nowhere.py")] * 40, {"text": "I give up."})
    with pytest.raises(RunError) as caught:
        await real.work(a_coder(answering), **MODEL)
    assert caught.value.reason == "drift"
    # Two sessions, of five calls in a row at most and one under way: a nudge may cut a command off, whose result differs then.
    # A busy agent hears of its end later.
    assert 6 <= len(caught.value.trace) <= 24
    assert caught.value.usage.requests >= 4
    assert real.leftovers == []


async def test_what_it_leaves_in_the_background_is_gone(real: Stage, answering: ScriptedModel) -> None:
    says(answering, shell("(setsid sleep 61 >/dev/null 2>&1 &); echo started"), EDIT, {"text": "Done."})
    await real.work(a_coder(answering), **MODEL)  # which looks for processes that live on
    assert real.leftovers == []


async def test_a_file_outside_the_worktree_is_not_written(real: Stage, answering: ScriptedModel) -> None:
    outside = {"calls": [{"write": {"filePath": "{cwd}/../outside.txt", "content": "x"}}]}
    says(answering, outside, EDIT, {"text": "Done."})
    report = await real.work(a_coder(answering), **MODEL)
    assert report.said == "Done."
    assert [step.ok for step in report.trace if step.kind == "edit"] == [False, True]
    assert not (real.worktree.parent / "outside.txt").exists()


@pytest.mark.parametrize(
    ("status", "reason", "said"), [(401, "auth", "invalid api key"), (503, "down", "answered 503")]
)
async def test_trouble_of_the_provider_ends_it_with_its_reason(
    real: Stage, answering: ScriptedModel, status: int, reason: str, said: str
) -> None:
    says(answering, {"status": status, "times": 99})
    with pytest.raises(RunError, match=said) as caught:
        await real.work(a_coder(answering, away=8.0), **MODEL)
    assert caught.value.reason == reason
    assert real.leftovers == []


async def test_a_passing_limit_is_waited_for(real: Stage, answering: ScriptedModel) -> None:
    says(answering, {"status": 429, "retry_after": 1, "times": 1}, EDIT, {"text": "Done."})
    assert (await real.work(a_coder(answering), **MODEL)).said == "Done."


async def test_a_cancelled_answer_is_counted_too(real: Stage, answering: ScriptedModel) -> None:
    says(answering, READ, {"text": "word " * 600, "delay": 0.1, "until": "Use two."})
    says(answering, EDIT, {"text": "Followed."}, when="Use two.")
    notes = ["Use two."]

    async def look() -> str | None:
        return notes.pop() if notes and answering.slow else None

    report = await real.work(a_coder(answering), **MODEL, notes=look)
    assert report.said == "Followed."
    used = report.usage
    assert (used.requests, used.estimated) == (len(answering.requests), 0)
    assert [used.input_tokens, used.output_tokens] == answering.usage
    assert answering.hung_up == 0


async def test_it_plans_and_can_change_nothing(real: Stage, answering: ScriptedModel) -> None:
    says(
        answering,
        READ,
        {"calls": [{"grep": {"pattern": "two", "path": "{cwd}"}}]},
        {"text": f"Here it is:\n```json\n{json.dumps(PLAN)}\n```"},
        when="planning agents",
    )
    state = real.folder / "session"
    agent_home(state).mkdir(parents=True)
    planner = AgentPlanner(
        AcpRuntime(PRESETS["opencode"]), supplies(answering), real.sandbox, real.path, prompt, problem
    )
    order = replace(brief(real.worktree, state), models=("openai:m1",))
    proposed = await asyncio.wait_for(planner.propose(order), 400)
    assert [task.title for task in proposed.proposal.tasks] == ["Count from two"]
    assert proposed.usage.requests == len(answering.requests)
    offered = {tool["function"]["name"] for body in answering.requests for tool in body.get("tools") or []}
    assert "read" in offered
    assert not offered & {"edit", "write", "bash", "webfetch", "task"}
