"""Bots of which one part has lost its effect: each function takes a part away from a bot that has not started yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from bot.agents.sessions import Sessions
from bot.core import sanitize
from bot.core.actions import CloseTrack, MakePlan, ProposeBacklog, ReportBacklog, RunTask
from bot.core.ids import parse_marker
from bot.core.packet import ContextCompressor, Packet, PacketInput
from bot.core.planning import MergedPlan, PlanProposal, structured_merge
from bot.core.track import Track
from bot.core.values import Actor, Comment, Pull, Repo, Report
from bot.engine.pool import WorkerPool
from bot.engine.rows import Commit
from bot.engine.store import Delivery, Store
from bot.forges.github import GitHubForge
from bot.git.worktrees import WorktreeManager
from bot.jobs.backlog import ProposeBacklogJob, ReportBacklogJob
from bot.jobs.close import CloseJob
from bot.jobs.plan import PlanJob
from bot.jobs.reconcile import Reconciler
from bot.jobs.work import WorkJob
from bot.perform import Job
from bot.ports import DisposeProof
from bot.wiring import Bot
from tests.stories.healthy import HOSTILE

T = TypeVar("T")
Change = Callable[[Bot], None]


def twin(real: object, kind: type[T]) -> T:
    """Give an object of another class with the same insides: what `kind` does not override stays as it is."""
    assert issubclass(kind, type(real))
    made = kind.__new__(kind)
    made.__dict__.update(vars(real))
    return made


def job(bot: Bot, action: type[Any], kind: type[T]) -> T:
    found = bot.jobs[action]
    assert isinstance(found, kind)
    return found


def attempting(bot: Bot, **changes: Any) -> None:
    """Change what the runs of agents are made with."""
    work = job(bot, RunTask, WorkJob)
    bot.jobs[RunTask] = replace(work, attempts=replace(work.attempts, **changes))


def judging(bot: Bot, **changes: Any) -> None:
    """Change what the work of agents is judged by."""
    judge = job(bot, RunTask, WorkJob).attempts.judge
    attempting(bot, judge=replace(judge, **changes))


def nothing(_: Bot) -> None:
    """Take nothing away."""


# --- repeats, as a kill between an effect and its record makes them -----------------------------


class Stammering(GitHubForge):
    """Posts everything twice."""

    async def create_comment(self, repo: Repo, number: int, body: str, *, first: bool = False) -> int:
        await super().create_comment(repo, number, body, first=first)
        return await super().create_comment(repo, number, body)


class Forgetful(Stammering):
    """Posts everything twice and never looks whether it is there."""

    async def find_comment(self, repo: Repo, number: int, marker: str) -> Comment | None:
        return None


class Reckless(GitHubForge):
    """Opens a pull request without looking whether it is open."""

    async def _newest_pull(self, repo: Repo, head_branch: str, state: str) -> Pull | None:
        return None


def _twice(done: Job) -> Job:
    async def again(track: Track, action: Any) -> Any:
        await done(track, action)
        return await done(track, action)

    return again


def repeating(bot: Bot) -> None:
    """Do each effect twice; whatever is taken away later is taken away from both."""
    for action in (ProposeBacklog, ReportBacklog, RunTask, CloseTrack):
        bot.jobs[action] = _twice(bot.jobs[action])


def stammering(bot: Bot) -> None:
    bot.performer = replace(bot.performer, forge=twin(bot.forge, Stammering))


def forgetful(bot: Bot) -> None:
    bot.performer = replace(bot.performer, forge=twin(bot.forge, Forgetful))


def reckless(bot: Bot) -> None:
    bot.jobs[RunTask] = replace(job(bot, RunTask, WorkJob), forge=twin(bot.forge, Reckless))


# --- what comes in ------------------------------------------------------------------------------


def unaided(bot: Bot) -> None:
    """Let neither a timer nor a sweep find what was not heard: they do so after seconds, and a slow story would meet them."""
    bot.store.__class__ = Unreminded
    bot.reconciler = Unswept(bot.store, bot.forge, bot.clock)


class Unreminded(Store):
    """Keeps no timer but those that are due at once."""

    async def commit(self, change: Commit) -> bool:
        due = tuple(timer for timer in change.timers if timer.due_at <= self._clock.now())
        return await super().commit(replace(change, timers=due))


class Unswept(Reconciler):
    async def run(self) -> None:
        """Sweep never."""


def deaf_to(event: str) -> Change:
    class Deaf(Unreminded):
        async def add_delivery(self, delivery: Delivery) -> bool:
            return delivery.event != event and await super().add_delivery(delivery)

    def change(bot: Bot) -> None:
        unaided(bot)
        bot.store.__class__ = Deaf

    return change


class Credulous(Store):
    """Takes every delivery for a new one."""

    async def add_delivery(self, delivery: Delivery) -> bool:
        self.taken = getattr(self, "taken", 0) + 1
        return await super().add_delivery(replace(delivery, id=f"{delivery.id}-{self.taken}"))


def credulous(bot: Bot) -> None:
    bot.store = twin(bot.store, Credulous)


# --- what goes out ------------------------------------------------------------------------------


def saying(change: Callable[[str], str]) -> type[GitHubForge]:
    """A forge that hands on comments and pull requests changed; an empty one is not posted."""

    class Altered(GitHubForge):
        async def create_comment(self, repo: Repo, number: int, body: str, *, first: bool = False) -> int:
            said = change(body)
            return await super().create_comment(repo, number, said, first=first) if said else 0

        async def update_comment(self, repo: Repo, comment_id: int, body: str) -> None:
            if said := change(body):
                await super().update_comment(repo, comment_id, said)

        async def show_label(
            self, repo: Repo, issue: int, wanted: str | None, *, edit: object = None, **rest: Any
        ) -> bool:
            return await super().show_label(repo, issue, wanted, **rest)  # texts by the way above alone

        async def open_pull(self, repo: Repo, *, body: str, **rest: Any) -> Pull:
            return await super().open_pull(repo, body=change(body), **rest)

    return Altered


def posting(change: Callable[[str], str]) -> Change:
    def apply(bot: Bot) -> None:
        bot.performer = replace(bot.performer, forge=twin(bot.forge, saying(change)))

    return apply


def without(kind: str) -> Change:
    """Post no comment of a kind."""
    return posting(lambda body: "" if (m := parse_marker(body)) and m.kind == kind else body)


def without_state(bot: Bot) -> None:
    posting(lambda body: body.partition("<!-- gitwright:state")[0])(bot)


def unescaped(bot: Bot) -> None:
    def raw(body: str) -> str:
        for shown in (sanitize.escape(HOSTILE), sanitize.inline(HOSTILE), sanitize.fence(HOSTILE)):
            body = body.replace(shown, HOSTILE)
        return body

    posting(raw)(bot)


class Unlabelled(GitHubForge):
    async def show_label(self, repo: Repo, issue: int, wanted: str | None, **_: Any) -> bool:
        """Set no label."""
        return False


def unlabelled(bot: Bot) -> None:
    bot.performer = replace(bot.performer, forge=twin(bot.forge, Unlabelled))


class Motionless(GitHubForge):
    async def react(self, repo: Repo, subject: Any, id_: int, content: str) -> bool:
        """Set no reaction."""
        return False


def motionless(bot: Bot) -> None:
    bot.performer = replace(bot.performer, forge=twin(bot.forge, Motionless))


class Silent(GitHubForge):
    """Posts no receipt, and is sure to have read it."""

    async def create_comment(self, repo: Repo, number: int, body: str, *, first: bool = False) -> int:
        return 0

    async def find_comment(self, repo: Repo, number: int, marker: str) -> Comment | None:
        return Comment(id=1, author=Actor(1, "bot"), body=marker)


def without_receipt(bot: Bot) -> None:
    bot.jobs[CloseTrack] = replace(job(bot, CloseTrack, CloseJob), forge=twin(bot.forge, Silent))


def unmarked_pull(bot: Bot) -> None:
    forge = twin(bot.forge, saying(lambda body: body.partition("\n")[2]))
    bot.jobs[RunTask] = replace(job(bot, RunTask, WorkJob), forge=forge)


# --- the plan and the backlog -------------------------------------------------------------------


def one_planner(bot: Bot) -> None:
    plan = job(bot, MakePlan, PlanJob)
    bot.jobs[MakePlan] = replace(plan, planners=lambda config: plan.planners(config)[:1])


def one_after_the_other(bot: Bot) -> None:
    bot.jobs[MakePlan] = replace(job(bot, MakePlan, PlanJob), pool=WorkerPool({"planners": 1}))


def first_proposal(bot: Bot) -> None:
    def merge(proposals: list[PlanProposal], **rest: Any) -> MergedPlan:
        return structured_merge(proposals[:1], **rest)

    bot.jobs[MakePlan] = replace(job(bot, MakePlan, PlanJob), merge=merge)


class Blind(ContextCompressor):
    def compress(self, given: PacketInput, limit: int = 0) -> Packet:
        """See nothing of the issue and the repository."""
        return Packet("Do it.\n")


def blind_compressor(bot: Bot) -> None:
    bot.jobs[ProposeBacklog] = replace(job(bot, ProposeBacklog, ProposeBacklogJob), compressor=Blind())


def without_check(bot: Bot) -> None:
    async def report(_track: Track, _action: ReportBacklog) -> None:
        """Say nothing."""

    bot.jobs[ReportBacklog] = report


class Lenient(GitHubForge):
    async def set_check(self, repo: Repo, sha: str, report: Report, **rest: Any) -> int:
        """Find every file valid."""
        return await super().set_check(repo, sha, replace(report, conclusion="success"), **rest)


def without_validation(bot: Bot) -> None:
    report = job(bot, ReportBacklog, ReportBacklogJob)
    bot.jobs[ReportBacklog] = replace(report, forge=twin(bot.forge, Lenient))


# --- what is left behind ------------------------------------------------------------------------


class Untidy(WorktreeManager):
    async def cleanup(self, id_: str) -> list[str]:
        """Remove nothing and say that it is gone."""
        return []


def untidy(bot: Bot) -> None:
    attempting(bot, worktrees=twin(bot.worktrees, Untidy))


def left_by_a_kill(bot: Bot) -> None:
    """Leave what a killed process leaves: the folders of a session and of a worktree."""
    for name in ("sessions", "tasks"):
        (bot.settings.data_dir / name / "of-a-dead-process" / "wt").mkdir(parents=True)


def keeps_dead_worktrees(bot: Bot) -> None:
    bot.worktrees = twin(bot.worktrees, Untidy)


def keeps_dead_sessions(bot: Bot) -> None:
    bot.sessions = replace(bot.sessions, delete=_keep)


def _with_sessions(bot: Bot, sessions: Sessions) -> None:
    bot.jobs[MakePlan] = replace(job(bot, MakePlan, PlanJob), sessions=sessions)
    attempting(bot, sessions=sessions)


def _keep(_: Path) -> None:
    """Delete nothing."""


def _believe(folder: Path) -> DisposeProof:
    return DisposeProof((f"path {folder}",), ())


def keeps_sessions(bot: Bot) -> None:
    _with_sessions(bot, replace(bot.sessions, delete=_keep))


def believes_deletion(bot: Bot) -> None:
    _with_sessions(bot, replace(bot.sessions, delete=_keep, prove=_believe))


def proves_nothing(bot: Bot) -> None:
    _with_sessions(bot, replace(bot.sessions, prove=lambda _: DisposeProof((), ())))
