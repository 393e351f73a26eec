"""Owns the backlog model: it sharpens the tasks of a merged plan, and what it may not change stays as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, TypeAdapter

from bot import prompts
from bot.core import backlog as backlog_file
from bot.core.backlog import Backlog, BacklogTask, Scope
from bot.core.planning import MergedPlan
from bot.core.plans import Estimate, Kind, PlannedTask, Priority
from bot.models.meter import Meter
from bot.models.names import DEFAULT_MODELS
from bot.models.run import ModelLimits, ask
from bot.ports import Refined, RunError
from bot.prompts import BacklogPrompt, RevisePrompt

if TYPE_CHECKING:
    from pydantic_ai.models import Model


class RefinedTask(BaseModel):
    """What the model may say of a task; the rest is not its to change."""

    model_config = ConfigDict(frozen=True)

    id: str
    title: str
    kind: Kind
    priority: Priority
    depends_on: tuple[str, ...] = ()
    paths: tuple[str, ...]
    acceptance: tuple[str, ...]
    test: str | None = None
    estimate: Estimate


class RefinedTasks(BaseModel):
    """All tasks, in the order they came in."""

    model_config = ConfigDict(frozen=True)

    tasks: tuple[RefinedTask, ...]


_LEFT_OUT = TypeAdapter(tuple[PlannedTask, ...])


class BacklogModel:
    """Implements BacklogRefiner; the models are tried in their order, those of the defaults where none is named."""

    def __init__(self, models: Sequence[str | Model] = (), limits: ModelLimits | None = None) -> None:
        self._models = tuple(models) or DEFAULT_MODELS["backlog"]
        # An invalid answer is sent back once; after that the conversion is used.
        self._limits = replace(limits or ModelLimits(), retries=1)
        self._meter: Meter | None = None

    def metered(self, meter: Meter) -> BacklogModel:
        """Give the same backlog model, whose models and money are the meter's."""
        counted = BacklogModel(self._models, self._limits)
        counted._meter = meter
        return counted

    async def refine(self, plan: MergedPlan, converted: Backlog) -> Refined:
        """Give the converted backlog in better words; without a backlog where the model gave nothing usable.

        RetryableError where a quota is used up that is free again later.
        """
        tasks = converted.model_dump_json(include={"tasks"}, exclude_none=True)
        shown = plan.model_dump_json(exclude={"minority"})
        prompt = prompts.render(BacklogPrompt(shown, tasks, prompts.delimiter(shown, tasks)))
        try:
            answer = await ask(
                self._models,
                prompt,
                RefinedTasks,
                limits=self._limits,
                problem=lambda refined: problem(converted, refined),
                meter=self._meter,
            )
        except RunError as error:
            return Refined(None, error.usage, str(error))
        return Refined(merged(converted, answer.value), answer.usage)

    async def revise(
        self, current: Backlog, note: str, number: int, left_out: Sequence[PlannedTask] = ()
    ) -> Refined:
        """Give the backlog as the note wants it; without a backlog where the model gave nothing usable."""
        tasks = current.model_dump_json(include={"tasks"}, exclude_none=True)
        others = _LEFT_OUT.dump_json(tuple(left_out)).decode() if left_out else ""
        fence = prompts.delimiter(tasks, note, others)
        prompt = prompts.render(RevisePrompt(tasks, note, fence, others))
        try:
            answer = await ask(
                self._models,
                prompt,
                RefinedTasks,
                limits=self._limits,
                problem=lambda said: _invalid(revised(current, said)),
                meter=self._meter,
            )
        except RunError as error:
            return Refined(None, error.usage, str(error))
        return Refined(revised(current, answer.value), answer.usage)


def revised(current: Backlog, said: RefinedTasks) -> Backlog:
    """Put the model's tasks in the place of those that there are; unvalidated."""
    here = {task.id: task for task in current.tasks}
    blank = BacklogTask(id="T-1", title="New", scope=Scope(paths=("x",)), acceptance=("x",))
    tasks = []
    for new in said.tasks:
        words = new.model_dump(exclude={"paths"}, exclude_none=True)
        task = here.get(new.id, blank)
        tasks.append(task.model_copy(update={**words, "scope": Scope(paths=new.paths)}))
    return current.model_copy(update={"tasks": tuple(tasks)})


def _invalid(backlog: Backlog) -> str | None:
    loaded = backlog_file.load(backlog_file.dump(backlog))
    if not loaded.errors:
        return None
    return "The backlog is not valid: " + "; ".join(
        f"{each.code} {each.task}: {each.message}" for each in loaded.errors[:5]
    )


def merged(converted: Backlog, refined: RefinedTasks) -> Backlog:
    """Put the model's words into the converted tasks; unvalidated, see `problem`."""
    said = {task.id: task for task in refined.tasks}
    tasks = []
    for task in converted.tasks:
        new = said[task.id]
        changes = new.model_dump(
            include={"title", "kind", "priority", "depends_on", "acceptance", "test", "estimate"}
        )
        tasks.append(task.model_copy(update={**changes, "scope": Scope(paths=new.paths)}))
    return converted.model_copy(update={"tasks": tuple(tasks)})


def problem(converted: Backlog, refined: RefinedTasks) -> str | None:
    """Say what makes the answer unusable, for the model to mend; None where nothing does."""
    wanted, given = [task.id for task in converted.tasks], [task.id for task in refined.tasks]
    if wanted != given:
        return f"Keep the tasks {', '.join(wanted)}, each once and in this order; you gave {', '.join(given)}"
    return _invalid(merged(converted, refined))
