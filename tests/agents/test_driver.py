"""The driver, on a runtime in memory that does one thing at a time: what becomes of a run is the driver's alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bot.agents.driver import AgentCoder
from bot.agents.supplies import Limits, Supplies
from bot.agents.watched import Alarm, Watched
from bot.core.drift import Signal, Step
from bot.core.values import Usage
from bot.errors import AgentError, BotError, OutOfRoomError
from bot.ports import (
    AgentEvent,
    Coder,
    DisposeProof,
    Judge,
    Outlet,
    RunError,
    Seat,
    Text,
    ToolFinished,
    TurnResult,
    Used,
    WireFormat,
)
from tests.agents.stage import QUICK, Stage

END = TurnResult("end_turn", "Done.")
STOP = Signal("NO_PROGRESS", "stop", "15 steps changed no file.")
FIX = "pkg/mod.py"


def did(what: str, *, kind: str = "execute", ok: bool = True, **fields: object) -> ToolFinished:
    return ToolFinished(id="1", kind=kind, title=what, input=what, ok=ok, **fields)  # type: ignore[arg-type]


@dataclass
class Turn:
    """What one turn reports, and how it ends: None waits until it is cancelled."""

    events: Sequence[AgentEvent] = ()
    end: TurnResult | BotError | None = END
    deaf: bool = False
    cut: Usage | None = None  # what it says that it used where it is cancelled


@dataclass
class Runtime:
    """Takes its turns one by one, over all of its sessions."""

    turns: list[Turn]
    resumes: bool = False
    start_seconds: float = 0.0
    dispose_seconds: float = 0.0
    name: str = "memory"
    wire: WireFormat | None = None
    asked: list[str] = field(default_factory=list)
    seats: list[Seat] = field(default_factory=list)
    disposed: int = 0

    async def start(self, seat: Seat) -> Handle:
        await asyncio.sleep(self.start_seconds)
        self.seats.append(seat)
        return Handle(self, seat, f"s-{len(self.seats)}", bool(seat.resume) and self.resumes)


@dataclass
class Handle:
    runtime: Runtime
    seat: Seat
    id: str
    resumed: bool
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def prompt(self, text: str) -> TurnResult:
        self.runtime.asked.append(text)
        turn = self.runtime.turns.pop(0)
        self.cancelled.clear()
        self.over.clear()
        try:
            for event in turn.events:
                await self.seat.report(event)
            if turn.deaf:
                await asyncio.sleep(60)
            if turn.end is None:
                await self.cancelled.wait()
                return TurnResult("cancelled", "", turn.cut)
            if isinstance(turn.end, BotError):
                raise turn.end
            return turn.end
        finally:
            self.over.set()

    async def steer(self, text: str) -> TurnResult:
        await self.cancel()
        await self.over.wait()
        return await self.prompt(text)

    async def cancel(self) -> None:
        self.cancelled.set()

    async def dispose(self, *, keep: bool = False) -> DisposeProof:
        self.runtime.disposed += 1
        await asyncio.sleep(self.runtime.dispose_seconds)
        return DisposeProof(checked=(self.id,))


def driven(*turns: Turn, limits: Limits = QUICK, **changes: object) -> tuple[Coder, Runtime]:
    runtime = Runtime(list(turns), **changes)  # type: ignore[arg-type]
    return AgentCoder(runtime, Supplies(limits=limits)), runtime


def judging(*found: tuple[str, Signal]) -> Callable[[str], Judge]:
    """Give rules that answer to what a step was called, each session anew."""

    def judge(step: Step) -> tuple[Signal, ...]:
        return tuple(signal for args, signal in found if args == step.args)

    return lambda _tree: judge


async def failure(stage: Stage, coder: Coder, **changes: object) -> RunError:
    with pytest.raises(RunError) as caught:
        await stage.work(coder, **changes)
    return caught.value


async def test_a_stop_rule_starts_the_task_once_more_with_what_was_done_and_no_memory(plain: Stage) -> None:
    edit = did("write it", kind="edit", paths=(f"{plain.worktree}/{FIX}", "/etc/passwd"))
    lost = [
        edit,
        did("make", ok=False, output="error 2"),
        did("make", ok=False, output="error 2"),
        did("again"),
    ]
    coder, runtime = driven(Turn(lost, None), Turn([did("other")], TurnResult("end_turn", "Done now.")))
    proofs: list[DisposeProof] = []
    report = await plain.work(coder, judge=judging(("again", STOP)), disposed=proofs.append)
    assert report.steps == 5
    first, second = runtime.asked
    assert first == "Please fix."
    assert second.startswith("Please fix.\n")
    assert "which was stopped: 15 steps changed no file." in second
    assert "- execute make: failed, 2 times: error 2" in second
    assert f"- {FIX}" in second
    assert "passwd" not in second.partition("Files that are changed now")[2]
    assert [seat.resume for seat in runtime.seats] == ["", ""]
    ended = [proof.checked for proof in proofs if proof.checked]
    assert ended == [("s-1",), ("s-2",), ("sandbox: shut, and nothing in it lives",)]


async def test_a_second_stop_ends_the_run(plain: Stage) -> None:
    again = Turn([did("again")], None)
    coder, runtime = driven(again, again)
    error = await failure(plain, coder, judge=judging(("again", STOP)))
    assert (error.reason, error.rule) == ("drift", "NO_PROGRESS")
    assert [step.args for step in error.trace] == ["again", "again"]
    assert runtime.disposed == 2


async def test_a_run_that_has_used_up_its_steps_is_not_started_again(plain: Stage) -> None:
    coder, runtime = driven(Turn([did("again")], None))
    budget = Signal("BUDGET", "stop", "The run took more than 5000 steps.")
    error = await failure(plain, coder, judge=judging(("again", budget)))
    assert (error.reason, error.rule, len(runtime.asked)) == ("drift", "BUDGET", 1)


async def test_the_rules_begin_anew_with_a_fresh_context(plain: Stage) -> None:
    turn = Turn([did(f"look {number}", kind="read") for number in range(15)], None)
    coder, runtime = driven(turn, Turn([did("look", kind="read")], END))
    await plain.work(coder)  # the real rules: 15 steps that change nothing, and one more
    assert len(runtime.asked) == 3 - 1
    assert "15 steps changed no file" in runtime.asked[1]


async def test_a_process_that_died_is_started_once_more_and_goes_on_where_it_can(plain: Stage) -> None:
    dead = AgentError("crash", "ended by itself: killed")
    coder, runtime = driven(Turn([did("half")], dead), Turn([did("rest")], END), resumes=True)
    report = await plain.work(coder)
    assert [step.args for step in report.trace] == ["half", "rest"]
    assert [seat.resume for seat in runtime.seats] == ["", "s-1"]
    assert "started again" in runtime.asked[1]
    assert "Please fix" not in runtime.asked[1]
    assert runtime.disposed == 2


async def test_one_that_cannot_go_on_is_told_what_was_done_and_what_people_said(plain: Stage) -> None:
    dead = AgentError("crash", "ended by itself: killed")
    coder, runtime = driven(Turn([did("half")], None), Turn([], dead), Turn([did("rest")], END))
    await plain.work(coder, notes=plain.notes("Use two spaces."))
    assert "Use two spaces." in runtime.asked[1]
    assert "which ended by itself" in runtime.asked[2]
    assert "Use two spaces." in runtime.asked[2]
    assert "- execute half: succeeded" in runtime.asked[2]


async def test_who_dies_twice_has_failed(plain: Stage) -> None:
    dead = Turn([did("half")], AgentError("crash", "ended by itself: killed"))
    coder, runtime = driven(dead, dead)
    error = await failure(plain, coder)
    assert (error.reason, runtime.disposed) == ("crash", 2)
    assert "The agent `memory` ended by itself: killed" in str(error)


async def test_where_the_process_ends_an_agent_is_not_waited_for_to_forget_its_session(plain: Stage) -> None:
    supplies, proofs = Supplies(limits=replace(QUICK, hurried=0.2)), list[DisposeProof]()
    runtime = Runtime([Turn([did("one")], None)], dispose_seconds=100.0)
    run = asyncio.create_task(plain.work(AgentCoder(runtime, supplies), disposed=proofs.append))
    async with asyncio.timeout(60):
        while not plain.steps:
            await asyncio.sleep(0.01)
    supplies.closing.set()
    run.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert time.monotonic() - began < 60
    assert proofs[0] == DisposeProof(unproved=("provider session: the bot ended before it was gone",))


@pytest.mark.parametrize("reason", ["auth", "quota", "down", "garbage"])
async def test_nothing_else_is_tried_again_here(plain: Stage, reason: str) -> None:
    coder, runtime = driven(Turn([], AgentError(reason, "gave up", 40.0)))
    error = await failure(plain, coder)
    assert (error.reason, error.after, len(runtime.asked)) == (reason, 40.0, 1)


async def test_who_fills_the_disk_has_failed_and_is_not_started_again(plain: Stage) -> None:
    coder, runtime = driven(Turn([did("half")], OutOfRoomError("The disk is nearly full.")))
    error = await failure(plain, coder)
    assert (error.reason, len(runtime.asked), len(error.trace)) == ("crash", 1, 1)
    assert "The agent `memory` was ended: it left too little room on the disk" in str(error)


async def test_an_agent_that_does_not_come_up_is_not_waited_for(plain: Stage) -> None:
    coder, _ = driven(limits=replace(QUICK, start=0.1), start_seconds=30.0)
    error = await failure(plain, coder)
    assert (error.reason, "did not start within 0.1 s" in str(error)) == ("stall", True)


async def test_steering_an_agent_that_does_not_let_go_ends_it(plain: Stage) -> None:
    coder, runtime = driven(Turn([did("one")], deaf=True), limits=replace(QUICK, drain=0.2))
    error = await failure(plain, coder, notes=plain.notes("Stop that."))
    assert "did not stop within 0.2 s" in str(error)
    assert runtime.disposed == 1


async def test_a_nudge_interrupts_and_is_told_once(plain: Stage) -> None:
    nudge = Signal("MONOLOGUE", "nudge", "3 messages without an action.")
    coder, runtime = driven(Turn([Text("Hm.")], None), Turn([did("it")], END))
    await plain.work(coder, judge=judging(("Hm.", nudge)))
    assert runtime.asked[1:] == ["Stop and think: 3 messages without an action.\n\nThen finish the task."]


# --- the session under its watchdogs ----------------------------------------------------------------


@dataclass
class Access:
    """A way to a model, as it was seen."""

    outlet: Outlet = None  # type: ignore[assignment]  # nobody goes there
    token: str = ""
    model: str = "m1"
    usage: Usage = field(default_factory=Usage)
    alive: float = 0.0
    denied: str = ""
    trouble: int = 0
    after: float | None = None


async def watched(
    folder: Path,
    turn: Turn,
    access: Access | None,
    limits: Limits = QUICK,
    look: Callable[[], Awaitable[None]] | None = None,
) -> tuple[Watched, TurnResult]:
    async def nothing(*_: object) -> None: ...

    seat = Seat(box=None, state_dir=folder, report=nothing, access=access)  # type: ignore[arg-type]
    session = Watched(Runtime([turn]), limits, seat, nothing)
    await session.start()
    deadline = time.monotonic() + 30
    result = await session.ask("Please.", idle=30.0, deadline=deadline, alarm=Alarm(), look=look or nothing)
    return session, result


@pytest.mark.parametrize(("status", "reason"), [(401, "auth"), (402, "quota"), (429, "quota"), (529, "down")])
async def test_an_end_without_a_word_after_a_refusal_is_the_providers(
    tmp_path: Path, status: int, reason: str
) -> None:
    with pytest.raises(RunError, match=f"answered {status}") as caught:
        await watched(tmp_path, Turn(end=TurnResult("end_turn")), Access(trouble=status, after=90.0))
    assert caught.value.reason == reason
    assert caught.value.after == (None if reason == "auth" else 90.0)


@pytest.mark.parametrize("reason", ["quota", "down", "auth"])
async def test_what_an_agent_says_of_its_provider_counts_only_where_nobody_else_sees_it(
    tmp_path: Path, reason: str
) -> None:
    said = Turn(end=AgentError(reason, "gave up: 429 401 503", 9_000.0))
    with pytest.raises(RunError, match="gave up: 429 401 503") as caught:
        await watched(tmp_path, said, Access())
    assert (caught.value.reason, caught.value.after) == ("crash", None)
    with pytest.raises(RunError) as caught:
        await watched(tmp_path, said, Access(trouble=529, after=60.0))
    assert (caught.value.reason, caught.value.after) == ("down", 60.0)
    with pytest.raises(RunError) as caught:
        await watched(tmp_path, said, None)
    assert caught.value.reason == reason


@pytest.mark.parametrize("status", [404, 400])
async def test_an_end_after_a_request_that_was_wrong_is_an_end(tmp_path: Path, status: int) -> None:
    _, result = await watched(tmp_path, Turn(end=TurnResult("end_turn")), Access(trouble=status))
    assert result.stop == "end_turn"


async def test_who_tries_again_in_silence_is_not_waited_for_as_long_as_who_works(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no sign of life for 0\.2 s.*answered 503") as caught:
        await watched(tmp_path, Turn(end=None), Access(trouble=503), replace(QUICK, away=0.2))
    assert caught.value.reason == "down"


async def test_the_money_s_end_stops_the_turn(tmp_path: Path) -> None:
    access = Access()

    async def spend() -> None:
        access.denied = "it has used the $0.10 that this run may cost"

    with pytest.raises(RunError, match=r"\$0\.10") as caught:
        await watched(tmp_path, Turn(end=None), access, look=spend)
    assert caught.value.reason == "budget"


async def test_what_it_says_of_its_calls_is_counted_once(tmp_path: Path) -> None:
    calls = [Used(Usage(10, 1)), Used(Usage(20, 2))]
    session, _ = await watched(tmp_path, Turn(calls, END), None)
    assert session.usage == Usage(30, 3)
    session, _ = await watched(tmp_path, Turn(calls, TurnResult("end_turn", "x", Usage(31, 3))), None)
    assert session.usage == Usage(31, 3)


@pytest.mark.parametrize("cut", [Usage(50_000, 5_000), None])
async def test_a_turn_that_is_cut_off_is_counted_however_it_says_what_it_used(
    plain: Stage, cut: Usage | None
) -> None:
    said = [] if cut else [Used(Usage(50_000, 5_000))]
    steered = Turn([did("one"), *said], None, cut=cut)
    stopped = Turn([did("again"), *said], None, cut=cut)
    dead = Turn([did("more"), Used(Usage(7, 7))], AgentError("crash", "ended by itself: killed"))
    last = Turn([did("two")], TurnResult("end_turn", "Done.", Usage(1_000, 100)))
    coder, _ = driven(steered, stopped, dead, last)
    report = await plain.work(coder, notes=_once("Do it otherwise."), judge=judging(("again", STOP)))
    assert (report.usage.input_tokens, report.usage.output_tokens) == (101_007, 10_107)


def _once(note: str) -> Callable[[], Awaitable[str | None]]:
    waiting = [note]

    async def look() -> str | None:
        return waiting.pop() if waiting else None

    return look
