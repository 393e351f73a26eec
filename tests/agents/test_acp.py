"""The ACP client, against a small agent that is a real process and misbehaves in one way at a time."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bot.agents.acp_wire import Wire
from bot.agents.supplies import Limits
from bot.core.drift import Signal, Step
from bot.core.values import Usage
from bot.ports import JsonDict, RunError
from tests.agents.scripted_model import ScriptedModel, serving
from tests.agents.stage import QUICK, SHORT, Stage, acp_coder, fake, git

MODEL = {"model": "openai:m1"}


@asynccontextmanager
async def a_model(*steps: JsonDict) -> AsyncIterator[ScriptedModel]:
    with serving({"scenarios": [{"when": "", "plain": True, "steps": list(steps)}]}) as model:
        yield model


async def failure(stage: Stage, mode: str, limits: Limits = QUICK, **changes: object) -> RunError:
    with pytest.raises(RunError) as caught:
        await stage.work(acp_coder(limits=limits), **fake(mode), **changes)
    assert stage.leftovers == []
    return caught.value


async def test_a_request_inside_is_allowed_by_kind_and_one_outside_is_refused(plain: Stage) -> None:
    report = await plain.work(acp_coder(), **fake("ask"))
    messages = [step.args for step in report.trace if step.kind == "message"]
    assert messages == ["inside True outside False"]


@pytest.mark.parametrize(
    ("mode", "reason", "said"),
    [
        ("hang", "stall", "did not start within 2 s"),
        ("crash", "crash", "segmentation something"),
        ("nothing", "no_change", "without a step and without a change"),
        ("refuse", "garbage", "refusal"),
        ("flood", "crash", "it reads no answers"),
        ("unauthorized", "auth", "gave up"),
        ("limited", "quota", "gave up"),
        ("broken", "crash", "gave up"),
    ],
)
async def test_each_end_without_work_is_told_by_its_reason(
    plain: Stage, mode: str, reason: str, said: str
) -> None:
    limits = replace(QUICK, start=2.0) if mode == "hang" else QUICK
    error = await failure(plain, mode, limits)
    assert (error.reason, said in str(error)) == (reason, True), str(error)


class Flooding:
    """A conversation whose other side has always said more already."""

    errors = ""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def say(self, data: bytes) -> None: ...

    async def read(self, size: int) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data


async def test_a_flood_leaves_the_loop_to_others() -> None:
    taken = turns = 0

    async def take(_: JsonDict) -> None:
        nonlocal taken
        taken += 1

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    line = b'{"method": "session/update", "params": {"update": {"sessionUpdate": "plan"}}}\n'
    beside = asyncio.create_task(others())
    assert await Wire(Flooding(line * 1_000), take).receive() is None
    beside.cancel()
    assert (taken, turns >= 50) == (1_000, True)


async def test_a_program_that_is_missing_is_named(stage: Stage) -> None:
    with pytest.raises(RunError, match="no-such-agent cannot be started"):
        await stage.work(acp_coder(), command=("no-such-agent",))
    assert stage.leftovers == []


async def test_noise_between_the_lines_and_unknown_updates_do_no_harm(plain: Stage) -> None:
    report = await plain.work(acp_coder(), **fake("noise"))
    assert [step.kind for step in report.trace] == ["message", "edit"]
    assert report.said == "half a character: \N{REPLACEMENT CHARACTER}, a whole one: \N{GRINNING FACE}"


async def test_an_agent_that_does_not_stop_when_asked_is_killed_with_what_it_left(stage: Stage) -> None:
    error = await failure(stage, "deaf", SHORT, idle=0.3)  # which looks for processes that live on
    assert error.reason == "stall"
    assert "did not stop within 1 s" in str(error)


async def test_an_agent_that_reads_nothing_any_more_is_killed(plain: Stage) -> None:
    more_than_a_pipe_holds = "x" * 1_000_000
    async with asyncio.timeout(60):
        error = await failure(plain, "unread", SHORT, idle=0.3, prompt=more_than_a_pipe_holds)
    assert error.reason == "stall"


async def test_a_late_answer_to_a_cancel_is_waited_for(plain: Stage) -> None:
    error = await failure(plain, "slow_to_stop", idle=0.3)
    assert "no sign of life for 0.3 s" in str(error)


async def test_a_daemon_that_it_leaves_is_gone_with_the_box(stage: Stage) -> None:
    await stage.work(acp_coder(), **fake("daemon"))  # which looks for processes that live on
    assert stage.leftovers == []


async def test_a_note_that_came_while_the_agent_ended_is_followed_too(plain: Stage) -> None:
    seldom = replace(QUICK, look=30.0)
    report = await plain.work(acp_coder(limits=seldom), **fake("edit"), notes=plain.notes("Once more."))
    assert [step.kind for step in report.trace] == ["read", "edit", "message"] * 2


async def test_a_nudge_is_told_to_the_agent_and_the_run_goes_on(plain: Stage) -> None:
    nudged: list[Step] = []

    def observe(step: Step) -> tuple[Signal, ...]:
        nudged.append(step)
        return (Signal("NO_PROGRESS", "nudge", "Nothing changes."),) if len(nudged) == 3 else ()

    report = await plain.work(acp_coder(), **fake("nudged"), judge=lambda _: observe)
    assert report.said == "Followed the note."
    assert "Nothing changes." in (plain.worktree / "note.txt").read_text(encoding="utf-8")


async def test_what_an_agent_without_a_relay_says_of_its_usage_is_taken_within_reason(plain: Stage) -> None:
    report = await plain.work(acp_coder(), **fake("boast"))
    assert report.usage == Usage(10**9, 5, 0.0, 1)


async def test_a_warning_changes_nothing(plain: Stage) -> None:
    report = await plain.work(
        acp_coder(), **fake("edit"), judge=lambda _: lambda _: (Signal("GOAL_DRIFT", "warn", "Hm."),)
    )
    assert report.said == "All done."


async def test_no_secret_of_the_host_and_no_key_can_be_found_inside(walled: Stage) -> None:
    os.environ["GITWRIGHT_TEST_SECRET"] = "planted-in-the-host"
    try:
        async with a_model({"text": "hello"}) as model:
            coder = acp_coder({"OPENAI_API_KEY": "sk-the-real-key"}, model.url)
            await walled.work(coder, **fake("environment"), **MODEL)
    finally:
        del os.environ["GITWRIGHT_TEST_SECRET"]
    seen = (walled.worktree / "environment.txt").read_text(encoding="utf-8")
    assert "OPENAI_API_KEY" in seen
    assert "planted-in-the-host" not in seen
    assert "sk-the-real-key" not in seen
    assert "order.json" not in seen  # it held the token, and is gone once it was read


async def test_the_model_is_reached_out_of_a_box_without_network_and_is_counted(stage: Stage) -> None:
    async with a_model({"text": "hello from the model", "usage": [120, 15]}) as model:
        coder = acp_coder(
            {"OPENAI_API_KEY": "sk-the-real-key"},
            model.url,
            price=lambda _, used, *cached: ((used.input_tokens + 2 * used.output_tokens) / 1000, False),
        )
        report = await stage.work(coder, **fake("model"), **MODEL)
        assert model.keys == ["sk-the-real-key"]
    assert report.trace[0].args == "hello from the model"
    assert (report.usage.input_tokens, report.usage.output_tokens, report.usage.requests) == (120, 15, 1)
    assert report.usage.usd == pytest.approx(0.15)


@pytest.mark.parametrize(("status", "reason"), [(401, "auth"), (429, "quota"), (503, "down")])
async def test_trouble_of_the_provider_is_told_as_such(plain: Stage, status: int, reason: str) -> None:
    async with a_model({"status": status, "times": 9}) as model:
        coder = acp_coder({"OPENAI_API_KEY": "sk-the-real-key"}, model.url)
        with pytest.raises(RunError, match=f"answered {status}") as caught:
            await plain.work(coder, **fake("model"), **MODEL)
    assert caught.value.reason == reason


async def test_a_model_without_a_key_is_told_before_anything_starts(plain: Stage) -> None:
    with pytest.raises(RunError, match="set OPENAI_API_KEY") as caught:
        await plain.work(acp_coder(), **fake("edit"), **MODEL)
    assert caught.value.reason == "auth"
    assert git(plain.worktree, "status", "--porcelain") == ""


@pytest.mark.parametrize("mode", ["mortal", "stumbling"])  # its process died; it gave up and lives
async def test_one_that_broke_down_takes_its_session_up_again_where_it_can(plain: Stage, mode: str) -> None:
    report = await plain.work(acp_coder(), **fake(mode))
    assert report.said == "Went on."
    assert [step.files for step in report.trace if step.kind == "edit"] == [("half.txt",), ("rest.txt",)]
    told = (plain.worktree / "rest.txt").read_text(encoding="utf-8")
    assert told.startswith("s-1: Your process ended in the middle of this task")
    assert "provider session" in plain.checked  # it let go of its session when it was asked to
    assert plain.unproved == set()
    assert len(report.remarks) == 1


async def test_a_session_that_was_kept_to_go_on_with_and_is_not_is_no_proof(plain: Stage) -> None:
    await plain.work(acp_coder(), **fake("forgetful"))
    told = (plain.worktree / "rest.txt").read_text(encoding="utf-8")
    assert told.startswith("Please fix.")
    assert "provider session" in plain.unproved


async def test_what_is_replayed_while_a_session_is_loaded_is_no_work(plain: Stage) -> None:
    report = await plain.work(acp_coder(), **fake("loading"))
    assert (report.said, report.steps) == ("Went on.", 2)
    assert [step.files for step in report.trace if step.kind != "message"] == [("half.txt",), ("rest.txt",)]
    told = (plain.worktree / "rest.txt").read_text(encoding="utf-8")
    assert told.startswith("s-1: Your process ended in the middle of this task")


async def test_one_that_offers_nothing_is_not_said_to_have_let_go(plain: Stage) -> None:
    await plain.work(acp_coder(), **fake("edit"))
    assert "provider session" not in plain.checked


async def test_the_session_remembers_prompts_and_steps(plain: Stage) -> None:
    seen: list[JsonDict] = []

    async def note() -> str | None:
        if not plain.steps or seen:
            return None
        for path in (plain.folder / "sessions").glob("*/history.jsonl"):
            seen[:] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return "Hurry up."

    await plain.work(acp_coder(), **fake("steered"), notes=note)
    assert seen[0] == {"role": "user", "text": "Please fix."}
    assert seen[1]["kind"] == "read"
