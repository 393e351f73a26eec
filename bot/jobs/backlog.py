"""Owns the backlog's way into a pull request, and the check that says whether its file can be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from bot import points
from bot.core import backlog as files
from bot.core import messages, messages_pulls
from bot.core.actions import ProposeBacklog, ReportBacklog
from bot.core.attribution import attributed
from bot.core.backlog import Backlog, BacklogTask
from bot.core.config import RepoConfig
from bot.core.events import BacklogProposed
from bot.core.lessons import Lessons, for_task
from bot.core.packet import ContextCompressor, PacketInput, TaskTooBig
from bot.core.plan_text import plan_text
from bot.core.planning import MergedPlan
from bot.core.sanitize import plain
from bot.core.specs import SpecRepository
from bot.core.track import Track
from bot.core.values import Annotation, Pull, Report, Usage
from bot.engine.firsts import is_first
from bot.engine.store import Store
from bot.errors import BotError, RetryableError, StaleRefError, UserError
from bot.jobs.learning import Learned, Learning
from bot.jobs.plan import read_texts
from bot.jobs.publish import Publisher
from bot.jobs.repository import Repositories
from bot.jobs.spending import OverBudgetError, Spending
from bot.models.meter import MeteredRefiner
from bot.ports import BacklogRefiner, Forge, Mirror, Refined

CHECK = "gitwright/backlog"
PATIENCE = 600.0  # seconds that the backlog model is waited for; people wait for the backlog


@dataclass(frozen=True, slots=True)
class Drafted:
    """A backlog as its files, by path, with the message of their commit."""

    backlog: Backlog
    files: dict[str, bytes]
    message: str
    usage: Usage
    notes: tuple[str, ...]
    told: frozenset[str] = frozenset()  # ids of the lessons in its contexts


@dataclass(frozen=True, slots=True)
class ProposeBacklogJob:
    """Turns the merged plan into BACKLOG.yaml, PLAN.md and specs, and opens their pull request."""

    repositories: Repositories
    forge: Forge
    refiner: Callable[[RepoConfig], BacklogRefiner | None]  # None: the merged plan is converted as it is
    spending: Spending
    learning: Learning
    store: Store
    compressor: ContextCompressor = field(default_factory=ContextCompressor)
    specs: SpecRepository = field(default_factory=SpecRepository)

    async def __call__(self, track: Track, _action: ProposeBacklog) -> BacklogProposed:
        mirror = await self.repositories.fresh(track.repo)
        first = await is_first(self.store, track, f"pull {track.backlog_branch}")
        pull = None if first else await self.forge.find_pull(track.repo, track.backlog_branch)
        if pull is None:
            learned = await self.learning.learn(track, mirror, track.base_sha)
            drafted = await self.draft(track, mirror, learned)
            pull = await self._open(track, mirror, drafted, learned)
            return self._proposed(track, pull, len(drafted.backlog.tasks), drafted.notes, drafted.usage)
        text = await self.repositories.file(track.repo, pull.head_sha, f"{track.folder}/BACKLOG.yaml")
        loaded = files.load(text or "")
        return self._proposed(track, pull, len(loaded.backlog.tasks) if loaded.backlog else 0, (), Usage())

    async def draft(self, track: Track, mirror: Mirror, learned: Learned | None = None) -> Drafted:
        """Write the track's files from its plan; nothing is published. UserError where a task is too big."""
        if track.plan is None:
            raise BotError("the plan is gone; `/agent plan` makes a new one")
        paths = [file.path for file in await mirror.files(track.base_sha)]
        backlog, usage, notes = await self._backlog(track, track.plan, paths)
        learned = learned or await self.learning.read(mirror, track.base_sha)
        backlog, told = await self._with_contexts(track, mirror, backlog, learned.lessons)
        specs = {task.id: self.specs.first(task, issue=track.issue or None) for task in backlog.tasks}
        folder, plan = track.folder, track.plan
        written = {
            f"{folder}/BACKLOG.yaml": files.dump(backlog).encode(),
            f"{folder}/PLAN.md": plan_text(track.id, track.issue or None, plan, track.frozen).encode(),
            **{f"{folder}/specs/{id_}.md": self.specs.render(spec).encode() for id_, spec in specs.items()},
        }
        message = f"Plan {track.id}\n\n{plain(_goal(track, plan))}"
        return Drafted(backlog, written, message, usage, notes, told)

    def _proposed(
        self, track: Track, pull: Pull, tasks: int, notes: tuple[str, ...], usage: Usage
    ) -> BacklogProposed:
        return BacklogProposed(
            pull=pull.number,
            branch=track.backlog_branch,
            head_sha=pull.head_sha,
            tasks=tasks,
            notes=notes,
            usage=usage,
        )

    async def _backlog(
        self, track: Track, plan: MergedPlan, paths: Sequence[str]
    ) -> tuple[Backlog, Usage, tuple[str, ...]]:
        converted = files.from_plan(
            plan,
            track=track.id,
            issue=track.issue or None,
            base_sha=track.base_sha,
            goal=_goal(track, plan),
        )
        refiner = self.refiner(track.config)
        if refiner is None:
            return converted, Usage(), ()
        refined = await self._refined(track, plan, converted, refiner)
        problem = refined.problem
        if refined.backlog is not None:
            # The model may have widened scopes and cut dependencies.
            backlog = files.separated(refined.backlog, paths)
            errors = files.load(files.dump(backlog)).errors
            if not errors:
                return backlog, refined.usage, ()
            problem = errors[0].message
        note = f"The backlog model gave nothing usable ({problem}); this is the merged plan as it is."
        return converted, refined.usage, (note,)

    async def _refined(
        self, track: Track, plan: MergedPlan, converted: Backlog, refiner: BacklogRefiner
    ) -> Refined:
        """Ask the backlog model with money of its own; where that is long to come, the plan is good enough."""
        try:
            id_ = f"backlog:{track.base_sha}"
            choice = await self.spending.choose(track, "backlog", waits=id_)
            async with self.spending.run(track, "backlog", choice.models, id_) as spent:
                counted = refiner.metered(spent) if isinstance(refiner, MeteredRefiner) else refiner
                refined = await counted.refine(plan, converted)
                spent.usage = refined.usage
        except OverBudgetError as error:
            return Refined(None, Usage(), str(error))
        except RetryableError as error:
            if error.after is None or error.after <= PATIENCE:
                raise
            return Refined(None, Usage(), str(error))
        return replace(refined, usage=spent.total)

    async def _with_contexts(
        self, track: Track, mirror: Mirror, backlog: Backlog, lessons: Lessons
    ) -> tuple[Backlog, frozenset[str]]:
        """Fill the contexts, and give the ids of the lessons in them."""
        documents = await read_texts(mirror, track.base_sha)
        contexts, told = {}, set()
        for task in backlog.tasks:
            fitting = for_task(lessons, scope=task.scope.paths)
            told |= {lesson.id for lesson in fitting}
            rules = tuple(lesson.rule for lesson in fitting)
            contexts[task.id] = await asyncio.to_thread(
                compress, self.compressor, track, task, documents, rules
            )
        return files.with_contexts(backlog, contexts), frozenset(told)

    async def _open(self, track: Track, mirror: Mirror, drafted: Drafted, learned: Learned) -> Pull:
        # Derived from tracks alone, so a repeat after a kill makes the very same commit.
        when = datetime.fromisoformat(track.started_at.replace("Z", "+00:00"))
        message = f"{drafted.message}\n\nPart of #{track.issue}"
        contents = {**drafted.files, **learned.files(drafted.told)}
        bot = await self.forge.author(track.repo)
        message = attributed(message, track, bot)
        sha = await mirror.commit_files(track.base_sha, contents, message, bot, when)
        if len(contents) > len(drafted.files):
            await self.learning.note(track, learned)
        await mirror.anchor(f"backlog/{track.id}", sha)
        await self._push(track, mirror, sha)
        points.reached("backlog-pushed")
        return await self.forge.open_pull(
            track.repo,
            head=track.backlog_branch,
            base=track.repo.default_branch,
            title=f"Backlog of {messages.count(len(drafted.backlog.tasks), 'task')} for #{track.issue}",
            body=messages_pulls.backlog_pull(track, drafted.notes, learned.new),
        )

    async def _push(self, track: Track, mirror: Mirror, sha: str) -> None:
        try:
            await Publisher(self.forge).push(track.repo, mirror, sha, track.backlog_branch, None)
        except StaleRefError:
            # The branch exists: people may have pushed to it already, and theirs stays.
            if await self.forge.branch_sha(track.repo, track.backlog_branch) is None:
                raise RetryableError("the backlog branch moved while it was pushed") from None


def compress(
    compressor: ContextCompressor,
    track: Track,
    task: BacklogTask,
    documents: Mapping[str, str],
    lessons: tuple[str, ...] = (),
) -> str:
    """Cut the context of a task out of the issue and the repository: at most 3,072 bytes of UTF-8."""
    packet = compressor.compress(
        PacketInput(
            title=task.title,
            acceptance=tuple(task.acceptance),
            scope=tuple(task.scope.paths),
            test=task.test or next(iter(track.tests), ""),
            issue_title=track.frozen.title,
            issue_body=track.frozen.body,
            base_sha=track.base_sha,
            files=documents,
            lessons=lessons,
        )
    )
    if isinstance(packet, TaskTooBig):
        raise UserError(f"`{task.id}` is too big for one task: {packet}")
    return packet.text


def _goal(track: Track, plan: MergedPlan) -> str:
    first = plan.summary.strip().partition("\n")[0].partition(". ")[0].strip().rstrip(".")
    return f"{first or track.frozen.title}."[:300]


@dataclass(frozen=True, slots=True)
class ReportBacklogJob:
    """Annotates the backlog file's problems on the head that was pushed."""

    repositories: Repositories
    forge: Forge
    store: Store

    async def __call__(self, track: Track, action: ReportBacklog) -> None:
        path = f"{track.folder}/BACKLOG.yaml"
        text = await self.repositories.file(track.repo, action.sha, path)
        if text is None:
            report = Report(
                name=CHECK,
                conclusion="failure",
                title="BACKLOG.yaml is missing",
                summary=f"`{path}` is not in this branch; merging it would start nothing.",
            )
        else:
            paths = await self.repositories.paths(track.repo, action.sha)
            report = _report(track, path, await asyncio.to_thread(files.load, text, paths))
        first = await is_first(self.store, track, f"check backlog {action.sha}")
        known = 0 if first else None
        await self.forge.set_check(track.repo, action.sha, report, known=known, again=action.again)


def _report(track: Track, path: str, loaded: files.Loaded) -> Report:
    """Say what is wrong with the file, or how many tasks it starts."""
    tasks = [task for task in loaded.backlog.tasks if task.status == "todo"] if loaded.backlog else []
    title = (
        messages.count(len(loaded.errors), "problem")
        if loaded.errors
        else f"{messages.count(len(tasks), 'task')}, ready to merge"
    )
    summary = (
        messages.problem_lines(loaded.problems) or "The file is valid: what is merged is exactly what runs."
    )
    if track.stale:
        title, summary = f"stale: issue edited; {title}", f"{messages.STALE}\n\n{summary}"
    return Report(
        name=CHECK,
        conclusion="failure" if loaded.errors else "success",
        title=title,
        summary=summary,
        annotations=tuple(_annotation(path, problem) for problem in loaded.problems),
    )


def _annotation(path: str, problem: files.Problem) -> Annotation:
    return Annotation(
        path=path,
        line=problem.line,
        level="failure" if problem.severity == "error" else "warning",
        message=f"{problem.message}{f' {problem.hint}' if problem.hint else ''}",
        title=problem.code,
    )
