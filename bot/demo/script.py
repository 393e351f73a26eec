"""Reads the two parts of a script that are the demo's: the forge's CI command, and what people commit meanwhile."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import yaml

from bot.errors import UserError

Event = Literal["pr_opened", "merged", "waits"]


@dataclass(frozen=True, slots=True)
class PersonCommit:
    """A commit that a person makes on the default branch, or on the task's own, when a task gets so far."""

    task: re.Pattern[str]
    event: Event
    patch: Path
    on_task: bool = False


@dataclass(frozen=True, slots=True)
class DemoScript:
    """What the demo itself needs; `tasks` is about how many there will be, to spread kills over the run."""

    ci: str | None
    people: tuple[PersonCommit, ...]
    tasks: int


def read_script(path: Path) -> DemoScript:
    """Read `ci` and `people`; everything else belongs to the scripted model. UserError names place and remedy."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"The script {path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise UserError(f"{path}: a script is a mapping with `planners` and `tasks`.")
    people = data.get("people") or []
    if not isinstance(people, list):
        raise UserError(f"{path}: `people` must be a list.")
    return DemoScript(
        ci=data.get("ci"),
        people=tuple(_person(path, index, entry) for index, entry in enumerate(people)),
        tasks=_tasks(data),
    )


def _tasks(data: dict[str, Any]) -> int:
    """Guess the number of tasks: those of the backlog, or of the longest plan; whoever reads the script judges it."""
    plans = [data.get("backlog"), *(plan.get("tasks") for plan in _mappings(data.get("planners")))]
    return max((len(tasks) for tasks in plans if isinstance(tasks, list)), default=1)


def _mappings(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _person(path: Path, index: int, entry: object) -> PersonCommit:
    where = f"{path}: people[{index}]"
    when = entry.get("when") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(when, dict) or not isinstance(entry.get("patch"), str):
        raise UserError(f"{where} must look like {{when: {{task: REGEX, event: pr_opened}}, patch: FILE}}.")
    event = when.get("event")
    if event not in get_args(Event):
        raise UserError(f"{where}.when.event must be one of {', '.join(get_args(Event))}, not {event!r}.")
    branch = entry.get("branch", "default")
    if branch not in ("default", "task") or (branch == "task" and event == "waits"):
        raise UserError(
            f"{where}.branch must be default, or task once there is a pull request, not {branch!r}."
        )
    patch = (path.parent / entry["patch"]).resolve()
    if not patch.is_file():
        raise UserError(f"{where}.patch: there is no file {patch}.")
    try:
        task = re.compile(str(when.get("task", "")))
    except re.error as error:
        raise UserError(f"{where}.when.task is no regular expression: {error}") from error
    return PersonCommit(task, cast(Event, event), patch, branch == "task")
