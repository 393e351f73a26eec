"""What every coding agent keeps, whatever it is: work, failures, steering, drift, and an end that leaves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.agents import AGENTS
from bot.agents.presets import PRESETS
from bot.ports import Coder, JsonDict, RunError
from tests.agents.stage import Stage, acp_coder, fake, git, scripted_coder


@dataclass(frozen=True)
class Kind:
    """How one kind of agent is brought to do each thing."""

    make: Callable[[Path, str], tuple[Coder, JsonDict]]


_SCRIPTS: dict[str, JsonDict] = {
    "edit": {"patch": "fix.patch", "say": "All done."},
    "crash": {"patch": "fix.patch", "behave": "crash"},
    "idle": {"behave": "stall"},
    "loop": {"behave": "loop"},
    "steered": {
        "behave": "stall",
        "say": "Hm.",
        "noted": {"patch": "fix.patch", "say": "Followed the note."},
    },
}


def _scripted(folder: Path, mode: str) -> tuple[Coder, JsonDict]:
    return scripted_coder(folder, _SCRIPTS[mode]), {}


def _acp(folder: Path, mode: str) -> tuple[Coder, JsonDict]:
    return acp_coder(), dict(fake(mode))


KINDS = {"scripted": Kind(_scripted), "custom": Kind(_acp)}


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = KINDS[request.param]
    return chosen


def test_every_agent_of_the_table_is_held_to_it() -> None:
    # The presets are the custom agent with other data; `test_opencode.py` runs the real one.
    assert set(KINDS) | set(PRESETS) == set(AGENTS)


async def test_work_is_done_and_told(stage: Stage, kind: Kind) -> None:
    coder, more = kind.make(stage.folder, "edit")
    report = await stage.work(coder, **more)
    assert report.said == "All done."
    assert git(stage.worktree, "status", "--porcelain") != ""
    edits = [step for step in report.trace if step.kind == "edit"]
    assert len(edits) == 1
    assert edits[0].ok
    assert edits[0].tree == await stage.tree()
    assert edits[0].files != ()
    assert report.trace == tuple(stage.steps)
    assert stage.leftovers == []


@pytest.mark.parametrize(
    ("mode", "changes", "reason"),
    [
        ("crash", {}, "crash"),
        ("idle", {"idle": 0.5}, "stall"),
        ("idle", {"timeout": 1.0}, "stall"),
        ("loop", {}, "drift"),
    ],
)
async def test_each_failure_has_its_reason_and_leaves_nothing(
    walled: Stage, kind: Kind, mode: str, changes: JsonDict, reason: str
) -> None:
    coder, more = kind.make(walled.folder, mode)
    with pytest.raises(RunError) as caught:
        await walled.work(coder, **more, **changes)
    assert caught.value.reason == reason, caught.value
    assert caught.value.trace == tuple(walled.steps)
    assert walled.leftovers == []


async def test_a_loop_is_stopped_by_the_detector_early(plain: Stage, kind: Kind) -> None:
    coder, more = kind.make(plain.folder, "loop")
    with pytest.raises(RunError, match="times in a row"):
        await plain.work(coder, **more)
    assert 3 <= len(plain.steps) <= 10  # of the 60 or 200 that it would take


async def test_a_note_reaches_the_running_agent(walled: Stage, kind: Kind) -> None:
    coder, more = kind.make(walled.folder, "steered")
    report = await walled.work(coder, **more, notes=walled.notes("Use two spaces."))
    assert report.said.endswith("Followed the note.")
    assert git(walled.worktree, "status", "--porcelain") != ""
    assert walled.leftovers == []
