"""The real agents from npm, each in a box with walls and without a network, against a scripted model in its own format."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from bot.agents.presets import PRESETS, Launch
from bot.ports import RunError
from tests.agents.real.agents import AGENTS, EDIT, KEY, READ, shell
from tests.agents.real.hostile import marks
from tests.agents.real.stage import RealStage, on_stage
from tests.agents.stage import Stage

pytestmark = [pytest.mark.agents, pytest.mark.timeout(400)]


@pytest.fixture(params=sorted(AGENTS))
def real(request: pytest.FixtureRequest, walled: Stage) -> Iterator[RealStage]:
    agent = AGENTS[request.param]
    if reason := agent.missing():
        pytest.skip(reason)
    with on_stage(agent, walled) as found:
        yield found


def changed(real: RealStage) -> str:
    return (real.stage.worktree / "pkg/mod.py").read_text(encoding="utf-8")


async def test_it_reads_edits_and_runs_the_test_and_each_token_is_counted(real: RealStage) -> None:
    look = shell(
        "python3 -c 'import sys; sys.path.insert(0, \"pkg\"); import mod; assert mod.one == 2'; cat pkg/mod.py"
    )
    real.says(READ, EDIT, look, {"text": "All done.", "usage": [500, 7]})
    report = await real.work()
    real.record()
    assert report.said == "All done."
    assert changed(real) == "one = 2\ntwo = 2\n"
    acted = [step for step in report.trace if step.kind not in {"message", "think"}]
    assert [step.ok for step in acted] == [True, True, True]
    assert [report.usage.input_tokens, report.usage.output_tokens] == real.model.usage
    assert report.usage.requests == len(real.model.requests)
    assert set(real.model.keys) == {KEY}
    assert real.stage.leftovers == []


async def test_what_the_repository_says_of_its_agents_is_not_run(real: RealStage) -> None:
    real.hostile = True
    real.says(READ, EDIT, shell("true"), {"text": "Done."})
    report = await real.work()
    assert report.said == "Done."
    assert changed(real) == "one = 2\ntwo = 2\n"
    assert marks(real.stage.worktree) == real.agent.runs


def _trusting(name: str, launch: Launch) -> Launch:
    """Take from a launch what keeps the repository's own settings away."""
    if name == "claude":
        return replace(launch, meta={})
    return replace(launch, env={**launch.env, "GEMINI_CLI_TRUST_WORKSPACE": "true"}, mode="yolo")


@pytest.mark.parametrize("real", ["claude", "gemini"], indirect=True)
async def test_it_would_be_run_if_the_preset_did_not_switch_it_off(real: RealStage) -> None:
    preset = PRESETS[real.agent.name]
    real.hostile = True
    real.preset = replace(preset, launch=lambda need: _trusting(preset.name, preset.launch(need)))
    real.says(READ, EDIT, shell("true"), {"text": "Done."})
    with suppress(RunError):  # its model's address is the repository's, too
        await real.work(timeout=60.0)
    assert {each.partition("-")[0] for each in marks(real.stage.worktree)} >= {real.agent.name}


async def test_a_note_reaches_it_in_the_middle_of_a_command(real: RealStage) -> None:
    real.says(READ, shell("sleep 61"), {"text": "Too late."})
    real.says(EDIT, {"text": "Followed."}, when="Use two.")
    report = await real.work(notes=real.stage.notes("Use two."))
    assert report.said == "Followed."
    assert changed(real) == "one = 2\ntwo = 2\n"
    assert real.stage.leftovers == []


async def test_a_note_reaches_it_in_the_middle_of_an_answer_which_is_counted_whole(real: RealStage) -> None:
    real.says(READ, {"text": "word " * 80, "delay": 0.1, "usage": [300, 80]})
    real.says(EDIT, {"text": "Followed."}, when="Use two.")
    notes = ["Use two."]

    async def look() -> str | None:
        return notes.pop() if notes and real.model.slow else None

    report = await real.work(notes=look)
    assert report.said == "Followed."
    assert "word word word" not in "".join(step.args for step in report.trace[-2:])
    # The provider bills the cut answer too, so the gateway hears it to its end.
    assert [report.usage.input_tokens, report.usage.output_tokens] == real.model.usage
    assert real.model.usage[0] >= 300 + 3 * 100
    assert report.usage.requests == len(real.model.requests)


# What a box shows of the host, and what lies in its HOME; a program, since some agents refuse such commands by name.
LOOK = """\
import os, pathlib
home = pathlib.Path.home()
files = [*pathlib.Path("/proc").glob("[0-9]*/environ"), *(path for path in home.rglob("*") if path.is_file())]
seen = [path.read_bytes() for path in files if os.access(path, os.R_OK)]
pathlib.Path("seen.txt").write_bytes(b"\\n".join(seen))
"""


async def test_neither_the_key_nor_the_host_s_environment_is_inside(real: RealStage) -> None:
    os.environ["GITWRIGHT_TEST_SECRET"] = "planted-in-the-host"
    (real.stage.worktree / "look.py").write_text(LOOK, encoding="utf-8")
    try:
        real.says(shell("python3 look.py"), {"text": "Done."})
        await real.work()
    finally:
        del os.environ["GITWRIGHT_TEST_SECRET"]
    seen = (real.stage.worktree / "seen.txt").read_bytes()
    assert b"127.0.0.1" in seen
    assert KEY.encode() not in seen
    assert b"planted-in-the-host" not in seen


async def test_what_it_leaves_in_the_background_is_gone(real: RealStage) -> None:
    real.says(shell("(setsid sleep 61 >/dev/null 2>&1 &); echo started"), EDIT, {"text": "Done."})
    await real.work()  # which looks for processes that live on
    assert real.stage.leftovers == []


@pytest.mark.parametrize(("status", "reason"), [(401, "auth"), (503, "down")])
async def test_trouble_of_the_provider_ends_it_with_its_reason(
    real: RealStage, status: int, reason: str
) -> None:
    real.says({"status": status, "times": 999})
    with pytest.raises(RunError) as caught:
        await real.work(idle=8.0, timeout=30.0)
    assert caught.value.reason == reason, caught.value
    assert real.stage.leftovers == []


async def test_a_passing_limit_is_waited_for(real: RealStage) -> None:
    real.says({"status": 429, "retry_after": 1, "times": 1}, EDIT, {"text": "Done."})
    assert (await real.work()).said == "Done."
