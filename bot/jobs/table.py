"""Owns which job performs each action, and what every job is made of."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bot.agents.script import Script
from bot.agents.sessions import Sessions
from bot.core.actions import (
    Action,
    AssessTask,
    CancelRuns,
    CheckHealth,
    ClosePull,
    CloseTrack,
    EditBacklog,
    FoldPlan,
    IncludeTasks,
    MakePlan,
    NoteRun,
    ProposeBacklog,
    ProposeRecord,
    RebaseTask,
    ReopenPull,
    ReportBacklog,
    ReportTask,
    ReviseBacklog,
    RunTask,
    SyncPlan,
)
from bot.core.config import RepoConfig
from bot.core.repo_actions import (
    AnswerCommand,
    CheckSettings,
    ForgetRepository,
    ProposeSettings,
    RepoAction,
    ReportSettings,
)
from bot.core.values import Role
from bot.engine.ledger import Ledger
from bot.engine.pool import WorkerPool
from bot.engine.store import Store
from bot.git.worktrees import WorktreeManager
from bot.jobs.answer import AnswerCommandJob
from bot.jobs.attempt import Attempts
from bot.jobs.backlog import ProposeBacklogJob, ReportBacklogJob
from bot.jobs.cast import Cast
from bot.jobs.close import CloseJob
from bot.jobs.crew import Crew
from bot.jobs.dependencies import Dependencies
from bot.jobs.fold import FoldPlanJob
from bot.jobs.forget import ForgetRepositoryJob
from bot.jobs.health import HealthJob
from bot.jobs.include import IncludeTasksJob, SyncPlanJob
from bot.jobs.judge import Judge
from bot.jobs.layers import Layers
from bot.jobs.learning import Learning
from bot.jobs.manners import Reader
from bot.jobs.onboard import ProposeSettingsJob
from bot.jobs.outward import to_listed, to_registries
from bot.jobs.plan import PlanJob
from bot.jobs.record import ProposeRecordJob
from bot.jobs.repair import AssessJob, RebaseJob
from bot.jobs.repository import Repositories
from bot.jobs.revise import EditBacklogJob, ReviseBacklogJob
from bot.jobs.rewriting import Branch, Rewriter
from bot.jobs.runs import CancelRunsJob, ClosePullJob, NoteRunJob, ReopenPullJob
from bot.jobs.settings_report import CheckSettingsJob, ReportSettingsJob
from bot.jobs.spending import Spending
from bot.jobs.task_check import TaskChecks
from bot.jobs.telling import telling
from bot.jobs.unboxed import gated
from bot.jobs.verify import Verifier
from bot.jobs.work import WorkJob
from bot.perform import Job, RepoJob
from bot.ports import Clock, Engine, Forge, Sandbox
from bot.settings import Settings

Jobs = dict[type[Action], Job]


@dataclass(frozen=True, slots=True)
class Parts:
    """What jobs are made of."""

    settings: Settings
    script: Script | None
    clock: Clock
    store: Store
    forge: Forge
    repositories: Repositories
    worktrees: WorktreeManager
    sessions: Sessions
    sandbox: Sandbox
    layers: Layers
    closing: asyncio.Event = field(default_factory=asyncio.Event)  # set where the process ends


def table(parts: Parts, engine: Callable[[], Engine]) -> Jobs:
    """Build the job of every action that is not performed at once."""
    path = _path(parts)
    verifier = Verifier(
        Dependencies(
            parts.worktrees,
            parts.sandbox,
            parts.layers,
            path,
            to_registries(parts.settings),
            parts.worktrees.owner,
            image=parts.settings.container_image if parts.settings.container else "",
        )
    )
    crew = Crew(parts.settings, parts.script, parts.sandbox, path, parts.closing)
    cast = Cast(parts.settings, parts.script, crew.planner)
    spending = Spending(Ledger(parts.store.database, parts.clock), cast.named, telling(parts.forge))
    jobs: Jobs = {
        **_planning(parts, verifier, crew, cast, spending),
        **_working(parts, verifier, crew, spending),
        **_steering(parts, engine),
        CloseTrack: CloseJob(parts.store, parts.forge, parts.worktrees, spending.ledger, parts.clock),
    }
    return gated(jobs, parts.repositories)


def repo_table(parts: Parts, commands: Mapping[str, Role]) -> dict[type[RepoAction], RepoJob]:
    """Build the job of every action about a repository as such; `commands` are those whose role settings can name."""
    return {
        ForgetRepository: ForgetRepositoryJob(parts.worktrees, parts.layers),
        ProposeSettings: _offer(parts),
        CheckSettings: CheckSettingsJob(parts.forge, commands),
        ReportSettings: ReportSettingsJob(parts.store, parts.forge),
        AnswerCommand: AnswerCommandJob(parts.forge),
    }


def _offer(parts: Parts) -> ProposeSettingsJob:
    crew = Crew(parts.settings, parts.script, parts.sandbox, _path(parts))
    cast = Cast(parts.settings, parts.script)
    usual = parts.repositories.override(RepoConfig())
    return ProposeSettingsJob(
        parts.forge, parts.settings.onboarding_pulls, usual, crew.problems, cast.unusable
    )


def _planning(parts: Parts, verifier: Verifier, crew: Crew, cast: Cast, spending: Spending) -> Jobs:
    """Build what leads to a backlog that people can merge."""
    repositories, forge = parts.repositories, parts.forge
    backlog = Branch(repositories, forge, parts.clock)
    rewriter = Rewriter(parts.store, backlog)
    return {
        CheckHealth: HealthJob(
            repositories,
            parts.worktrees,
            verifier,
            parts.sandbox,
            parts.settings.data_dir,
            cast.problems,
            crew.problems,
        ),
        MakePlan: PlanJob(
            repositories,
            parts.worktrees,
            parts.sessions,
            cast.planners,
            WorkerPool({"planners": parts.settings.planners}),
            spending,
        ),
        ProposeBacklog: ProposeBacklogJob(
            repositories, forge, cast.refiner, spending, Learning(parts.store), parts.store
        ),
        ReportBacklog: ReportBacklogJob(repositories, forge, parts.store),
        EditBacklog: EditBacklogJob(backlog),
        ReviseBacklog: ReviseBacklogJob(rewriter, cast.refiner, spending),
        IncludeTasks: IncludeTasksJob(rewriter),
        SyncPlan: SyncPlanJob(forge),
        FoldPlan: FoldPlanJob(forge),
    }


def _working(parts: Parts, verifier: Verifier, crew: Crew, spending: Spending) -> Jobs:
    """Build what works on tasks, repairs what went wrong, and records what is left."""
    repositories, forge = parts.repositories, parts.forge
    attempts = Attempts(
        store=parts.store,
        worktrees=parts.worktrees,
        sandbox=parts.sandbox,
        verifier=verifier,
        sessions=parts.sessions,
        coders=crew.coders(),
        manners=Reader(parts.forge),
        clock=parts.clock,
        spending=spending,
        judge=Judge(verifier, parts.store, forge.secrets_in),
        outward=to_listed(parts.settings),
    )
    return {
        RunTask: WorkJob(parts.store, repositories, forge, attempts),
        AssessTask: AssessJob(repositories, forge),
        RebaseTask: RebaseJob(repositories, forge),
        ReportTask: TaskChecks(parts.store, forge),
        ProposeRecord: ProposeRecordJob(repositories, forge, Learning(parts.store)),
    }


def _steering(parts: Parts, engine: Callable[[], Engine]) -> Jobs:
    """Build what people's commands and acts need done to runs and pull requests."""
    return {
        ClosePull: ClosePullJob(parts.forge),
        ReopenPull: ReopenPullJob(parts.forge),
        CancelRuns: CancelRunsJob(parts.store, engine),
        NoteRun: NoteRunJob(parts.store),
    }


def _path(parts: Parts) -> str:
    return tool_path(parts.settings, os.environ.get("PATH", os.defpath))


def tool_path(settings: Settings, path: str) -> str:
    """Give the PATH of a sandbox: the bot's own, and the folder of a program that the operator's TEST names whole.

    A program named in the repository's own file is not trusted with that: it would show a folder of the host.
    """
    try:
        first = next(iter(shlex.split(settings.test or "")), "")
    except ValueError:  # an open quotation mark, which the health check will tell about
        first = ""
    return f"{path}{os.pathsep}{Path(first).parent}" if Path(first).is_absolute() else path
