"""Owns looking at open pull requests that are red, behind or in conflict, and rebasing them without an agent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot import points
from bot.core.actions import AssessTask, RebaseTask
from bot.core.checks import rollup
from bot.core.events import TaskAssessed, TaskRebased
from bot.core.messages_pulls import commit_message
from bot.core.rebasing import Situation
from bot.core.sanitize import fence, redact
from bot.core.track import TaskTrack, Track
from bot.core.values import Check
from bot.errors import RetryableError, StaleRefError
from bot.jobs.ground import merged, others, recorded, tip_of
from bot.jobs.manners import Reader
from bot.jobs.publish import Publisher
from bot.jobs.repository import Repositories
from bot.ports import Forge, Mirror

EVIDENCE = 3_000  # characters of what failed checks say
LOGS = 3  # of failed jobs that are read: each costs two calls


@dataclass(frozen=True, slots=True)
class AssessJob:
    """Gathers what RebaseEngine decides on for a pull request that people can see."""

    repositories: Repositories
    forge: Forge

    async def __call__(self, track: Track, action: AssessTask) -> TaskAssessed | None:
        task = track.task(action.task)
        if task is None or task.attempt != action.attempt or task.head_sha != action.head_sha:
            return None
        mirror = await self.repositories.fresh(track.repo)
        head = await mirror.resolve(task.branch)
        if head != action.head_sha:
            return None  # it has moved: its checks will be announced
        tip = await tip_of(mirror, track)
        clean, real = await _conflicts(mirror, track, tip, head)
        if action.only_conflicts and not (clean or real):
            return None
        red = [] if action.only_conflicts else await self._red(track, head)
        people = await others(mirror, tip, head, await self.forge.author(track.repo))
        behind = len(await mirror.commits(head, tip))
        names = tuple(check.name for check in red)
        seen = Situation(
            where="after_push",
            red=bool(red),
            failing=names,
            fails_on_base=await self._fails_on_base(track, tip, names),
            conflicts=(*clean, *real),
            mechanical=clean,
            behind=behind,
            rebased_onto_tip=behind == 0,
            people=bool(people),
            may_rebase=track.config.rebase != "never",
        )
        output = "\n\n".join(_said(check, EVIDENCE // len(red)) for check in red)
        return TaskAssessed(
            task=task.id,
            attempt=task.attempt,
            run=task.run,
            head_sha=head,
            tip=tip,
            situation=seen,
            text=_text(track, names, real or clean),
            details=fence(output) if output else "",
            output=output,
        )

    async def _red(self, track: Track, head: str) -> list[Check]:
        checks = await self.forge.checks(track.repo, head)
        seen = rollup(checks, [], None)
        failed = seen.names if seen.verdict == "red" else ()
        red = [check for check in checks if check.name in failed and not check.ours]
        return [await self._with_log(track, check) for check in red[:LOGS]] + red[LOGS:]

    async def _with_log(self, track: Track, check: Check) -> Check:
        """Add the end of the job's log to a check of GitHub Actions, which says nothing at length by itself."""
        if not check.job or check.text:
            return check
        return replace(check, text=await self.forge.job_log(track.repo, check.job))

    async def _fails_on_base(self, track: Track, tip: str, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            return ()
        base = rollup(await self.forge.checks(track.repo, tip), [], None)
        return tuple(name for name in names if base.verdict == "red" and name in base.names)


@dataclass(frozen=True, slots=True)
class RebaseJob:
    """Puts a branch onto the default branch's head: merge-tree and commit-tree, no checkout, no agent."""

    repositories: Repositories
    forge: Forge

    async def __call__(self, track: Track, action: RebaseTask) -> TaskRebased | TaskAssessed | None:
        task = track.task(action.task)
        if task is None or task.attempt != action.attempt or task.state == "running":
            return None
        mirror = await self.repositories.fresh(track.repo)
        head, tip = await mirror.resolve(task.branch), await tip_of(mirror, track)
        if head is None:
            return None  # somebody deleted it
        if head != action.head_sha:
            # After a kill it is done already; else somebody pushed, and what they pushed is looked at.
            onto = await mirror.merge_base(tip, head) or ""
            return TaskRebased(task=task.id, attempt=task.attempt, head_sha=head, onto=onto)
        if await mirror.merge_base(tip, head) == tip:
            return TaskRebased(task=task.id, attempt=task.attempt, head_sha=head, onto=tip)  # it stands there
        tree, conflicts = await merged(mirror, track, tip, head)
        if conflicts:
            # The default branch moved since this was decided, or a person asked for it.
            look = AssessTask(task=task.id, attempt=task.attempt, head_sha=head)
            seen = await AssessJob(self.repositories, self.forge)(track, look)
            return replace(seen, situation=replace(seen.situation, may_rebase=True)) if seen else None
        sha = await self._commit(track, task, mirror, tree, tip, head)
        await mirror.anchor(f"tasks/{track.id}/{task.id}-a{task.attempt}", sha)
        try:
            sha = await Publisher(self.forge).push(track.repo, mirror, sha, task.branch, head)
        except StaleRefError as error:
            raise RetryableError(str(error)) from error
        points.reached("rebase-pushed")
        return TaskRebased(task=task.id, attempt=task.attempt, head_sha=sha, onto=tip)

    async def _commit(
        self, track: Track, task: TaskTrack, mirror: Mirror, tree: str, tip: str, head: str
    ) -> str:
        """Squash the bot's own commits onto the tip; where a person's are among them, merge the tip into the branch."""
        own = await mirror.commits(tip, head)
        manners = await Reader(self.forge)(track.repo, mirror, tip)
        people = await others(mirror, tip, head, manners.bot)
        final = await mirror.write_tree(tree, await _own_lines(mirror, track, task, tip, head))
        # The date of what is rebased: the same work on the same base is the same commit.
        when: datetime = own[0].when
        parents = (head, tip) if people else (tip,)
        message = commit_message(track, task, manners.bot, manners.style)
        return await mirror.commit_tree(final, parents, message, manners.bot, when)


async def _own_lines(
    mirror: Mirror, track: Track, task: TaskTrack, tip: str, head: str
) -> dict[str, bytes | None]:
    """Give the host's files as the branch is to have them: the base's bytes with the branch's own lines."""
    path, spec = f"{track.folder}/BACKLOG.yaml", f"{track.folder}/specs/{task.id}.md"
    texts = await mirror.read_many(tip, [path])
    specs = await mirror.read_many(head, [spec])
    files: dict[str, bytes | None] = {**specs}
    if path in texts:
        text = texts[path].decode(errors="replace")
        files[path] = recorded(track, task.id, text).encode()
    return files


async def _conflicts(
    mirror: Mirror, track: Track, tip: str, head: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tell conflicts that the host resolves by itself from those that somebody must look at."""
    _, every = await mirror.merge_tree(tip, head)
    _, real = await merged(mirror, track, tip, head)
    return tuple(path for path in every if path not in real), real


def _said(check: Check, limit: int) -> str:
    """Give what a failed check says, the short of it and the end of the rest: without secrets, also where it is cut."""
    short = redact(f"{check.name}: {check.summary}" + (f" ({check.url})" if check.job else ""))[:limit]
    rest = redact(check.text)
    room = limit - len(short) - 2
    return f"{short}\n\n{rest[-room:]}" if rest and room > 0 else short


def _text(track: Track, failing: tuple[str, ...], conflicts: tuple[str, ...]) -> str:
    parts = []
    if failing:
        parts.append(f"checks failed: {', '.join(failing[:5])}")
    if conflicts:
        names = ", ".join(conflicts[:5])
        parts.append(f"it conflicts with {track.repo.default_branch} in {names}")
    return "; ".join(parts) or f"it is behind {track.repo.default_branch}"
