"""Owns a task's run: a fresh base, an agent in a sandbox, tests in another, a commit, a pull request, no leftovers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import structlog

from bot import prompts
from bot.agents.sessions import Sessions
from bot.core import backlog as backlog_file
from bot.core import messages_pulls, policy
from bot.core.actions import RunTask
from bot.core.backlog import BacklogTask
from bot.core.config import NO_TEST, RepoConfig
from bot.core.events import TaskFailed, TaskProposed
from bot.core.health import newly_failing
from bot.core.ids import Marker, parse_marker
from bot.core.sanitize import code, fence, plain, redact
from bot.core.testing import commands_for, summary
from bot.core.track import TaskTrack, Track
from bot.core.values import Pull, Usage
from bot.engine.store import Store
from bot.errors import AgentError, RetryableError, StaleRefError, UserError
from bot.jobs.contract import Contracts, Stop
from bot.jobs.repository import Repositories
from bot.jobs.verify import Verification, Verifier
from bot.jobs.verify import policy as sandbox_policy
from bot.ports import (
    Clock,
    Coder,
    Forge,
    Identity,
    Ingested,
    Mirror,
    Sandbox,
    WorkOrder,
    WorkReport,
    Worktree,
    Worktrees,
)

_log = structlog.get_logger(__name__)

EVIDENCE = 3_000  # characters of a test run's end that people are shown


@dataclass(frozen=True, slots=True)
class _Made:
    """What a run made: enough to open its pull request, also after a restart."""

    sha: str
    title: str
    body: str
    usage: Usage
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkJob:
    """Runs a coding agent on one task and opens its pull request."""

    store: Store
    repositories: Repositories
    forge: Forge
    worktrees: Worktrees
    sandbox: Sandbox
    verifier: Verifier
    sessions: Sessions
    coders: dict[str, Coder]
    author: Identity
    clock: Clock
    contracts: Contracts = field(default_factory=Contracts)
    protected: Callable[[Sequence[str], Sequence[str], str], tuple[str, ...]] = policy.protected
    new_secrets: Callable[[Mapping[str, bytes], Mapping[str, bytes]], tuple[tuple[str, int, str], ...]] = (
        policy.new_secrets
    )

    async def __call__(self, track: Track, action: RunTask) -> TaskProposed | TaskFailed | None:
        task = track.task(action.task)
        if task is None or task.attempt != action.attempt or task.state != "running":
            return None  # people decided otherwise meanwhile
        mirror = await self.repositories.fresh(track.repo)
        try:
            made = await self._remembered(track, task) or await self._make(track, task, action, mirror)
            return await self._publish(track, task, action, mirror, made)
        except Stop as stop:
            return TaskFailed(
                task=task.id,
                attempt=task.attempt,
                run=action.run,
                reason=stop.reason,
                text=stop.text,
                details=stop.details,
                usage=stop.usage,
            )

    # --- making ----------------------------------------------------------------------------------

    async def _make(self, track: Track, task: TaskTrack, action: RunTask, mirror: Mirror) -> _Made:
        base = await mirror.resolve(track.repo.default_branch)
        if base is None:
            raise RetryableError(f"the branch {track.repo.default_branch} cannot be found")
        text, written = await self.contracts.read(track, task, mirror, base)
        id_ = f"{track.key.replace('/', '-')}-{task.id}"
        worktree = await self.worktrees.create(mirror, id_, base)
        try:
            report = await self._agent(track, task, action, mirror, worktree, written)
            ingested = await self._ingest(track, task, worktree, text, report)
        finally:
            await self._clean(id_)
        outside = await self._judge(track, task, mirror, base, ingested, report)
        tests = await self._verify(track, written, mirror, f"{id_}-verify", str(ingested.sha), report)
        made = _Made(
            sha=str(ingested.sha),
            title=plain(f"{task.id}: {task.title}"),
            body=messages_pulls.task_pull(
                track,
                task,
                said=redact(report.said),
                acceptance=written.acceptance,
                outside=outside,
                tests=tests,
                sandbox=self.sandbox.level,
                agent=self._coder(track.config).name,
            ),
            usage=report.usage,
            notes=(tests, *(f"outside scope: {path}" for path in outside)),
        )
        await self._remember(track, task, made)
        return made

    def _coder(self, config: RepoConfig) -> Coder:
        name = config.agent if isinstance(config.agent, str) else "custom"
        if name not in self.coders:
            raise Stop("agent", f"there is no agent `{name}`; known are {', '.join(sorted(self.coders))}")
        return self.coders[name]

    async def _agent(
        self,
        track: Track,
        task: TaskTrack,
        action: RunTask,
        mirror: Mirror,
        worktree: Worktree,
        written: BacklogTask,
    ) -> WorkReport:
        coder = self._coder(track.config)
        async with self.sessions.open("coder", track.key, task.id) as session:
            order = WorkOrder(
                track=track.id,
                task=task.id,
                title=task.title,
                prompt=prompts.worker(
                    title=task.title,
                    context=written.context,
                    scope=task.scope,
                    acceptance=written.acceptance,
                    test=written.test,
                ),
                scope=task.scope,
                run=action.run,
                worktree=worktree.path,
                session=session.id,
                state_dir=session.dir,
                timeout=track.config.limits.task_minutes * 60.0,
            )
            shown = replace(sandbox_policy(worktree, mirror, self.verifier.path), home=session.home)
            try:
                async with self.sandbox.open(shown) as box:
                    return await coder.work(order, box)
            except AgentError as error:
                raise Stop(error.reason, str(error)) from error

    async def _ingest(
        self, track: Track, task: TaskTrack, worktree: Worktree, backlog_text: str, report: WorkReport
    ) -> Ingested:
        path = f"{track.folder}/BACKLOG.yaml"
        done = backlog_file.set_status(backlog_text, task.id, "done")
        message = f"{plain(task.title)}\n\nTask {task.id} of {track.id}, part of #{track.issue}."
        try:
            ingested = await worktree.ingest(message, self.author, self.clock.now(), {path: done.encode()})
        except UserError as error:
            raise Stop("refused", str(error), usage=report.usage) from error
        if not set(ingested.changed) - {path}:
            raise Stop("no_change", "the agent ended without changing anything", usage=report.usage)
        return ingested

    async def _judge(
        self, track: Track, task: TaskTrack, mirror: Mirror, base: str, ingested: Ingested, report: WorkReport
    ) -> tuple[str, ...]:
        """Refuse protected paths and secrets; name what lies outside the scope."""
        sha, folder = str(ingested.sha), f"{track.folder}/"
        changed = [path for path in ingested.changed if path != f"{folder}BACKLOG.yaml"]
        protected = self.protected(changed, track.config.protected_paths, track.config.tasks_dir)
        if protected:
            names = ", ".join(code(path) for path in protected)
            raise Stop("protected", f"it changed protected files: {names}", usage=report.usage)
        after = await mirror.read_many(sha, changed)
        before = await mirror.read_many(base, changed)
        secrets = self.new_secrets(before, after)
        if secrets:
            lines = "\n".join(f"- {code(path)} line {line}: {kind}" for path, line, kind in secrets)
            raise Stop("secret", "the change holds what looks like a secret", lines, report.usage)
        outside = policy.outside(changed, task.scope)
        if outside and track.config.outside_scope == "stop":
            names = ", ".join(f"`{path}`" for path in outside)
            raise Stop("outside_scope", f"it changed files outside its scope: {names}", usage=report.usage)
        return outside

    async def _verify(
        self, track: Track, written: BacklogTask, mirror: Mirror, id_: str, sha: str, report: WorkReport
    ) -> str:
        """Run the task's tests, and the repository's, on exactly the commit that would be pushed."""
        files = [file.path for file in await mirror.files(sha)]
        of_repository = commands_for(track.config, files, written.scope.paths)
        commands = list(dict.fromkeys(c for c in (written.test, *of_repository) if c))
        if not commands:
            off = track.config.test == NO_TEST
            return "none: tests are switched off" if off else "none: this repository has no test command"
        said = []
        for command in commands:
            seen = await self.verifier.run(mirror, id_, sha, command)
            self._red(track, command, seen, report)
            said.append(f"`{command}` ({summary(seen.result)})")
        return "; ".join(said)

    def _red(self, track: Track, command: str, seen: Verification, report: WorkReport) -> None:
        if seen.result.state == "green":
            return
        new = newly_failing(seen.result, track.known_failing)
        if seen.result.state == "red" and seen.result.failed and not new:
            return  # verdicts are relative to the baseline
        details = fence(redact(seen.output[-EVIDENCE:]))
        names = f": {', '.join(f'`{name}`' for name in new[:5])}" if new else ""
        raise Stop(
            "tests",
            f"`{command}` is {seen.result.state.replace('_', ' ')} after its work{names}",
            details,
            report.usage,
        )

    async def _clean(self, id_: str) -> None:
        left = await self.worktrees.cleanup(id_)
        if left:
            _log.error("worktree_left_behind", worktree=id_, left=left)

    # --- publishing ------------------------------------------------------------------------------

    async def _publish(
        self, track: Track, task: TaskTrack, action: RunTask, mirror: Mirror, made: _Made
    ) -> TaskProposed:
        # After a kill it may be there already, and people may have merged or closed it meanwhile.
        pull = await self.forge.find_pull(track.repo, task.branch)
        if pull is None or not await self._is_ours(track, task, pull):
            pull = await self._open(track, task, mirror, made)
        return TaskProposed(
            task=task.id,
            attempt=task.attempt,
            run=action.run,
            pull=pull.number,
            branch=task.branch,
            head_sha=pull.head_sha,
            usage=made.usage,
            notes=made.notes,
        )

    async def _is_ours(self, track: Track, task: TaskTrack, pull: Pull) -> bool:
        mine = Marker("task", track.id, task.id, task.attempt)
        return parse_marker(pull.body) == mine and pull.author.id in await self.forge.bot_ids(track.repo)

    async def _open(self, track: Track, task: TaskTrack, mirror: Mirror, made: _Made) -> Pull:
        await mirror.anchor(f"tasks/{track.id}/{task.id}-a{task.attempt}", made.sha)
        try:
            async with self.forge.git_access(track.repo, write=True) as access:
                await mirror.push(access, made.sha, task.branch, None)
        except StaleRefError as error:
            text = f"the branch {code(task.branch)} exists already and is somebody else's"
            raise Stop("branch", text, usage=made.usage) from error
        return await self.forge.open_pull(
            track.repo,
            head=task.branch,
            base=track.repo.default_branch,
            title=made.title,
            body=made.body,
            draft=track.config.draft,
        )

    async def _remember(self, track: Track, task: TaskTrack, made: _Made) -> None:
        await self.store.put_id(_key(track, task), json.dumps(asdict(made)))

    async def _remembered(self, track: Track, task: TaskTrack) -> _Made | None:
        """After a kill between the commit and the pull request the very same commit is published."""
        text = await self.store.get_id(_key(track, task))
        if text is None:
            return None
        data = json.loads(text)
        return _Made(**{**data, "usage": Usage(**data["usage"]), "notes": tuple(data["notes"])})


def _key(track: Track, task: TaskTrack) -> str:
    return f"{track.key}:{task.id}-a{task.attempt}-r{task.run}:made"
