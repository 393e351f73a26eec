"""Owns what a repository's runs taught: `.github/gitwright/lessons.jsonl`, one lesson a line.

Only code writes lessons, from facts alone: no words of an agent, an issue or a test's output get into a rule.
The file changes in pull requests only; people may add and edit lines there, and lines that are none stay as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from bot.core import evidence as facts
from bot.core import scopes
from bot.core.backlog_model import Line
from bot.core.evidence import Evidence
from bot.core.similarity import Document, Vectors, jaccard, similarity

LESSONS_PATH = ".github/gitwright/lessons.jsonl"
CAP = 30  # lessons of a repository
KEEP_RUNS = 20  # runs that a lesson stays without being of use
RULE_LIMIT = 240  # characters
SAME = 0.8  # the same words and at least half of the files
SLOT = 400  # bytes of a packet
SLOT_HEADING = len("\nLearned before:\n")
NEW_LESSONS = 3  # of each kind, from one attempt
_LEAVE = "Leave "  # begins rules that forbid to change a file
_MOST = {"files": 8, "symbols": 8, "evidence": 5}

Count = Annotated[int, Field(ge=0, lt=2**53)]
# Persistent text that agents read: names with blanks or other sentences in them are not learned from.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_./:*\[\]-]{1,120}")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Trigger(_Model):
    """What a task must be about for a lesson to be told; all empty: every task."""

    files: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    check: str = ""


class Lesson(_Model):
    """One rule; `last_used` and `expires` count runs of the repository."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]
    trigger: Trigger = Trigger()
    rule: Annotated[Line, Field(max_length=RULE_LIMIT)]
    evidence: tuple[str, ...] = ()  # `<track>/<task>-a<attempt>`
    hits: Count = 0
    last_used: Count = 0
    expires: Count = KEEP_RUNS


@dataclass(frozen=True, slots=True)
class LessonProblem:
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Lessons:
    """A lessons file: what is understood, and the lines that are not, word for word."""

    lessons: tuple[Lesson, ...] = ()
    foreign: tuple[str, ...] = ()
    problems: tuple[LessonProblem, ...] = ()

    @property
    def run(self) -> int:
        """Give the number of the next run: the file itself is the counter."""
        return 1 + max((lesson.last_used for lesson in self.lessons), default=0)


def parse_lessons(text: str) -> Lessons:
    """Read the file: every problem at once, and no line lost."""
    lessons: dict[str, Lesson] = {}
    foreign: list[str] = []
    problems: list[LessonProblem] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip():
            continue
        read = _read(line)
        if isinstance(read, Lesson) and read.id not in lessons:
            lessons[read.id] = read
            continue
        why = f"the id `{read.id}` is taken" if isinstance(read, Lesson) else read
        problems.append(LessonProblem(number, f"Line {number} is no lesson and is left alone: {why}."))
        foreign.append(line)
    return Lessons(_begun(tuple(lessons.values())), tuple(foreign), tuple(problems))


def _begun(lessons: tuple[Lesson, ...]) -> tuple[Lesson, ...]:
    """Let lines that people wrote without counting begin their life now, not when the file began."""
    now = Lessons(lessons).run
    begin = {"last_used": now - 1, "expires": now + KEEP_RUNS}
    return tuple(
        lesson.model_copy(update={k: v for k, v in begin.items() if k not in lesson.model_fields_set})
        for lesson in lessons
    )


def render_lessons(lessons: Lessons) -> str:
    """Write the file: lessons by id, so that two branches rarely meet in a line, then the foreign lines."""
    lines = [
        json.dumps(lesson.model_dump()) for lesson in sorted(lessons.lessons, key=lambda lesson: lesson.id)
    ]
    return "".join(f"{line}\n" for line in [*lines, *lessons.foreign])


def learn(
    lessons: Lessons,
    evidence: Evidence,
    *,
    source: str,
    scope: Sequence[str],
    symbols: Sequence[str] = (),
    run: int | None = None,
) -> Lessons:
    """Add what an attempt at a task teaches; `source` names the attempt, `run` counts (None: the file's own count)."""
    now = lessons.run if run is None else run
    held = list(lessons.lessons)
    about = Trigger(
        files=_plain(entry for entry in scope if scopes.clean(entry) not in ("", "*", "**"))[
            : _MOST["files"]
        ],
        symbols=_plain(symbols)[: _MOST["symbols"]],
    )
    for rule, check in _rules(evidence):
        trigger = about.model_copy(update={"check": check})
        fresh = Lesson(
            id=_id(rule, trigger),
            trigger=trigger,
            rule=rule,
            evidence=_plain([source]),
            last_used=now,
            expires=now + KEEP_RUNS,
        )
        at = next((place for place, old in enumerate(held) if _same(old, fresh)), None)
        if at is None:
            held.append(fresh)
        else:
            held[at] = _joined(held[at], fresh)
    return replace(lessons, lessons=_kept(held, now))


def for_task(
    lessons: Lessons,
    *,
    scope: Sequence[str],
    symbols: Collection[str] = (),
    checks: Collection[str] = (),
    limit_bytes: int = SLOT,
) -> tuple[Lesson, ...]:
    """Choose the lessons that fit a task best, as many as a packet's slot takes with its heading."""
    scored = [
        (-score, -lesson.hits, -lesson.last_used, lesson.id, lesson)
        for lesson in lessons.lessons
        if (score := _score(lesson, scope, symbols, checks)) > 0
        and not contradicted(lesson, scope)
        and _fit_to_show(lesson)
    ]
    chosen: list[Lesson] = []
    room = limit_bytes - SLOT_HEADING
    for *_, lesson in sorted(scored, key=lambda each: each[:4]):
        cost = len(f"- {lesson.rule}\n".encode())
        if cost <= room:
            chosen.append(lesson)
            room -= cost
    return tuple(chosen)


def used(lessons: Lessons, ids: Collection[str], run: int | None = None) -> Lessons:
    """Note that a run was told these lessons; those that nobody needed for KEEP_RUNS runs leave."""
    now = lessons.run if run is None else run
    told = [
        lesson.model_copy(
            update={
                "hits": lesson.hits + 1,
                "last_used": max(now, lesson.last_used),
                "expires": max(now + KEEP_RUNS, lesson.expires),
            }
        )
        if lesson.id in ids
        else lesson
        for lesson in lessons.lessons
    ]
    return replace(lessons, lessons=_kept(told, now))


def contradicted(lesson: Lesson, scope: Sequence[str]) -> bool:
    """Say whether a lesson forbids to change a file that a task is for."""
    if not lesson.rule.startswith(_LEAVE):
        return False
    return any(scopes.in_scope(scope, path) for path in facts.spans(lesson.rule))


def _rules(evidence: Evidence) -> list[tuple[str, str]]:
    """Write the rules that the facts allow, with the check that each is about."""
    found = [
        (f"Run {facts.named(name)} before you finish: it failed after a change of these files.", name)
        for name in _plain(name.partition("[")[0] for name in evidence.failing)[:NEW_LESSONS]
    ]
    found += [
        (f"{_LEAVE}{facts.named(path)} as it is unless the task names it: a run changed it unasked.", "")
        for path in _plain(evidence.outside)[:NEW_LESSONS]
    ]
    rule = facts.drift_rule(evidence.drift)
    if rule:
        found.append((f"{facts.advice(rule)} (rule `{rule}` stopped a run here).", ""))
    return found


def _plain(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            name for name in names if _PLAIN_NAME.fullmatch(name) and facts.named(name) == f"`{name}`"
        )
    )


def _id(rule: str, trigger: Trigger) -> str:
    data = json.dumps([rule, trigger.files, trigger.symbols, trigger.check])
    return f"L-{hashlib.sha256(data.encode()).hexdigest()[:10]}"


def _same(old: Lesson, new: Lesson) -> bool:
    """Say whether two lessons are one: about the same names, and alike in words and files."""
    if old.id == new.id:
        return True
    if frozenset(facts.spans(old.rule)) != frozenset(facts.spans(new.rule)):
        return False
    named_file = new.trigger.check or new.rule.startswith(_LEAVE)
    if named_file:
        return facts.alike(new.rule, [old.rule])
    a, b = (Document(lesson.rule, frozenset(lesson.trigger.files)) for lesson in (old, new))
    return similarity(a, b, Vectors([a.text, b.text])) >= SAME


def _joined(old: Lesson, new: Lesson) -> Lesson:
    """Let a lesson that was learned again apply more widely and live longer; its words stay, people's too."""
    told_always = old.trigger == Trigger()
    wider = Trigger(
        files=_union(old.trigger.files, new.trigger.files, _MOST["files"]),
        symbols=_union(old.trigger.symbols, new.trigger.symbols, _MOST["symbols"]),
        check=old.trigger.check or new.trigger.check,
    )
    return old.model_copy(
        update={
            "trigger": old.trigger if told_always else wider,
            "evidence": _union(old.evidence, new.evidence, _MOST["evidence"]),
            "last_used": max(old.last_used, new.last_used),
            "expires": max(old.expires, new.expires),
        }
    )


def _union(a: Sequence[str], b: Sequence[str], most: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*a, *b]))[: max(most, len(a))]


def _kept(lessons: Sequence[Lesson], now: int) -> tuple[Lesson, ...]:
    """Let go what expired, and above the cap what was unused longest: else a full file would learn nothing new."""
    alive = [lesson for lesson in lessons if lesson.expires >= now]
    best = sorted(alive, key=lambda lesson: (-lesson.last_used, -lesson.hits, lesson.id))[:CAP]
    kept = {lesson.id for lesson in best}
    return tuple(lesson for lesson in alive if lesson.id in kept)


def _score(lesson: Lesson, scope: Sequence[str], symbols: Collection[str], checks: Collection[str]) -> float:
    """Say how much of a lesson's trigger a task meets; 0 where none of it, a little for one that is always told."""
    trigger = lesson.trigger
    if trigger == Trigger():
        return 0.5
    score = 3.0 if trigger.check and trigger.check in checks else 0.0
    if trigger.files and scopes.overlaps(scope, trigger.files):
        score += 2.0 + jaccard([*map(scopes.clean, scope)], [*map(scopes.clean, trigger.files)])
    return score + min(len(set(trigger.symbols) & set(symbols)), 3)


def _fit_to_show(lesson: Lesson) -> bool:
    """Tell only rules without secrets, hidden text and comments, people's too."""
    return facts.visible(lesson.rule) == lesson.rule


def _read(line: str) -> Lesson | str:
    """Read one line; the text names all that is wrong with it."""
    try:
        return Lesson.model_validate_json(line)
    except ValidationError as error:
        found = [(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors(include_url=False)]
    return "; ".join(
        f"{facts.named(where)}: {what}" if where else "it is no JSON object" for where, what in found
    )
