"""Owns the script file: what the planners, the backlog model, the agent, CI and people of a scripted run do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from bot.core.planning import PlanProposal
from bot.errors import UserError

Failure = Literal["crash", "stall", "garbage"]
Behavior = Literal["ok", "crash", "stall", "loop", "outside_scope", "no_change", "resolve"]
JsonDict = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FailingPlanner(_Part):
    """A planner that ends without a plan."""

    fail: Failure
    agent_id: str | None = None


def _planner_kind(value: Any) -> str:
    fails = isinstance(value, FailingPlanner) or (isinstance(value, dict) and "fail" in value)
    return "fails" if fails else "proposes"


PlannerEntry = Annotated[
    Annotated[PlanProposal, Tag("proposes")] | Annotated[FailingPlanner, Tag("fails")],
    Discriminator(_planner_kind),
]


def _existing_patch(value: Path | None, info: ValidationInfo) -> Path | None:
    """Resolve a patch relative to the script's folder, which the caller hands in as context."""
    if value is None:
        return None
    folder: Path = (info.context or {}).get("folder", Path())
    path = folder / value
    if not path.is_file():
        raise ValueError(f"there is no file `{value}` beside the script")
    return path.resolve()


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return value


class Run(_Part):
    """What the agent does in one run."""

    patch: Path | None = None
    say: str = ""
    behave: Behavior = "ok"
    noted: Run | None = (
        None  # what it turns to when a person's note reaches it; without, a note changes nothing
    )

    _patch_exists = field_validator("patch")(_existing_patch)


class TaskScript(_Part):
    """What the agent does at the tasks whose title matches."""

    match: str
    runs: tuple[Run, ...]

    _is_regex = field_validator("match")(_regex)

    @field_validator("runs")
    @classmethod
    def _some(cls, value: tuple[Run, ...]) -> tuple[Run, ...]:
        if not value:
            raise ValueError("give at least one run")
        return value


class Moment(_Part):
    """When a person acts: an event of a task whose title matches."""

    task: str
    event: Literal[
        "pr_opened", "merged", "waits"
    ]  # waits: for the default branch, which fails in the same way

    _is_regex = field_validator("task")(_regex)


class PersonStep(_Part):
    """A person's commit on the default branch, or on the task's own."""

    when: Moment
    patch: Path
    branch: Literal["default", "task"] = "default"

    _patch_exists = field_validator("patch")(_existing_patch)


class Script(_Part):
    """A whole scripted run; the same script gives the same run."""

    planners: tuple[PlannerEntry, ...] = ()
    backlog: tuple[JsonDict, ...] | None = None
    revisions: tuple[tuple[JsonDict, ...], ...] = ()
    tasks: tuple[TaskScript, ...] = ()
    default: Run = Run(behave="no_change")
    ci: str | None = None
    people: tuple[PersonStep, ...] = ()

    def planner_names(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Name the planning agents to start: one per entry, those without a name take the wanted ones in order."""
        taken = {entry.agent_id for entry in self.planners if entry.agent_id}
        spare = [name for name in wanted if name not in taken]
        names: list[str] = []
        for index, entry in enumerate(self.planners):
            names.append(entry.agent_id or (spare.pop(0) if spare else f"planner-{index + 1}"))
        return tuple(names)

    def planner(self, agent_id: str, wanted: tuple[str, ...]) -> PlanProposal | FailingPlanner | None:
        """Find an agent's entry: by its name, else by its place among the wanted names; None where there is none."""
        names = self.planner_names(wanted)
        if agent_id in names:
            return self.planners[names.index(agent_id)]
        place = wanted.index(agent_id) if agent_id in wanted else len(self.planners)
        return self.planners[place] if place < len(self.planners) else None

    def run(self, title: str, number: int) -> Run:
        """Give run `number` (from 1, over all attempts) of the first task that matches; the last entry repeats."""
        for task in self.tasks:
            if re.search(task.match, title):
                return task.runs[min(max(number, 1), len(task.runs)) - 1]
        return self.default


def load_script(path: Path) -> Script:
    """Read a script file; a UserError lists every problem with its place."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The script `{path}` cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"The script `{path}` is not valid YAML: {error}") from error
    try:
        return Script.model_validate(raw or {}, context={"folder": path.parent})
    except ValidationError as error:
        lines = [f"- `{_place(item['loc'])}`: {_said(item)}" for item in error.errors()]
        raise UserError(f"The script `{path}` has {len(lines)} problem(s):\n" + "\n".join(lines)) from error


def _place(loc: tuple[int | str, ...]) -> str:
    shown = ""
    for part in loc:
        if part in {"proposes", "fails"}:
            continue
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    return shown or "the file"


def _said(item: Any) -> str:
    text: str = item["msg"]
    return text.removeprefix("Value error, ")
