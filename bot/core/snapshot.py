"""Owns the block of state in the sticky comment: what is nowhere in git, small enough for a comment, read back strictly.

state_block(track) writes it, read_block(body) reads it; what is in git too (titles, scopes, texts) is never in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.core.events import (
    Event,
    IssueClosed,
    IssueLabeled,
    IssueReopened,
    IssueUnlabeled,
    ReviewSubmitted,
)
from bot.core.evidence import Evidence
from bot.core.ids import TASK_ID, TRACK_ID, said_key
from bot.core.push_gate import PushAsk
from bot.core.track import (
    OPEN_PULL,
    SETTLED,
    Included,
    Promise,
    RunMode,
    TaskState,
    TaskTrack,
    Track,
    TrackState,
    Until,
)

VERSION = 1
BLOCK_LIMIT = 24_000  # characters; a comment holds 65,536, and people read the rest of it
_BLOCK = re.compile(r"<!-- gitwright:state (?P<json>\{.*?\}) -->", re.DOTALL)
_TIMED = (IssueLabeled, IssueUnlabeled, IssueClosed, IssueReopened, ReviewSubmitted)

_Text = Annotated[str, Field(max_length=20_000)]
_Said = Annotated[int, Field(ge=0)] | Annotated[str, Field(max_length=40)]  # a number was a comment, once
_Count = Annotated[int, Field(ge=0, le=1_000_000)]
_Names = Annotated[tuple[_Text, ...], Field(max_length=1_000)]


class _Value(BaseModel):
    """Strict about what it knows; what a newer version adds is left aside."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class TaskMore(_Value):
    """What is remembered of a task beside state, attempt, run and pull request; named as in `TaskTrack`."""

    note: _Text = ""
    mode: RunMode = "fresh"
    from_sha: _Text = ""
    head_sha: _Text | None = None
    fixes: _Count = 0
    regenerations: _Count = 0
    trend: tuple[_Count, ...] = ()
    conflict_given: _Names = ()
    onto: _Text = ""
    leased: _Names = ()
    reviewed: bool = False
    passed: _Names = ()
    reruns: _Count = 0
    judged: _Text = ""
    rebasing: _Text = ""
    waits_for_base: bool = False
    feedback: _Text = ""
    evidence: tuple[Evidence, ...] = ()
    replaced: tuple[_Count, ...] = ()
    decisions: _Names = ()
    skipped: bool = False
    stopped: bool = False
    reopened: bool = False
    verified: _Text = ""
    verified_sha: _Text = ""
    ask: PushAsk | None = None

    def given(self) -> dict[str, Any]:
        """Give what is not as it is at a task that has not begun."""
        return {name: getattr(self, name) for name in self.model_fields_set}


TaskBlock = tuple[TaskState, _Count, _Count, _Count | None]  # state, attempt, run, pull request


class Block(_Value):
    """A track as its status comment remembers it."""

    v: Literal[1]
    track: Annotated[str, Field(pattern=f"^{TRACK_ID.pattern}$")]
    round: Annotated[int, Field(ge=1, le=100_000)] = 1
    state: TrackState
    resume_to: TrackState | None = None
    by: _Text = ""
    by_id: Annotated[int, Field(ge=0)] = 0
    started: _Text = ""
    issue_sha256: _Text = ""
    stale: bool = False
    closed: bool = False
    label: _Text = ""
    gone: bool = False
    problem: _Text = ""
    base_sha: _Text = ""
    merged_sha: _Text | None = None
    healthy: bool = False
    readable: bool = True
    tests: _Names = ()
    backlog_pull: _Count | None = None
    record_pull: _Count | None = None
    budget_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    usage: tuple[_Count, _Count, Annotated[float, Field(ge=0, allow_inf_nan=False)], _Count] | None = None
    runs: _Count = 0
    answered: tuple[Annotated[int, Field(ge=0)], ...] = ()
    promised: tuple[tuple[_Said, Until, _Text, _Count], ...] = ()
    ticks: tuple[tuple[_Text, _Count], ...] = ()
    included: tuple[tuple[_Text, _Text, _Text, _Text], ...] = ()
    tasks: dict[Annotated[str, Field(pattern=f"^{TASK_ID.pattern}$")], TaskBlock] = {}
    more: dict[str, TaskMore] = {}

    def promises(self) -> tuple[Promise, ...]:
        """Give the commands that were taken and not done."""
        return tuple(
            Promise(
                key=key if isinstance(key, str) else said_key("comment", key),
                until=until,
                task=task,
                attempt=attempt,
            )
            for key, until, task, attempt in self.promised
        )

    def inclusions(self) -> tuple[Included, ...]:
        """Give what was taken in of the plan's minority."""
        return tuple(Included(name=name, task=task, by=by, key=key) for name, task, by, key in self.included)


# --- writing ---------------------------------------------------------------------------------------


def state_block(track: Track, limit: int = BLOCK_LIMIT) -> str:
    """Write the block in at most `limit` characters: what matters least is left out first."""
    text = ""
    for shorten in _LEVELS:
        text = _rendered(_data(track, shorten))
        if len(text) <= limit:
            return text
    # Thousands of tasks: those that have not begun, and those that git calls settled, need no line.
    begun = {t.id for t in track.tasks if t.attempt and t.state not in SETTLED}
    bare = replace(track, tasks=tuple(t for t in track.tasks if t.id in begun), problem="")
    return _rendered(_data(bare, _LEVELS[-1]))


def _rendered(data: dict[str, Any]) -> str:
    # No `--` inside, so that nothing ends the comment early.
    text = json.dumps(data, separators=(",", ":"), sort_keys=True).replace("--", "-\\u002d")
    return f"<!-- gitwright:state {text} -->"


def _data(track: Track, shorten: Callable[[TaskTrack], TaskTrack | None]) -> dict[str, Any]:
    used = track.usage
    data: dict[str, Any] = {
        "v": VERSION,
        "track": track.id,
        "round": track.round,
        "state": track.state,
        "by": track.frozen.by,
        "started": track.started_at,
        "issue_sha256": track.frozen.sha256,
        "usage": [used.input_tokens, used.output_tokens, round(used.usd, 6), used.requests],
        "runs": track.runs,
        "answered": list(track.answered),
        "tasks": {t.id: [t.state, t.attempt, t.run, t.pull] for t in track.tasks},
    }
    optional: dict[str, Any] = {
        "promised": [[owed.key, owed.until, owed.task, owed.attempt] for owed in track.promised],
        "ticks": [list(each) for each in track.ticks],
        "included": [[each.name, each.task, each.by, each.key] for each in track.included],
        "resume_to": track.resume_to,
        "stale": track.stale,
        "by_id": track.frozen.by_id,
        "closed": track.closed,
        "label": track.label,
        "gone": track.gone,
        # Where tasks are stuck the problem is worked out from them.
        "problem": "" if track.tasks and track.healthy else track.problem[:4_000],
        "base_sha": track.base_sha,
        "merged_sha": track.merged_sha,
        "healthy": track.healthy,
        "tests": [test[:500] for test in track.tests[:10]],
        "backlog_pull": track.backlog_pull,
        "record_pull": track.record_pull,
        "more": {t.id: more for t in track.tasks if (more := _more(shorten(t)))},
    }
    data |= {name: value for name, value in optional.items() if value}
    if track.budget_usd is not None:
        data["budget_usd"] = track.budget_usd
    if not track.readable:
        data["readable"] = False
    return data


def _more(task: TaskTrack | None) -> dict[str, Any]:
    """Give what a task has that one that has not begun lacks."""
    if task is None:
        return {}
    plain = TaskMore()
    values = {name: getattr(task, name) for name in TaskMore.model_fields}
    settled = task.state in SETTLED
    if settled:  # git tells the rest
        values = {
            name: values[name] for name in ("note", "replaced", "decisions", "skipped", "regenerations")
        }
    elif task.state != "blocked":
        values["judged"] = ""  # what is decided about its checks at this moment is decided again
    if not settled and task.state not in OPEN_PULL:
        values["rebasing"] = ""
    if not settled and task.state not in {*OPEN_PULL, "running", "blocked", "held"} and not task.asks:
        values["head_sha"] = None
    kept = {name: value for name, value in values.items() if value != getattr(plain, name)}
    made = TaskMore.model_construct(None, **kept).model_dump(mode="json", include=set(kept))
    if "evidence" in made:
        made["evidence"] = [{k: v for k, v in each.items() if v} for each in made["evidence"]]
    return made


def _cut(task: TaskTrack, words: int, output: int) -> TaskTrack:
    def names(given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name[:200] for name in given[-20:])

    return replace(
        task,
        note=task.note[:300],
        judged=task.judged[:300],
        feedback=task.feedback[:words],
        passed=names(task.passed),
        conflict_given=names(task.conflict_given),
        leased=names(task.leased),
        trend=task.trend[-10:],
        replaced=task.replaced[-20:],
        decisions=names(task.decisions),
        evidence=tuple(
            replace(
                each,
                output=each.output[-output:] if output else "",
                note=each.note[:600],
                failing=names(each.failing[:5]),
                outside=names(each.outside[:5]),
            )
            for each in task.evidence[-4:]
        ),
    )


def _few(task: TaskTrack) -> TaskTrack:
    short = _cut(task, 0, 0)
    return replace(short, note=short.note[:60], passed=(), feedback="", evidence=())


_LEVELS: tuple[Callable[[TaskTrack], TaskTrack | None], ...] = (
    lambda task: _cut(task, 4_000, 700),
    lambda task: _cut(task, 600, 0),
    _few,
    lambda task: None,
)


# --- reading ---------------------------------------------------------------------------------------


def read_block(body: str) -> Block | None:
    """Read the block of a status comment; None where there is none, or none that this version understands."""
    found = _BLOCK.search(body)
    if found is None:
        return None
    try:
        block = Block.model_validate_json(found["json"])
    except ValidationError:
        return None
    return block if block.round == int(_parts(block.track)[1] or 1) else None


def issue_of(track: str) -> int:
    """Give the number of the issue that a track is about."""
    return int(_parts(track)[0])


def _parts(track: str) -> tuple[str, str | None]:
    found = TRACK_ID.fullmatch(track)
    assert found is not None
    return found[1], found[2]


def heard(track: Track, event: Event) -> bool:
    """Tell whether a track that was taken up again had heard of this before: its status was written later."""
    return (
        bool(track.heard_until)
        and isinstance(event, _TIMED)
        and bool(event.at)
        and event.at <= track.heard_until
    )
