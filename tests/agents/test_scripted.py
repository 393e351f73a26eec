"""The scripted agent is a real process, and each of its behaviors really happens."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.agents import AGENTS, make_coder
from bot.agents.script import Script
from bot.agents.scripted import ScriptedPlanner, ScriptedRefiner
from bot.agents.scripted_runtime import outside_scope
from bot.agents.sessions import agent_home
from bot.agents.supplies import Supplies
from bot.core.backlog import Backlog
from bot.core.drift import Signal, Step
from bot.core.planning import MergedPlan
from bot.core.values import Usage
from bot.errors import AgentError, UserError
from bot.ports import Coder, PlanBrief, SandboxPolicy, WorkOrder
from bot.sandbox import NoSandbox
from tests.agents.stage import git, repository, scripted_coder


@pytest.fixture
def worktree(tmp_path: Path) -> Path:
    return repository(tmp_path / "work")


@pytest.fixture
def order(tmp_path: Path, worktree: Path) -> Callable[..., WorkOrder]:
    state = tmp_path / "session"
    agent_home(state).mkdir(parents=True)

    def build(run: int = 1, timeout: float = 100) -> WorkOrder:
        policy = SandboxPolicy(work=worktree, home=agent_home(state), path=os.environ["PATH"])
        return WorkOrder(
            "issue-1", "T-1", "Fix one", "Please fix.", ("pkg",), run, policy, "coder-1", state, timeout
        )

    return build


async def work(coder: Coder, order: WorkOrder) -> tuple[str, int]:
    report = await coder.work(order, NoSandbox(allowed=True))
    assert report.usage == Usage()
    return report.said, report.steps


async def test_a_patch_is_applied_and_the_session_remembers_it(
    tmp_path: Path, worktree: Path, order: Callable[..., WorkOrder]
) -> None:
    said, steps = await work(scripted_coder(tmp_path, {"patch": "fix.patch", "say": "Fixed."}), order())
    assert (said, steps) == ("Fixed.", 1)
    assert (worktree / "pkg" / "mod.py").read_text(encoding="utf-8") == "one = 2\ntwo = 2\n"
    history = (tmp_path / "session" / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line).get("type", "prompt") for line in history] == ["prompt", "Text", "ToolFinished"]


async def test_a_patch_that_does_not_apply_is_a_crash(
    tmp_path: Path, worktree: Path, order: Callable[..., WorkOrder]
) -> None:
    (worktree / "pkg" / "mod.py").write_text("else = 0\n", encoding="utf-8")
    git(worktree, "commit", "-qam", "moved on")
    with pytest.raises(AgentError, match="does not apply") as caught:
        await work(scripted_coder(tmp_path, {"patch": "fix.patch"}), order())
    assert caught.value.reason == "crash"


async def test_the_next_run_takes_the_next_entry(
    tmp_path: Path, worktree: Path, order: Callable[..., WorkOrder]
) -> None:
    coder = scripted_coder(
        tmp_path, {"behave": "no_change", "say": "first"}, {"patch": "fix.patch", "say": "second"}
    )
    with pytest.raises(AgentError, match="without a step and without a change") as caught:
        await work(coder, order(1))
    assert caught.value.reason == "no_change"
    assert git(worktree, "status", "--porcelain") == ""
    assert await work(coder, order(2)) == ("second", 1)
    assert git(worktree, "status", "--porcelain") != ""


async def test_a_crash_is_a_killed_process_after_half_the_work(
    tmp_path: Path, worktree: Path, order: Callable[..., WorkOrder]
) -> None:
    with pytest.raises(AgentError, match="code -9") as caught:
        await work(scripted_coder(tmp_path, {"patch": "fix.patch", "behave": "crash"}), order())
    assert caught.value.reason == "crash"
    assert git(worktree, "status", "--porcelain") != ""


async def test_a_stall_ends_at_the_time_limit(tmp_path: Path, order: Callable[..., WorkOrder]) -> None:
    with pytest.raises(AgentError) as caught:
        await work(scripted_coder(tmp_path, {"behave": "stall"}), order(timeout=0.5))
    assert caught.value.reason == "stall"


async def test_a_loop_repeats_one_failing_step(
    tmp_path: Path, worktree: Path, order: Callable[..., WorkOrder]
) -> None:
    steps: list[Step] = []

    def observe(step: Step) -> tuple[Signal, ...]:
        steps.append(step)
        return (Signal("REPEAT", "stop", "Enough."),) if len(steps) >= 20 else ()

    coder = scripted_coder(tmp_path, {"patch": "fix.patch", "behave": "loop"})
    with pytest.raises(AgentError, match="Enough"):
        await work(coder, replace(order(), judge=lambda _: observe))
    assert git(worktree, "status", "--porcelain") == ""
    lines = (tmp_path / "session" / "history.jsonl").read_text(encoding="utf-8").splitlines()
    failing = {json.dumps(step) for step in map(json.loads, lines) if step.get("type") == "ToolFinished"}
    assert len(failing) == 1
    assert json.loads(failing.pop())["ok"] is False


async def test_outside_scope_edits_one_file_more(
    tmp_path: Path, worktree: Path, order: Callable[..., WorkOrder]
) -> None:
    await work(scripted_coder(tmp_path, {"patch": "fix.patch", "behave": "outside_scope"}), order())
    assert sorted(git(worktree, "status", "--porcelain").split()) == ["??", "M", "OUTSIDE.txt", "pkg/mod.py"]


@pytest.mark.parametrize(
    ("scope", "outside"),
    [
        (("pkg",), "OUTSIDE.txt"),
        (("OUTSIDE.txt",), "outside/notes.txt"),
        (("OUTSIDE.txt", "outside/"), "outside-of-scope/notes.txt"),
    ],
)
def test_the_file_outside_is_outside(scope: tuple[str, ...], outside: str) -> None:
    assert outside_scope(scope) == outside


def a_brief(folder: Path, agent: str) -> PlanBrief:
    folder.mkdir(exist_ok=True)
    return PlanBrief(agent, "Title", "Body", (), "f" * 40, ("a.py",), folder, "planner-1", folder)


async def test_a_planner_proposes_on_the_brief_s_base(tmp_path: Path) -> None:
    script = Script.model_validate({"planners": [{"agent_id": "tests", "summary": "Do it."}]})
    proposed = await ScriptedPlanner(script).propose(a_brief(tmp_path, "tests"))
    assert (proposed.proposal.summary, proposed.proposal.base_sha) == ("Do it.", "f" * 40)
    assert (tmp_path / "history.jsonl").exists()


@pytest.mark.parametrize(("fail", "reason"), [("crash", "crash"), ("garbage", "garbage")])
async def test_a_failing_planner_fails_as_told(tmp_path: Path, fail: str, reason: str) -> None:
    planner = ScriptedPlanner(Script.model_validate({"planners": [{"fail": fail}]}))
    with pytest.raises(AgentError) as caught:
        await planner.propose(a_brief(tmp_path, "architecture"))
    assert caught.value.reason == reason


async def test_a_stalling_planner_waits_until_it_is_cancelled(tmp_path: Path) -> None:
    planner = ScriptedPlanner(Script.model_validate({"planners": [{"fail": "stall"}]}))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(planner.propose(a_brief(tmp_path, "architecture")), 0.05)


def test_an_unknown_agent_is_answered_with_the_known_ones() -> None:
    assert make_coder("scripted", Supplies(script=Script())).name in AGENTS
    with pytest.raises(UserError, match="`scripted`"):
        make_coder("nobody", Supplies())


@pytest.mark.parametrize(
    ("backlog", "titles", "problem"),
    [
        (None, [], ""),
        ([{"id": "T-1", "title": "Do it", "acceptance": ["It is done."]}], ["Do it"], ""),
        ([{"id": "one", "title": "Do it", "acceptance": ["x"]}], None, "`id`"),
    ],
)
async def test_the_scripted_backlog_is_the_script_s_or_the_conversion(
    backlog: list[dict[str, object]] | None, titles: list[str] | None, problem: str
) -> None:
    converted = Backlog(track="issue-1")
    refiner = ScriptedRefiner(Script.model_validate({"backlog": backlog}))
    refined = await refiner.refine(MergedPlan(), converted)
    assert problem in refined.problem
    given = refined.backlog
    assert titles == (None if given is None else [task.title for task in given.tasks])
