"""What every coding agent keeps, whatever it is: work, failures, steering, drift, and an end that leaves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.agents import AGENTS, make_coder
from bot.agents.builtin import ANSWERS
from bot.agents.presets import PRESETS
from bot.agents.scripted_worker import LOOP_STEPS
from bot.agents.supplies import Supplies
from bot.gateway.endpoints import Endpoints
from bot.ports import Coder, JsonDict, RunError, Sandbox, WorkOrder, WorkReport
from tests.agents.scripted_model import serving
from tests.agents.stage import QUICK, Stage, acp_coder, fake, git, scripted_coder


@dataclass(frozen=True)
class Kind:
    """How one kind of agent is brought to do each thing."""

    make: Callable[[Path, str], tuple[Coder, JsonDict]]
    loop: int  # how many steps one session's loop has, where nobody stops it


_SCRIPTS: dict[str, JsonDict] = {
    "edit": {"patch": "fix.patch", "say": "All done."},
    "crash": {"patch": "fix.patch", "behave": "crash"},
    "idle": {"behave": "stall"},
    "loop": {"behave": "loop"},
    "nothing": {"behave": "no_change", "say": "There is nothing to do."},
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


_EDIT: JsonDict = {"calls": [{"edit": {"path": "pkg/mod.py", "old": "one = 1", "new": "one = 2"}}]}
_ASKED: dict[str, list[JsonDict]] = {
    "edit": [_EDIT, {"text": "All done."}],
    "crash": [_EDIT, {"status": 400, "times": 99}],
    "idle": [{"calls": [{"shell": {"command": "sleep 300"}}]}],
    "loop": [{"calls": [{"shell": {"command": "cat nowhere"}}]}],
    "nothing": [{"text": "There is nothing to do."}],
    "steered": [{"calls": [{"list": {}}]}, {"calls": [{"shell": {"command": "sleep 300"}}]}],
}


@dataclass
class _Served(Coder):
    """The built-in agent with a model that is there while it works."""

    steps: list[JsonDict]
    name: str = "builtin"

    async def work(self, order: WorkOrder, sandbox: Sandbox) -> WorkReport:
        followed = {"when": "Use two spaces.", "steps": [_EDIT, {"text": "Followed the note."}]}
        with serving({"scenarios": [{"when": "Please fix", "steps": self.steps}, followed]}) as model:
            supplies = Supplies(endpoints=Endpoints({}, model.url), limits=QUICK)
            return await make_coder("builtin", supplies).work(replace(order, model="openai:m1"), sandbox)


def _builtin(_: Path, mode: str) -> tuple[Coder, JsonDict]:
    return _Served(_ASKED[mode]), {}


KINDS = {
    "scripted": Kind(_scripted, LOOP_STEPS),
    "custom": Kind(_acp, 2_000),
    "builtin": Kind(_builtin, ANSWERS),
}


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = KINDS[request.param]
    return chosen


def test_every_agent_of_the_table_is_held_to_it() -> None:
    # The presets are the custom agent with other data; `test_opencode.py` and `real/` run the real ones.
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
    assert {"processes", "sandbox", "state"} <= stage.checked


@pytest.mark.parametrize(
    ("mode", "changes", "reason"),
    [
        ("crash", {}, "crash"),
        ("idle", {"idle": 0.5}, "stall"),
        ("idle", {"timeout": 1.0}, "stall"),
        ("loop", {}, "drift"),
        ("nothing", {}, "no_change"),
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
    with pytest.raises(RunError, match="came 4 times in a row"):
        await plain.work(coder, **more)
    # Of two sessions; how many more they take until they hear of their end is the machine's affair.
    assert 2 * 4 <= len(plain.steps) < kind.loop


async def test_a_note_reaches_the_running_agent(walled: Stage, kind: Kind) -> None:
    coder, more = kind.make(walled.folder, "steered")
    report = await walled.work(coder, **more, notes=walled.notes("Use two spaces."))
    assert report.said.endswith("Followed the note.")
    assert git(walled.worktree, "status", "--porcelain") != ""
    assert walled.leftovers == []
