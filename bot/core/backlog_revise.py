"""Owns revising a backlog by a note: what the model wants changed is written in, but nothing that people wrote is lost.

revise(before, now, wanted) -> Revision: `before` is the file as the bot would have it, `now` as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bot.core.backlog import load
from bot.core.backlog_edit import Value, add_task, raw, set_field
from bot.core.backlog_model import Backlog, BacklogTask
from bot.core.backlog_text import set_status

FIELDS = ("title", "kind", "priority", "depends_on", "paths", "acceptance", "test", "estimate")


@dataclass(frozen=True, slots=True)
class Revision:
    """The new text; what the bot would have it be without people; and what was changed, kept, added, dropped by task."""

    text: str
    before: str
    changed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    kept: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # a person wrote it, the model wants it otherwise
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.changed, *self.added, *self.dropped)))


def revise(before: str, now: str, wanted: Backlog) -> Revision:
    """Write what is wanted into both texts, field by field, wherever people have not written."""
    current = load(now).backlog
    if current is None:
        return Revision(now, before)
    had = load(before).backlog
    ours = {task.id for task in had.tasks} if had else set()
    here = {task.id: task for task in current.tasks}
    made = Revision(now, before)
    for task in wanted.tasks:
        if task.id in here:
            made = _task(made, here[task.id], task)
        elif task.id not in ours:
            made = _added(made, task)
        else:
            made = _kept(made, task.id, "that it was taken out")
    named = {task.id for task in wanted.tasks}
    for task in current.tasks:
        if task.id not in named and task.status == "todo":
            made = _dropped(made, task.id)
    return made


def _task(made: Revision, here: BacklogTask, wanted: BacklogTask) -> Revision:
    changed: list[str] = []
    kept: list[str] = []
    for name in FIELDS:
        value = _value(wanted, name)
        if value is None or value == _value(here, name):
            continue
        if raw(made.text, here.id, name) != raw(made.before, here.id, name):
            kept.append(name)
            continue
        made = replace(
            made,
            text=set_field(made.text, here.id, name, value),
            before=set_field(made.before, here.id, name, value),
        )
        changed.append(name)
    if changed:
        made = replace(made, changed={**made.changed, here.id: tuple(changed)})
    return replace(made, kept={**made.kept, here.id: tuple(kept)}) if kept else made


def _value(task: BacklogTask, name: str) -> Value | None:
    value: Value | None = tuple(task.scope.paths) if name == "paths" else getattr(task, name)
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _added(made: Revision, task: BacklogTask) -> Revision:
    made = replace(made, text=add_task(made.text, task), before=add_task(made.before, task))
    return replace(made, added=(*made.added, task.id))


def _dropped(made: Revision, task: str) -> Revision:
    written = raw(made.before, task, "title")
    if written is None or raw(made.text, task, "status") != raw(made.before, task, "status"):
        return _kept(made, task, "the task")
    text, before = (set_status(each, task, "dropped") for each in (made.text, made.before))
    made = replace(made, text=text, before=before)
    return replace(made, dropped=(*made.dropped, task))


def _kept(made: Revision, task: str, what: str) -> Revision:
    return replace(made, kept={**made.kept, task: (*made.kept.get(task, ()), what)})
