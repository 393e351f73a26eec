"""Owns a task's run from the order to its pull request: made once, published once, whatever is killed in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from bot import points
from bot.core import messages_pulls, pull_template
from bot.core.actions import RunTask
from bot.core.events import PushAsked, TaskAssessed, TaskFailed, TaskProposed
from bot.core.ids import Marker, parse_marker
from bot.core.sanitize import code
from bot.core.secret_values import Needles
from bot.core.track import OPEN_PULL, TaskTrack, Track
from bot.core.values import Pull
from bot.engine.firsts import is_first
from bot.engine.small_ids import made_key
from bot.engine.store import Store
from bot.errors import PushRefusedError, StaleRefError
from bot.jobs import gate
from bot.jobs.attempt import Attempts
from bot.jobs.contract import Stop
from bot.jobs.ground import clashes
from bot.jobs.judge import MADE, Made
from bot.jobs.manners import Reader, template
from bot.jobs.manners import owners as find_owners
from bot.jobs.notes import Notes
from bot.jobs.publish import Publisher, published
from bot.jobs.repository import Repositories
from bot.live_secrets import LIVE
from bot.ports import Forge, Mirror


@dataclass(frozen=True, slots=True)
class WorkJob:
    """Runs a coding agent on one task, and opens or updates its pull request with what is fit to be shown."""

    store: Store
    repositories: Repositories
    forge: Forge
    attempts: Attempts
    live: Callable[[], Collection[str]] = LIVE  # the secrets that nothing may carry away

    async def __call__(
        self, track: Track, action: RunTask
    ) -> TaskProposed | TaskFailed | TaskAssessed | PushAsked | None:
        task = track.task(action.task)
        if (
            task is None
            or task.state != "running"
            or (task.attempt, task.run) != (action.attempt, action.run)
        ):
            return None  # people decided otherwise meanwhile
        mirror = await self.repositories.fresh(track.repo)
        try:
            # Without the database the pushed branch is what is left of a run.
            made = await self._remembered(track, task) or await self.attempts.left(
                track, task, action, mirror
            )
            if made is None:
                made = await self.attempts.make(track, task, action, mirror)
                points.reached("work-made")
                await self._remember(track, task, made)
                points.reached("work-remembered")
            if made.situation is not None and action.mode != "publish":
                return _assessed(task, action, made)
            ask = await gate.asked(track, task, mirror, made)
            if ask is not None:
                return ask
            try:
                return await self._publish(track, task, action, mirror, made)
            except PushRefusedError as error:
                return await gate.refused(track, task, mirror, made, error)
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

    async def _publish(
        self, track: Track, task: TaskTrack, action: RunTask, mirror: Mirror, made: Made
    ) -> TaskProposed:
        # After a kill it may be there already, and people may have merged or closed it meanwhile.
        first = task.pull is None and await is_first(self.store, track, f"pull {task.branch}")
        left_out = False
        pull = None if first else await self.forge.find_pull(track.repo, task.branch)
        notes: tuple[str, ...] = (
            made.tests,
            *made.route,
            *made.drift,
            *(f"outside scope: {path}" for path in made.outside),
        )
        if pull is None or not await self._is_ours(track, task, pull):
            pull = await self._open(track, task, mirror, made)
        elif pull.state == "open":
            pull, left_out = await self._update(track, task, mirror, made, pull)
        ours = await published(mirror, made.sha, made.tip, pull.head_sha)
        return TaskProposed(
            task=task.id,
            attempt=task.attempt,
            run=action.run,
            pull=pull.number,
            branch=task.branch,
            head_sha=pull.head_sha,
            verified=made.tests if pull.head_sha == ours else "",
            usage=made.usage,
            notes=tuple(note for note in notes if note),
            outside=made.outside,
            unheard=await Notes(self.store, track, task).unheard(),
            left_out=left_out,
        )

    async def _is_ours(self, track: Track, task: TaskTrack, pull: Pull) -> bool:
        mine = Marker("task", track.id, task.id, task.attempt)
        return parse_marker(pull.body) == mine and pull.author.id in await self.forge.bot_ids(track.repo)

    async def _open(self, track: Track, task: TaskTrack, mirror: Mirror, made: Made) -> Pull:
        body = await self._body(track, task, mirror, made)
        try:
            head = await self._push(track, task, mirror, made.sha, None)
        except StaleRefError as error:
            text = f"the branch {code(task.branch)} exists already and is somebody else's"
            raise Stop("branch", text, usage=made.usage) from error
        points.reached("branch-pushed")
        manners = await Reader(self.forge)(track.repo, mirror, made.tip)
        pull = await self.forge.open_pull(
            track.repo,
            head=task.branch,
            base=track.repo.default_branch,
            title=messages_pulls.pull_title(task, manners.style),
            body=body,
            draft=track.config.draft,
        )
        points.reached("pull-opened")
        return replace(pull, head_sha=head)

    async def _update(
        self, track: Track, task: TaskTrack, mirror: Mirror, made: Made, pull: Pull
    ) -> tuple[Pull, bool]:
        """Move the branch from the head that the track knows; where somebody pushed meanwhile, theirs stands.

        Tell whether the run's work was left out for that.

        That head stays as it was while the task runs; what the run began from may be an earlier run's work, which
        nobody has seen. After a kill the branch, or the text as well, may have been changed already.
        """
        head, fresh = made.sha, await self._body(track, task, mirror, made)
        if pull.head_sha != made.sha:
            try:
                expected = task.head_sha or task.from_sha
                head = await self._push(track, task, mirror, made.sha, expected)
            except StaleRefError:
                return pull, not await published(mirror, made.sha, made.tip, pull.head_sha)
        body = pull_template.keep_ticks(pull.body, fresh)
        if pull.body.strip() != body.strip():
            await self.forge.update_pull(track.repo, pull.number, body=body)
        return replace(pull, head_sha=head), False

    async def _push(
        self, track: Track, task: TaskTrack, mirror: Mirror, sha: str, expected: str | None
    ) -> str:
        await mirror.anchor(gate.anchor(track, task), sha)
        return await Publisher(self.forge).push(track.repo, mirror, sha, task.branch, expected)

    async def _body(self, track: Track, task: TaskTrack, mirror: Mirror, made: Made) -> str:
        owners_file, owners = await find_owners(track, mirror, made)
        shown = messages_pulls.Shown(
            said=made.said,
            acceptance=made.acceptance,
            outside=made.outside,
            dependencies=made.dependencies,
            tests=made.tests,
            sandbox=self.attempts.sandbox.level,
            kind=self.attempts.sandbox.name,
            agent=made.agent,
            route=made.route,
            conflicts=await self._forecast(track, task, mirror, made),
            flaky=made.situation.flaky if made.situation else (),
            owners=owners,
            owners_file=owners_file,
            look=made.look,
            refused=made.refused,
            template=await template(mirror, made.tip),
        )
        body = messages_pulls.task_pull(track, task, shown)
        if Needles(self.live()).hit(f"{task.title}\n{body}".encode("utf-8", "replace")):
            # Nothing is pushed either: where the text knows a secret, so may the commit, in a way that nobody found.
            raise Stop("refused", "the text of its pull request holds a secret of this bot", usage=made.usage)
        return body

    async def _forecast(
        self, track: Track, task: TaskTrack, mirror: Mirror, made: Made
    ) -> dict[int, list[str]]:
        """Say with which open pull requests of the track this one conflicts, whoever is merged first."""
        found: dict[int, list[str]] = {}
        for other in track.tasks:
            if other.id == task.id or other.pull is None or other.state not in OPEN_PULL:
                continue
            if not other.head_sha or await mirror.resolve(other.head_sha) is None:
                continue
            theirs = await clashes(mirror, made.base, made.sha, other.head_sha, track.config.tasks_dir)
            if theirs:
                found[other.pull] = theirs
        return found

    async def _remember(self, track: Track, task: TaskTrack, made: Made) -> None:
        await self.store.put_id(_key(track, task), json.dumps(MADE.dump_python(made, mode="json")))

    async def _remembered(self, track: Track, task: TaskTrack) -> Made | None:
        """After a kill between the commit and the pull request the very same commit is published."""
        text = await self.store.get_id(_key(track, task))
        return MADE.validate_json(text) if text else None


def _assessed(task: TaskTrack, action: RunTask, made: Made) -> TaskAssessed:
    assert made.situation is not None
    return TaskAssessed(
        task=task.id,
        attempt=task.attempt,
        run=action.run,
        head_sha=made.sha,
        tip=made.tip,
        situation=made.situation,
        text=made.text,
        details=made.details,
        output=made.output,
        outside=made.outside,
        usage=made.usage,
    )


def _key(track: Track, task: TaskTrack) -> str:
    return made_key(track.key, task.id, task.attempt, task.run)
