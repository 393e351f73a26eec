"""Owns judging a commit before anybody sees it: what it touches, secrets, markers, tests, and how messy its run was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from bot.core import dependencies, leases, messy, policy
from bot.core.backlog import BacklogTask
from bot.core.drift import Step
from bot.core.policy import Ground, Refusal, Secrets
from bot.core.rebasing import Situation
from bot.core.sanitize import code
from bot.core.second_look import second_look
from bot.core.secret_values import Needles
from bot.core.track import TRACKS, TaskTrack, Track
from bot.core.values import TreeChange, TreeFile, Usage
from bot.engine.store import Store
from bot.errors import RetryableError, SandboxError
from bot.jobs.carried import Finder, carried
from bot.jobs.contract import Stop
from bot.jobs.ground import marked
from bot.jobs.trial import Trial, Tried
from bot.jobs.verify import Verifier
from bot.live_secrets import LIVE
from bot.ports import Mirror


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
    dependencies: tuple[str, ...] = ()  # manifests and lock files that it changed
    messy: float = 0.0
    acceptance: tuple[str, ...] = ()
    agent: str = ""
    route: tuple[str, ...] = ()  # why this class of model
    drift: tuple[str, ...] = ()  # what has changed since the plan
    look: tuple[str, ...] = ()  # what deserves a second look, in Markdown
    refused: tuple[str, ...] = ()  # hosts that the task's agents asked for in vain, in any run
    situation: Situation | None = None
    text: str = ""
    details: str = ""
    output: str = ""


_Files = Mapping[str, bytes]  # by path
_LARGEST = (
    64 << 20
)  # bytes of a file that is looked into: ingest takes none that is larger, but for the base's own

MADE: TypeAdapter[Made] = TypeAdapter(Made)


@dataclass(frozen=True, slots=True)
class Seen:
    """What else is known of the run: the contract, its steps, every path that it changed, what had been in conflict."""

    mirror: Mirror
    written: BacklogTask
    trace: tuple[Step, ...] = ()
    changed: Sequence[str] = ()
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judge:
    """Says of a commit what is wrong with it; nothing where it may be shown."""

    verifier: Verifier
    store: Store
    elsewhere: Finder  # finds those of the broker, which this process does not know
    live: Callable[[], Collection[str]] = LIVE  # the secrets that nothing may carry away
    protected: Callable[[Sequence[TreeChange], Ground], tuple[Refusal, ...]] = policy.refusals
    contents: Callable[[_Files, _Files], tuple[Refusal, ...]] = policy.content_refusals
    new_secrets: Callable[[_Files, _Files, Needles], Secrets] = policy.new_secrets
    messy_score: Callable[[messy.RunFeatures], float] = messy.messy_score
    patience: float = 120.0  # seconds for looking into what a change holds
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    async def judged(self, track: Track, task: TaskTrack, made: Made, seen: Seen) -> Made:
        """Judge it in this order: protected paths, secrets, scope, conflict markers, tests, messiness."""
        stat = await seen.mirror.diff_stat(made.base, made.sha)
        folder = f"{track.config.tasks_dir}/"
        lines = {path: plus + minus for path, plus, minus in stat if not path.startswith(folder)}
        made = await self._looked_at(track, seen, made, list(lines))
        if made.situation is not None:
            return made
        outside = policy.outside(list(lines), task.scope)
        if outside:
            await self._allowed(track, task, made, outside)
        after = await seen.mirror.read_many(made.sha, seen.conflicts)
        if marked(list(after.values())):
            wrong = Situation(where="before_push", conflicts=seen.conflicts, conflict_persists=True)
            return replace(made, situation=wrong, text="conflict markers are left in its files")
        trial = Trial(self.verifier, track, seen.mirror, f"{track.slug}-{task.id}-verify")
        tried = await trial.run(seen.written, made.sha, made.base)
        there = {file.path for file in await seen.mirror.files(made.base)}
        features = messy.features_of(
            seen.trace,
            changed=list(lines),
            added=[path for path in lines if path not in there],
            diff_lines=sum(lines.values()),
            outside=outside,
        )
        score = self.messy_score(features)
        judged = replace(
            made,
            outside=outside,
            dependencies=dependencies.changed(lines),
            messy=score,
            tests=tried.said,
        )
        return _situated(judged, tried, score)

    async def _allowed(self, track: Track, task: TaskTrack, made: Made, outside: Sequence[str]) -> None:
        """Stop where the settings or somebody's lease, as it is now, forbid what is outside of the scope."""
        names = ", ".join(map(code, outside))
        if track.config.outside_scope == "stop":
            raise Stop("outside_scope", f"it changed files outside its scope: {names}", usage=made.usage)
        stored = await self.store.load(track.key)
        now = TRACKS.validate_python(stored.state) if stored else track
        others = await self.store.others_leases(track.key)
        lease = leases.in_the_way(replace(now, foreign=others.leases), task.id, outside)
        if lease is not None:
            text = f"it changed files outside its scope while {lease.holder} holds some of them: {names}"
            raise Stop("outside_scope", text, usage=made.usage)

    async def _looked_at(self, track: Track, seen: Seen, made: Made, paths: Sequence[str]) -> Made:
        """Find what may not be changed and secrets, else what deserves a second look.

        What the agent changed in the host's folder counts as well.
        """
        config, mirror = track.config, seen.mirror
        old, new = await mirror.files(made.base), await mirror.files(made.sha)
        wanted = dict.fromkeys([*paths, *seen.changed])
        known = {change.path: change for change in await mirror.changes(made.base, made.sha)}
        changes = [known.get(path, TreeChange(path)) for path in wanted]
        tree = frozenset(file.path for file in old)
        ground = Ground(seen.written.scope.paths, config.protected_paths, config.tasks_dir, tree)
        before, after = await mirror.contents(_of(old, paths)), await mirror.contents(_of(new, paths))
        texts = {
            "the names of its files": "\n".join(wanted),
            "the commit's message": await mirror.message(made.sha),
            "what the agent says": made.said,
        }
        # Seconds for a large change, and bounded with what is taken in: no webhook and no other task waits for it.
        await self.turns.acquire()
        looking = asyncio.create_task(
            asyncio.to_thread(self._verdict, made, changes, ground, before, after, texts)
        )
        looking.add_done_callback(self._looked)
        try:
            async with asyncio.timeout(self.patience):
                looked = await asyncio.shield(looking)
        except TimeoutError as error:
            said = f"it could not be looked into within {self.patience:g} seconds: it is too large"
            raise Stop("refused", said, usage=made.usage) from error
        try:
            secrets = () if looked.situation else await carried(self.elsewhere, before, after, texts)
        except RetryableError as error:
            # Each try is a whole run of the agent, so there are as few as where a box fails.
            raise SandboxError(str(error)) from error
        return _betrayed(made, secrets) if secrets else looked

    def _looked(self, looking: asyncio.Task[Made]) -> None:
        """Give the turn to the next one: only now, since a thread goes on where nobody waits for it any more."""
        self.turns.release()
        if not looking.cancelled():
            looking.exception()  # raised where it is waited for

    def _verdict(
        self,
        made: Made,
        changes: Sequence[TreeChange],
        ground: Ground,
        before: _Files,
        after: _Files,
        texts: Mapping[str, str],
    ) -> Made:
        """Judge what a change holds by nothing but this; in a thread of its own."""
        live = Needles(self.live())
        found = {where: policy.secrets_in(text, where, live) for where, text in texts.items()}
        if named := found["the names of its files"]:
            return _betrayed(made, named)
        refused = self.protected(changes, ground) or self.contents(before, after)
        if refused:
            return _refused(made, refused)
        secrets = self.new_secrets(before, after, live)
        secrets += tuple(each for some in found.values() for each in some)
        if secrets:
            return _betrayed(made, secrets)
        return replace(made, look=second_look(changes, before, after))


def _of(tree: Sequence[TreeFile], paths: Sequence[str]) -> list[TreeFile]:
    wanted = set(paths)
    return [file for file in tree if file.path in wanted and file.size <= _LARGEST]


def _refused(made: Made, refused: Sequence[Refusal]) -> Made:
    """Ask a person, and say of each file why, and how a person lets it be changed."""
    names = ", ".join(code(each.path) for each in refused)
    lines = [f"- {code(each.path)}: {each.why}" for each in refused]
    if all(each.strength == "named" for each in refused):
        lines.append(
            "\nName these files in the scope of the task, on the default branch, and it may change them."
        )
    wrong = Situation(where="before_push", protected=tuple(each.path for each in refused))
    return replace(
        made, situation=wrong, text=f"it changed protected files: {names}", details="\n".join(lines)
    )


def _betrayed(made: Made, secrets: Secrets) -> Made:
    where = tuple(f"{path} line {line}: {kind}" for path, line, kind in secrets)
    lines = "\n".join(f"- {code(path)} line {line}: {kind}" for path, line, kind in secrets)
    wrong = Situation(where="before_push", secrets=where)
    return replace(
        made, situation=wrong, text="the change holds what looks like a secret", details=lines, said=""
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
