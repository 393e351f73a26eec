"""Owns what an agent's steps say of its run: repeating itself, going in circles, standing still, leaving its scope, or its goal.

Rules and thresholds are those of OpenHands' stuck detector and gemini-cli's loop detection, made aware of the
worktree: what would be a loop is work where the tree differs. Only what those two would stop, stops here; looser
thresholds nudge, and what only words say warns. Measured by bench/eval_drift.py. A change outside the scope is a nudge
however large its share, and of budgets only the run's own limits stop: the scope is held by the path rules at the end.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bot.core.drift_goal import THOUGHTS, GoalWatch
from bot.core.plans import Kind
from bot.core.sanitize import code, redact
from bot.core.scopes import in_scope

StepKind = Literal[
    "read", "edit", "delete", "move", "search", "execute", "fetch", "think", "message", "other"
]
Act = Literal["warn", "nudge", "stop"]

REPEAT = 4  # equal steps in a row
REPEAT_ERR = (3, 4)  # equal calls in a row that failed: nudge, stop
CYCLE = 5  # rounds of a cycle
CYCLE_LENGTH = 5  # steps, the longest cycle that is looked for
ALTERNATE = 6  # steps of which every other one is equal
STATE_REPEAT = (3, 4)  # equal steps while no file changed: nudge, stop
NO_PROGRESS = (12, 15)  # steps without a change of the tree, for a simple task: nudge, stop
EDIT_FAIL = (3, 5)  # rejected edits in a row: nudge, stop
MONOLOGUE = 3  # messages without an action
MOST_FILES = 1_000  # that are remembered as touched; each is looked at again at each step
MOST_STEPS = 5_000  # of a run, messages too: more than an hour of work makes, and a flood is cut off
# The thresholds were measured on fixes of one file; a complex task has more to read before its first change.
PATIENCE: Mapping[Kind, int] = {"documentation": 1, "simple": 1, "complex": 2}
NAME_LIMIT = 40  # characters of an action's name that a signal shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an agent, normalized: what it did, what came back, and what became of the worktree."""

    action: str
    args: str = ""
    observation: str = ""  # "" where there is none
    ok: bool | None = None  # None: unknown
    kind: StepKind = "other"
    tree: str = (
        ""  # hash of the worktree's content after the step; "" where not looked at: no sign of a change
    )
    files: tuple[str, ...] = ()  # repository paths touched
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Signal:
    """What a rule says of the steps so far; `text` is for the agent (nudge) and for people (stop)."""

    code: str
    act: Act
    text: str


class _Call(NamedTuple):
    action: str
    args: str


class _Seen(NamedTuple):
    """An action as the loop rules compare it; `tree` numbers the states of the worktree, equal ones alike."""

    call: _Call
    observation: str
    tree: int


class ContextDriftDetector:
    """A pure fold over the steps of one run: the same steps give the same signals.

    Messages and thoughts are no actions: they neither break a row of equal actions nor count as standing still.
    A nudge is given once, and again only after its condition was gone; a stop as long as its condition holds.
    """

    def __init__(
        self,
        scope: Sequence[str] = (),
        *,
        task_class: Kind = "simple",
        max_steps: int = MOST_STEPS,
        max_tokens: int | None = None,
        tree: str = "",
        goal: str = "",
    ) -> None:
        """Watch a run on a task; `tree` is the worktree before the first step, else the first one seen counts.

        Without a `goal`, in words, nobody says whether its thoughts lead away from it.
        """
        self._scope = tuple(scope)
        self._patience = PATIENCE[task_class]
        self._max_steps, self._max_tokens = max_steps, max_tokens
        self._goal, self._away = GoalWatch(goal), False
        self._steps: list[Step] = []
        self._trees: dict[str, int] = {tree: 0} if tree else {}
        self._tree = 0
        self._seen: deque[_Seen] = deque(maxlen=max(REPEAT, CYCLE * CYCLE_LENGTH, ALTERNATE))
        self._here: Counter[tuple[_Call, str]] = Counter()  # calls with their results since the tree changed
        self._again = 0  # how often the last action was seen since the tree changed
        self._still = self._failures = self._rejected = self._messages = self._tokens = 0
        self._touched: frozenset[str] = frozenset()
        self._holding: frozenset[str] = frozenset()

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(self._steps)

    def observe(self, step: Step) -> tuple[Signal, ...]:
        """Take the next step and say what is new about the run, stops first."""
        self._steps.append(step)
        self._tokens += step.tokens
        if step.kind in ("message", "think"):
            self._away = self._goal.leads_away(step.args)
        if step.kind == "message":
            self._messages += 1
        elif step.kind != "think":
            self._messages = 0
            self._act(step)
        found = [*self._loops(), *self._standing(), *self._edges()]
        new = [signal for signal in found if signal.act == "stop" or signal.code not in self._holding]
        self._holding = frozenset(signal.code for signal in found)
        return tuple(sorted(new, key=lambda signal: signal.act != "stop"))

    def _act(self, step: Step) -> None:
        call = _Call(step.action, step.args)
        again = bool(self._seen) and self._seen[-1].call == call
        tree = self._trees.setdefault(step.tree, len(self._trees)) if step.tree else self._tree
        changed, self._tree = tree != self._tree, tree
        self._seen.append(_Seen(call, step.observation, tree))
        self._here[call, step.observation] += 1
        if changed:
            self._here.clear()
        self._again = self._here[call, step.observation]
        self._still = 0 if changed else self._still + 1
        failed = step.ok is False
        self._failures = (self._failures + 1 if again else 1) if failed else 0
        self._rejected = self._rejected + 1 if failed and step.kind == "edit" else 0
        self._touch(step, changed)

    def _touch(self, step: Step, changed: bool) -> None:
        """Note what a step changed: reading outside the scope is no drift."""
        writes = step.kind in ("edit", "delete", "move") and step.ok is not False
        if not (writes or changed):
            return
        made = self._touched.intersection(step.files) if step.kind == "delete" else frozenset()
        room = max(0, MOST_FILES - len(self._touched))
        self._touched = (
            self._touched.union(step.files[:room]) - made
        )  # deleting what the run made leaves no change

    def _loops(self) -> Iterator[Signal]:
        if not self._seen:
            return
        name = _name(self._seen[-1].call.action)
        seen = list(self._seen)
        if _rounds(seen, 1, REPEAT):
            yield Signal("REPEAT", "stop", f"{name} came {REPEAT} times in a row with the same result.")
        if act := _level(self._failures, REPEAT_ERR):
            said = f"{name} failed {self._failures} times in a row with the same arguments."
            yield _signal("REPEAT_ERR", act, said, "Read the error and do something else.")
        if length := _cycle(seen):
            what = f"{name} was called" if length == 1 else f"The same {length} steps were taken"
            yield Signal("CYCLE", "stop", f"{what} {CYCLE} times in a row.")
        if len(set(seen[-2:])) == 2 and _rounds(seen, 2, ALTERNATE // 2):
            other = _name(seen[-2].call.action)
            said = f"{other} and {name} took turns for {ALTERNATE} steps with the same results."
            yield Signal("ALTERNATE", "stop", said)
        if act := _level(self._again, STATE_REPEAT):
            said = f"{name} gave the same result {self._again} times while no file changed."
            yield _signal("STATE_REPEAT", act, said, "Its result is known: use it, or do something else.")

    def _standing(self) -> Iterator[Signal]:
        nudge, stop = NO_PROGRESS
        if act := _level(self._still, (nudge * self._patience, stop * self._patience)):
            said = f"{self._still} steps changed no file."
            advice = "Make the change now, finish if nothing is left to do, or say what is missing."
            yield _signal("NO_PROGRESS", act, said, advice)
        if act := _level(self._rejected, EDIT_FAIL):
            said = f"{self._rejected} edits in a row were rejected."
            yield _signal("EDIT_FAIL", act, said, "Read the file again before the next edit.")
        if self._messages >= MONOLOGUE:
            said = f"{self._messages} messages without an action."
            yield _signal("MONOLOGUE", "nudge", said, "Go on with the task, or finish it.")

    def _edges(self) -> Iterator[Signal]:
        outside = [path for path in self._touched if not in_scope(self._scope, path)] if self._scope else []
        if outside:
            said = f"Outside this task's scope: {len(outside)} of {len(self._touched)} changed files."
            advice = "Keep to the scope, and remove files that were only made to try something out."
            yield _signal("SCOPE_DRIFT", "nudge", said, advice)
        if self._away:
            said = f"The last {THOUGHTS} thoughts are less like the task than nine tenths of those before."
            yield Signal("GOAL_DRIFT", "warn", said)
        if len(self._steps) > self._max_steps:
            yield Signal("BUDGET", "stop", f"The run took more than {self._max_steps} steps.")
        elif self._max_tokens is not None and self._tokens > self._max_tokens:
            yield Signal("BUDGET", "stop", f"The run took more than {self._max_tokens} tokens.")


def _level(count: int, thresholds: tuple[int, int]) -> Literal["nudge", "stop"] | None:
    nudge, stop = thresholds
    return "stop" if count >= stop else "nudge" if count >= nudge else None


def _signal(code: str, act: Act, said: str, advice: str) -> Signal:
    return Signal(code, act, said if act == "stop" else f"{said} {advice}")


def _rounds(seen: Sequence[object], length: int, times: int) -> bool:
    """Say whether the sequence ends with `times` rounds of its last `length` items."""
    end = seen[-length * times :]
    return len(end) == length * times and all(a == b for a, b in zip(end, end[length:], strict=False))


def _cycle(seen: Sequence[_Seen]) -> int | None:
    """Give the length of the cycle that the calls end with; results are not compared, states of the tree are."""
    calls = [(step.call, step.tree) for step in seen]
    return next((length for length in range(1, CYCLE_LENGTH + 1) if _rounds(calls, length, CYCLE)), None)


def _name(action: str) -> str:
    """Show the name of an action, which is the agent's text, so that it can do nothing where it is shown."""
    return code(redact(action)[:NAME_LIMIT]) or "An action"


_SECONDS = r"(?::[0-9]{2})?(?:[.,][0-9]{1,9})?"
_TEMPORARY = r"(/tmp|/var/tmp|/var/folders/[^/\s]{1,40}/[^/\s]{1,60}/T)/"
_VOLATILE = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<uuid>"),
        (r"\b0x[0-9a-fA-F]{4,16}\b", "<address>"),
        (rf"\b[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ][0-9]{{2}}:[0-9]{{2}}{_SECONDS}(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?", "<time>"),
        (r"\b[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?\b", "<time>"),
        (r"\b[0-9]{1,12}(?:\.[0-9]{1,12})? ?(?:ns|[uµμ]s|ms|secs?|seconds?|minutes?)\b", "<duration>"),
        (r"\b[0-9]{1,12}\.[0-9]{1,12} ?[sm]\b|\b[0-9]{1,12}s\b", "<duration>"),
        (r"\bpytest-of-[\w.-]{1,40}/pytest-[0-9]{1,9}\b", "<tmp>"),
        # Only what looks drawn by chance: other names below a temporary folder tell files apart.
        (rf"{_TEMPORARY}(?:tmp[a-z0-9_]{{8}}|go-build[0-9]{{4,20}}|[\w-]{{0,40}}[.-](?=\w{{0,11}}[0-9]\w{{0,11}}[A-Za-z_])\w{{6,12}})(?![\w.-])", r"\1/<tmp>"),
    )
)  # fmt: skip


def normalize(text: str) -> str:
    """Take out what differs between two equal calls or results: times, addresses, ids, temporary folders, spacing."""
    for pattern, instead in _VOLATILE:
        text = pattern.sub(instead, text)
    return " ".join(text.split())
