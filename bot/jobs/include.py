"""Owns taking in what a plan leaves out: a commit on the backlog's pull request, and the plan comment that says so."""

from __future__ import annotations

from dataclasses import dataclass

from bot.core import backlog as files
from bot.core import messages_plan
from bot.core.actions import IncludeTasks, SyncPlan
from bot.core.backlog import Backlog
from bot.core.backlog_plan import with_left_out
from bot.core.backlog_revise import revise
from bot.core.events import TasksIncluded
from bot.core.ids import Marker
from bot.core.messages import problem_lines
from bot.core.sanitize import code, plain
from bot.core.track import Track
from bot.errors import NotFoundError
from bot.jobs.rewriting import Rewriter, Written
from bot.ports import Forge


@dataclass(frozen=True, slots=True)
class IncludeTasksJob:
    """Writes planned tasks below those of the file, with what they need; what people wrote stays."""

    rewriter: Rewriter

    async def __call__(self, track: Track, action: IncludeTasks) -> TasksIncluded:
        remembered = await self.rewriter.remembered(track, action.key)
        if remembered is not None:
            return await self._publish(track, action, remembered)
        pull = await self.rewriter.branch.forge.find_pull(track.repo, track.backlog_branch)
        if track.plan is None or pull is None or pull.state != "open":
            where = f"#{pull.number}" if pull else "the backlog's pull request"
            return _nothing(action, f"{where} is not open any more: open a new issue, or `/agent plan`.")
        mirror, tip, text = await self.rewriter.branch.read(track)
        current = files.load(text).backlog
        if current is None:
            return _nothing(action, f"the file in #{pull.number} cannot be read; its check says why.")
        before = await self.rewriter.before(track, mirror) or text
        known = {each.name: each.task for each in track.included if each.task}
        paths = await self.rewriter.branch.repositories.paths(track.repo, tip)
        earlier = files.load(before).backlog
        taken = [task.id for task in earlier.tasks] if earlier else []
        wanted, names = with_left_out(current, track.plan, action.names, known, taken=taken, files=paths)
        draft = await self.rewriter.derived(track, mirror, tip, revise(before, text, wanted))
        loaded = files.load(draft.text)
        if loaded.backlog is None:
            lines = problem_lines(loaded.errors)
            return _nothing(action, f"the file could not be read with it, so nothing was changed:\n\n{lines}")
        if {task.id for task in loaded.backlog.tasks} != {task.id for task in wanted.tasks}:
            return _nothing(action, "the tasks of the file are written in brackets. Write it in yourself.")
        told = Written(
            text=_told(wanted, names, pull.number), changed=tuple(names.values()), names=tuple(names.items())
        )
        subject = f"Take in {', '.join(names.values())} as {plain(action.by)} asked"[:72]
        message = f"{subject}\n\nThe plan left {', '.join(names)} out: only one planner wants it."
        written = await self.rewriter.write(track, mirror, tip, action.key, message, draft, told)
        return await self._publish(track, action, written)

    async def _publish(self, track: Track, action: IncludeTasks, written: Written) -> TasksIncluded:
        head = await self.rewriter.publish(track, action.key, written)
        return TasksIncluded(
            key=action.key,
            text=written.text,
            head_sha=head,
            changed=written.names,
        )


def _nothing(action: IncludeTasks, why: str) -> TasksIncluded:
    names = ", ".join(f"`{name}`" for name in action.names)
    return TasksIncluded(key=action.key, text=f"{names} is not taken in: {why}")


def _told(backlog: Backlog, names: dict[str, str], pull: int) -> str:
    tasks = {task.id: task for task in backlog.tasks}
    lines = []
    for name, id_ in names.items():
        needs = ", ".join(f"`{need}`" for need in tasks[id_].depends_on)
        waits = f", which waits for {needs}" if needs else ""
        lines.append(f"- `{name}` is `{id_}` in #{pull}: {code(tasks[id_].title)}{waits}")
    return "Taken in, by a commit of its own; change it there as you like:\n\n" + "\n".join(lines)


@dataclass(frozen=True, slots=True)
class SyncPlanJob:
    """Has the plan comment show what has become of its boxes."""

    forge: Forge

    async def __call__(self, track: Track, _action: SyncPlan) -> None:
        found = await self.forge.find_comment(track.repo, track.issue, str(Marker("plan", track.id)))
        body = messages_plan.redrawn(track, found.body) if found else ""
        if found is not None and body != found.body:
            try:
                await self.forge.update_comment(track.repo, found.id, body)
            except NotFoundError:
                return  # somebody deleted it meanwhile
