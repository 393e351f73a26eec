"""Owns judging a commit before anybody sees it: what it touches, secrets, markers, tests, and how messy its run was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from bot.core import leases, messy, policy
from bot.core.backlog import BacklogTask
from bot.core.drift import Step
from bot.core.rebasing import Situation
from bot.core.sanitize import code
from bot.core.track import TRACKS, TaskTrack, Track
from bot.core.values import Usage
from bot.engine.store import Store
from bot.jobs.contract import Stop
from bot.jobs.ground import marked
from bot.jobs.trial import Trial, Tried
from bot.jobs.verify import Verifier
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
    messy: float = 0.0
    acceptance: tuple[str, ...] = ()
    agent: str = ""
    route: tuple[str, ...] = ()  # why this class of model
    drift: tuple[str, ...] = ()  # what has changed since the plan
    situation: Situation | None = None
    text: str = ""
    details: str = ""
    output: str = ""


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
    protected: Callable[[Sequence[str], Sequence[str], str], tuple[str, ...]] = policy.protected
    new_secrets: Callable[[Mapping[str, bytes], Mapping[str, bytes]], tuple[tuple[str, int, str], ...]] = (
        policy.new_secrets
    )
    messy_score: Callable[[messy.RunFeatures], float] = messy.messy_score

    async def judged(self, track: Track, task: TaskTrack, made: Made, seen: Seen) -> Made:
        """Judge it in this order: protected paths, secrets, scope, conflict markers, tests, messiness."""
        stat = await seen.mirror.diff_stat(made.base, made.sha)
        folder = f"{track.config.tasks_dir}/"
        lines = {path: plus + minus for path, plus, minus in stat if not path.startswith(folder)}
        forbidden = await self._forbidden(track, seen, made, list(lines))
        if forbidden is not None:
            return forbidden
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
        return _situated(replace(made, outside=outside, messy=score, tests=tried.said), tried, score)

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

    async def _forbidden(self, track: Track, seen: Seen, made: Made, paths: Sequence[str]) -> Made | None:
        """Find protected paths and secrets; what the agent changed in the host's folder counts as well."""
        touched = list(dict.fromkeys([*paths, *seen.changed]))
        protected = self.protected(touched, track.config.protected_paths, track.config.tasks_dir)
        if protected:
            wrong = Situation(where="before_push", protected=protected)
            names = ", ".join(map(code, protected))
            return replace(made, situation=wrong, text=f"it changed protected files: {names}")
        after = await seen.mirror.read_many(made.sha, paths)
        before = await seen.mirror.read_many(made.base, paths)
        secrets = self.new_secrets(before, after)
        if secrets:
            where = tuple(f"{path} line {line}: {kind}" for path, line, kind in secrets)
            lines = "\n".join(f"- {code(path)} line {line}: {kind}" for path, line, kind in secrets)
            wrong = Situation(where="before_push", secrets=where)
            text = "the change holds what looks like a secret"
            return replace(made, situation=wrong, text=text, details=lines)
        return None


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
