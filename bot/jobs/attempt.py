"""Owns one run of a coding agent: a worktree, an agent in a sandbox, a commit by the host, and what can be said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog
from pydantic import TypeAdapter

from bot import prompts
from bot.agents.sessions import Sessions
from bot.core import backlog as backlog_file
from bot.core import messy, policy
from bot.core.actions import RunTask
from bot.core.backlog import BacklogTask
from bot.core.config import RepoConfig
from bot.core.drift import ContextDriftDetector, Step
from bot.core.rebasing import Situation
from bot.core.sanitize import code, plain, redact
from bot.core.track import TaskTrack, Track
from bot.core.values import Usage
from bot.engine.store import Store
from bot.errors import UserError
from bot.jobs.contract import Contract, Contracts, Stop
from bot.jobs.ground import Ground, ground, marked
from bot.jobs.runs import read_notes
from bot.jobs.trial import Trial, Tried
from bot.jobs.verify import Verifier
from bot.jobs.verify import policy as sandbox_policy
from bot.ports import (
    Clock,
    Coder,
    Identity,
    Mirror,
    RunError,
    Sandbox,
    WorkOrder,
    WorkReport,
    Worktree,
    Worktrees,
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a run made; with a `situation` it is not fit to be shown, and RebaseEngine decides what follows."""

    sha: str
    tip: str
    base: str
    said: str = ""
    usage: Usage = field(default_factory=Usage)
    tests: str = ""
    outside: tuple[str, ...] = ()
    messy: float = 0.0
    acceptance: tuple[str, ...] = ()
    agent: str = ""
    situation: Situation | None = None
    text: str = ""
    details: str = ""
    output: str = ""


MADE: TypeAdapter[Made] = TypeAdapter(Made)


@dataclass(frozen=True, slots=True)
class _Work:
    """A run under way: what its steps share."""

    track: Track
    task: TaskTrack
    mirror: Mirror
    ground: Ground
    contract: Contract
    id: str


@dataclass(frozen=True, slots=True)
class Attempts:
    """Runs coding agents on tasks; nothing here is seen by anybody else yet."""

    store: Store
    worktrees: Worktrees
    sandbox: Sandbox
    verifier: Verifier
    sessions: Sessions
    coders: Mapping[str, Coder]
    author: Identity
    clock: Clock
    contracts: Contracts = field(default_factory=Contracts)
    protected: Callable[[Sequence[str], Sequence[str], str], tuple[str, ...]] = policy.protected
    new_secrets: Callable[[Mapping[str, bytes], Mapping[str, bytes]], tuple[tuple[str, int, str], ...]] = (
        policy.new_secrets
    )
    messy_score: Callable[[messy.RunFeatures], float] = messy.messy_score
    detector: Callable[..., ContextDriftDetector] = ContextDriftDetector

    async def make(self, track: Track, task: TaskTrack, action: RunTask, mirror: Mirror) -> Made:
        """Run the agent once; Stop where it came to nothing, a Made with a situation where its work is not fit."""
        stand = await ground(mirror, track, action.mode, action.head, self.author, self.clock.now())
        contract = await self.contracts.read(track, task, mirror, stand.base)
        work = _Work(track, task, mirror, stand, contract, f"{track.slug}-{task.id}")
        coder = self.coder(track.config)
        worktree = await self.worktrees.create(mirror, work.id, stand.start)
        trace: tuple[Step, ...] = ()
        try:
            report = await self._agent(work, action, worktree, coder)
            trace = report.trace
            sha, changed = await self._ingest(work, worktree, report)
        except RunError as error:
            return _drifted(work, error)
        finally:
            await self._clean(work.id)
        sha = await self._seated(work, sha)
        made = Made(
            sha=sha,
            tip=stand.tip,
            base=stand.base,
            said=redact(report.said),
            usage=report.usage,
            acceptance=contract.task.acceptance,
            agent=coder.name,
        )
        return await self.judged(track, task, mirror, made, contract.task, trace, changed, stand.conflicts)

    # --- judging -----------------------------------------------------------------------------------

    async def judged(
        self,
        track: Track,
        task: TaskTrack,
        mirror: Mirror,
        made: Made,
        written: BacklogTask,
        trace: tuple[Step, ...] = (),
        changed: Sequence[str] = (),
        conflicts: tuple[str, ...] = (),
    ) -> Made:
        """Judge a commit before anybody sees it: what it touches, secrets, markers, tests, and how messy it is."""
        stat = await mirror.diff_stat(made.base, made.sha)
        folder = f"{track.config.tasks_dir}/"
        paths = [path for path, _, _ in stat if not path.startswith(folder)]
        forbidden = await self._forbidden(track, mirror, made, [*paths, *changed], paths)
        if forbidden is not None:
            return forbidden
        outside = policy.outside(paths, task.scope)
        if outside and track.config.outside_scope == "stop":
            names = ", ".join(outside)
            raise Stop("outside_scope", f"it changed files outside its scope: {names}", usage=made.usage)
        after = await mirror.read_many(made.sha, conflicts)
        if conflicts and marked(list(after.values())):
            seen = Situation(where="before_push", conflicts=conflicts, conflict_persists=True)
            return replace(made, situation=seen, text="conflict markers are left in its files")
        trial = Trial(self.verifier, track, mirror, f"{track.slug}-{task.id}-verify")
        tried = await trial.run(written, made.sha, made.base)
        before = {file.path for file in await mirror.files(made.base)}
        features = messy.features_of(
            trace,
            changed=paths,
            added=[path for path in paths if path not in before],
            diff_lines=sum(plus + minus for path, plus, minus in stat if path in set(paths)),
            outside=outside,
        )
        score = self.messy_score(features)
        made = replace(made, outside=outside, messy=score, tests=tried.said)
        return _situated(made, tried, score)

    async def _forbidden(
        self, track: Track, mirror: Mirror, made: Made, touched: Sequence[str], paths: Sequence[str]
    ) -> Made | None:
        """Find protected paths and secrets; `touched` counts what the agent changed under the host's folder too."""
        protected = self.protected(
            list(dict.fromkeys(touched)), track.config.protected_paths, track.config.tasks_dir
        )
        if protected:
            names = ", ".join(protected)
            seen = Situation(where="before_push", protected=protected)
            return replace(made, situation=seen, text=f"it changed protected files: {names}")
        after = await mirror.read_many(made.sha, paths)
        before = await mirror.read_many(made.base, paths)
        secrets = self.new_secrets(before, after)
        if secrets:
            where = tuple(f"{path} line {line}: {kind}" for path, line, kind in secrets)
            lines = "\n".join(f"- {code(path)} line {line}: {kind}" for path, line, kind in secrets)
            seen = Situation(where="before_push", secrets=where)
            text = "the change holds what looks like a secret"
            return replace(made, situation=seen, text=text, details=lines)
        return None

    # --- the agent ---------------------------------------------------------------------------------

    def coder(self, config: RepoConfig) -> Coder:
        """Give the agent of the settings; Stop names those that are known."""
        name = config.agent if isinstance(config.agent, str) else "custom"
        if name not in self.coders:
            raise Stop("agent", f"there is no agent `{name}`; known are {', '.join(sorted(self.coders))}")
        return self.coders[name]

    async def _agent(self, work: _Work, action: RunTask, worktree: Worktree, coder: Coder) -> WorkReport:
        track, task = work.track, work.task
        known = len(await read_notes(self.store, track, task.id))

        async def note() -> str | None:
            nonlocal known
            notes = await read_notes(self.store, track, task.id)
            if len(notes) <= known:
                return None
            known += 1
            return notes[known - 1][1]

        async with self.sessions.open("coder", track.key, task.id) as session:
            order = WorkOrder(
                track=track.id,
                task=task.id,
                title=task.title,
                prompt=_prompt(work),
                scope=task.scope,
                run=action.run,
                worktree=worktree.path,
                session=session.id,
                state_dir=session.dir,
                timeout=track.config.limits.task_minutes * 60.0,
                notes=note,
                observe=self.detector(task.scope, task_class=task.kind).observe,
            )
            shown = replace(sandbox_policy(worktree, work.mirror, self.verifier.path), home=session.home)
            try:
                async with self.sandbox.open(shown) as box:
                    return await coder.work(order, box)
            except RunError as error:
                if error.reason == "drift":
                    raise
                raise Stop(error.reason, str(error), usage=error.usage) from error

    async def _ingest(
        self, work: _Work, worktree: Worktree, report: WorkReport
    ) -> tuple[str, tuple[str, ...]]:
        message = f"{plain(work.task.title)}\n\nTask {work.task.id} of {work.track.id}"
        message += f", part of #{work.track.issue}." if work.track.issue else "."
        try:
            ingested = await worktree.ingest(message, self.author, self.clock.now(), _records(work))
        except UserError as error:
            raise Stop("refused", str(error), usage=report.usage) from error
        if ingested.sha is None:
            raise Stop("no_change", "the agent ended without changing anything", usage=report.usage)
        return ingested.sha, ingested.changed

    async def _seated(self, work: _Work, sha: str) -> str:
        """Give work on a merge the parents that it is to have."""
        stand = work.ground
        if not stand.parents:
            return sha
        tree = await work.mirror.write_tree(sha, {})
        message = f"{plain(work.task.title)}\n\nTask {work.task.id} of {work.track.id}, conflicts resolved."
        return await work.mirror.commit_tree(tree, stand.parents, message, self.author, self.clock.now())

    async def _clean(self, id_: str) -> None:
        left = await self.worktrees.cleanup(id_)
        if left:
            _log.error("worktree_left_behind", worktree=id_, left=left)


def _records(work: _Work) -> dict[str, bytes | None]:
    """Give what the host writes into the commit: the status lines that it records, and the spec where it is improved."""
    text = work.contract.text
    for task in work.track.tasks:
        if task.id == work.task.id:
            text = backlog_file.set_status(text, task.id, "done")
        elif task.state == "dropped" and task.id in work.contract.open:
            text = backlog_file.set_status(text, task.id, "dropped")
    records: dict[str, bytes | None] = {f"{work.track.folder}/BACKLOG.yaml": text.encode()}
    if work.contract.improved is not None:
        records[work.contract.spec_path] = work.contract.improved.encode()
    return records


def _prompt(work: _Work) -> str:
    notes = [*work.contract.guidance, *([work.task.feedback] if work.task.feedback else [])]
    return prompts.worker(
        title=work.task.title,
        context=work.contract.task.context,
        scope=work.task.scope,
        acceptance=work.contract.task.acceptance,
        test=work.contract.task.test,
        notes=notes,
    )


def _drifted(work: _Work, error: RunError) -> Made:
    """Hand a run that a stop rule ended to RebaseEngine; what lay in its folder is gone with it."""
    rule = str(error).partition(":")[0]
    return Made(
        sha=work.ground.start,
        tip=work.ground.tip,
        base=work.ground.base,
        usage=error.usage,
        situation=Situation(where="before_push", drifted=rule),
        text=f"its agent was stopped: {error}",
    )


def _situated(made: Made, tried: Tried, score: float) -> Made:
    """Say what is wrong with the work; nothing where it may be shown."""
    if not tried.red and score < messy.MESSY_THRESHOLD:
        return made
    seen = Situation(
        where="before_push",
        red=tried.red,
        failing=tried.failing,
        flaky=tried.flaky,
        fails_on_base=tried.fails_on_base,
        behind=0,
        rebased_onto_tip=True,
        messy=score,
    )
    text = tried.text if tried.red else f"its run was messy ({score:.2f})"
    return replace(made, situation=seen, text=text, details=tried.details, output=tried.output)
