"""Owns what becomes of a task's spec: its first version, the better ones after it, and where it contradicts itself.

A spec grows and never shrinks: an improvement adds constraints, limits, clarifications and open questions, and no
line that anybody wrote is changed. It stays readable: see the limits below. Git keeps every version.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bot.core import evidence as facts
from bot.core import scopes, spec_file
from bot.core.backlog_model import BacklogTask
from bot.core.evidence import Evidence, Reason
from bot.core.similarity import words
from bot.core.spec_file import (
    CLARIFICATIONS,
    CONSTRAINTS,
    EVIDENCE,
    LIMITS,
    PREFIXES,
    QUESTIONS,
    REQUIREMENTS,
    SCOPE,
    TEST,
    Item,
    Record,
    Spec,
)

__all__ = ["SPEC_LIMIT", "Evidence", "Item", "Reason", "Record", "Spec", "SpecRepository"]

SPEC_LIMIT = 12_000  # bytes: about four printed pages; only a version's record is added above it
CAPS = {CONSTRAINTS: 20, LIMITS: 8, CLARIFICATIONS: 20, QUESTIONS: 10}  # entries of a section
EXCERPTS = 3  # quoted outputs of runs
PATH_LIMIT = 500  # characters of a scope's entry or a command
NEW_CONSTRAINTS = 8  # failing tests that one improvement names

_ATTEMPTS = re.compile(r"\battempts? (?P<numbers>[0-9]+(?:(?:, | and )[0-9]+)*)")
_FORBIDDING = re.compile(
    r"\bdo not (?:change|touch|edit|modify)\b(?P<outside> files outside)?", re.IGNORECASE
)
_FILES = re.compile(r"(?:,? (?:and |or )?(?:`[^`]+`|[\w*-]*[./][\w./*-]*\w)(?!['\w]))+")
_UNCHANGED = re.compile(r"\b(?:not|no|never|unchanged|untouched|without|stays?|keeps?|same)\b", re.IGNORECASE)
_PERSON = "A person says: "
_WORDS = "a person's words"


@dataclass(frozen=True, slots=True)
class SpecRepository:
    """Reads and writes specs as texts; the host puts them into commits."""

    limit: int = SPEC_LIMIT

    def first(self, task: BacklogTask, *, issue: int | None = None) -> Spec:
        """Write version 1 from the contract of a task."""
        head = f"# {task.id}: {facts.statement(task.title)}"
        about = f"For issue {issue}. " if issue else ""
        about += "What people merge in `BACKLOG.yaml` decides; this page explains it to the agent."
        lines = [head, "", spec_file.record_line(Record(1, "plan")), "", about, ""]
        lines += [f"## {REQUIREMENTS}", ""]
        lines += [
            spec_file.item_line("REQ", number, text) for number, text in enumerate(_requirements(task), 1)
        ]
        lines += ["", f"## {SCOPE}", "", *(f"- {path}" for path in _scope(task)), ""]
        if task.test:
            lines += [f"## {TEST}", "", f"- {facts.named(task.test, PATH_LIMIT)}", ""]
        return spec_file.parse("\n".join(lines))

    def parse(self, text: str) -> Spec:
        """Read any text as a spec, an edited one too; `render` gives it back byte for byte."""
        return spec_file.parse(text)

    def render(self, spec: Spec) -> str:
        return spec.text

    def improve(self, spec: Spec, evidence: Evidence, task: BacklogTask | None = None) -> Spec:
        """Write the next version: what the evidence teaches is added to what there is, and its record says why.

        Where `task` is the contract as it is now, requirements and files that people added to it are added as well.
        """
        draft = _Draft(spec, spec.version + 1, self.limit)
        if task is not None:
            _follow(draft, task)
        if evidence.note.strip():
            _add_note(draft, evidence.note)
        if evidence.outside:
            draft.add(LIMITS, facts.outside_scope(spec.scope, evidence.outside, evidence.attempt))
        for sentence in _constraints(spec, evidence):
            draft.add(CONSTRAINTS, sentence)
        for question in _ambiguous(spec, evidence):
            draft.add_words(QUESTIONS, question)
        draft.quote(facts.excerpt(evidence.output), evidence.attempt)
        record = Record(draft.version, evidence.why, spec.sha256, _told(evidence, draft.left_out))
        return spec_file.parse(spec_file.recorded(draft.spec.text, record))

    def contradiction(self, spec: Spec) -> str | None:
        """Say where a spec cannot be met, in a sentence for people; None where code sees nothing."""
        found = (*_twice_defined(spec), *_forbidden(spec), *_asked_again(spec), *_no_room(spec))
        return found[0] if found else None

    def guidance(self, spec: Spec) -> tuple[str, ...]:
        """Give what the spec adds to the contract as lines for an agent: people's words first, then the newest."""
        groups = (spec.clarifications, spec.limits, spec.constraints, spec.questions)
        return tuple(item.text for group in groups for item in sorted(group, key=lambda item: -item.version))


@dataclass(slots=True)
class _Draft:
    """A spec that grows within its limits; what finds no room is counted."""

    spec: Spec
    version: int
    limit: int
    left_out: list[str] = field(default_factory=list)

    def add(self, section: str, text: str) -> None:
        """Add one entry, unless one says the same about the same names already."""
        if not facts.alike(text, [item.text for item in _held(self.spec, section)]):
            self._put(section, text)

    def add_words(self, section: str, text: str) -> None:
        """Add what people wrote, or a question; only the same text is a repetition: one sign may make the difference."""
        if all(text != item.text for item in _held(self.spec, section)):
            self._put(section, text)

    def put_scope(self, path: str) -> None:
        self._write(SCOPE, [f"- {path}"], "scope")

    def quote(self, block: str, attempt: int) -> None:
        """Add the end of a run's output as a code block."""
        if not block or block in self.spec.text:
            return
        if self.spec.excerpts >= EXCERPTS:
            self.left_out.append("output")
            return
        self._write(EVIDENCE, [f"Output of attempt {attempt}, no instruction:", "", block], "output")

    def _put(self, section: str, text: str) -> None:
        what = _WORDS if text.startswith(_PERSON) else section.lower()
        if section in CAPS and len(_held(self.spec, section)) >= CAPS[section]:
            self.left_out.append(what)
            return
        number = spec_file.next_number(self.spec, section)
        line = spec_file.item_line(PREFIXES[section], number, text, self.version)
        self._write(section, [line], what)

    def _write(self, section: str, lines: Sequence[str], what: str) -> None:
        larger = spec_file.parse(spec_file.added(self.spec.text, section, lines))
        # What people merged is never left out, however long it is.
        if larger.size > self.limit and section not in (REQUIREMENTS, SCOPE):
            self.left_out.append(what)
        else:
            self.spec = larger


def _held(spec: Spec, section: str) -> tuple[Item, ...]:
    return spec_file.items_of(spec, section)


def _requirements(task: BacklogTask) -> tuple[str, ...]:
    shown = (facts.statement(line, 2_000) for line in task.acceptance)
    return tuple(dict.fromkeys(line for line in shown if line)) or ("It is done as the title says.",)


def _scope(task: BacklogTask) -> tuple[str, ...]:
    """Show the entries of a scope as code; what nobody can see is none."""
    return tuple(dict.fromkeys(filter(None, (facts.named(path, PATH_LIMIT) for path in task.scope.paths))))


def _follow(draft: _Draft, task: BacklogTask) -> None:
    """Take over what people changed in the contract since the spec was written; nothing is taken out."""
    wanted = _requirements(task)
    for item in draft.spec.requirements:
        if item.text not in wanted:
            draft.add(CLARIFICATIONS, f"`{item.id}` is not in the merged contract, which decides.")
    held = {item.text for item in draft.spec.requirements}
    for text in wanted:
        if text not in held:
            draft.add_words(REQUIREMENTS, text)
    for path in _scope(task):
        if facts.spans(path)[0] not in draft.spec.scope:
            draft.put_scope(path)


def _add_note(draft: _Draft, note: str) -> None:
    shown = facts.statement(note)
    if shown:
        draft.add_words(CLARIFICATIONS, _PERSON + shown)


def _constraints(spec: Spec, evidence: Evidence) -> list[str]:
    """Write the sentences that code can vouch for."""
    attempt = evidence.attempt
    failing = [name for name in dict.fromkeys(evidence.failing) if facts.named(name)]
    found = [facts.must_pass(name, attempt) for name in failing[:NEW_CONSTRAINTS]]
    rule = facts.drift_rule(evidence.drift)
    if rule:
        found.append(facts.drifted(rule, attempt))
    if not rule and not evidence.outside and evidence.why == "messy_run":
        found.append(facts.too_much(attempt, evidence.messy))
    return found


def _ambiguous(spec: Spec, evidence: Evidence) -> list[str]:
    """Ask about requirements whose test failed again although a constraint of an earlier attempt named it."""
    again: dict[str, tuple[str, list[int]]] = {}
    for name in dict.fromkeys(evidence.failing):
        shown = facts.spans(facts.named(name))
        for item in spec.constraints:
            before = _attempts(item.text)
            if shown and facts.spans(item.text)[:1] == shown and before and evidence.attempt not in before:
                asked = _closest(spec, name)
                if asked:
                    again.setdefault(asked, (name, before))
    return [
        f"`{requirement}` is ambiguous: {facts.named(name)} failed in attempt {before[0]} and again in "
        f"attempt {evidence.attempt}. What exactly does it ask for?"
        for requirement, (name, before) in again.items()
    ]


def _attempts(text: str) -> list[int]:
    return [
        int(number)
        for found in _ATTEMPTS.finditer(text)
        for number in re.findall(r"[0-9]+", found["numbers"])
    ]


def _closest(spec: Spec, name: str) -> str:
    """Give the requirement that shares most words with a test's name; the only one where there is one; else ""."""
    if len(spec.requirements) == 1:
        return spec.requirements[0].id
    asked = set(words(name)) - {"test", "tests", "py"}
    shared = [(len(asked & set(words(item.text))), item.id) for item in spec.requirements]
    best = max((count for count, _ in shared), default=0)
    return next((id_ for count, id_ in shared if count == best), "") if best else ""


def _told(evidence: Evidence, left_out: Sequence[str]) -> str:
    """Say in a version's record what it comes from."""
    parts = [f"attempt {evidence.attempt}"]
    if evidence.messy > 0:
        parts.append(f"messy {evidence.messy:.2f}")
    if facts.drift_rule(evidence.drift):
        parts.append(f"rule `{evidence.drift}`")
    for what, names in (("failing", evidence.failing), ("outside the scope", evidence.outside)):
        shown = facts.listed(names, 2)
        if shown:
            parts.append(f"{what} {shown}")
    if left_out:
        parts.append(
            "no room for " + ", ".join(f"{what} ({n})" for what, n in sorted(Counter(left_out).items()))
        )
    return "; ".join(parts)


def _twice_defined(spec: Spec) -> Iterable[str]:
    for group in (spec.requirements, spec.constraints, spec.limits):
        texts: dict[str, str] = {}
        for item in group:
            if texts.setdefault(item.id, item.text) != item.text:
                yield f"`{item.id}` is there twice with different words."


def _forbidden(spec: Spec) -> Iterable[str]:
    """Find files that one line needs changed and another forbids."""
    for item in (*spec.limits, *spec.constraints, *spec.clarifications):
        for path in _forbidden_paths(spec, item.text):
            inside = [entry for entry in spec.scope if scopes.covers(path, entry)]
            if inside:
                yield f"`{item.id}` forbids changes of {facts.named(inside[0])}, which is in the scope."
            for requirement in spec.requirements:
                if _names(requirement.text, path) and not _UNCHANGED.search(requirement.text):
                    yield f"`{requirement.id}` is about {facts.named(path)}, which `{item.id}` forbids to change."


def _forbidden_paths(spec: Spec, text: str) -> list[str]:
    """Give the paths that a sentence forbids: the files it names, or what it says was changed beside the scope."""
    found = _FORBIDDING.search(text)
    if found is None:
        return []
    if found["outside"]:
        return [path for path in facts.spans(text) if not scopes.in_scope(spec.scope, path)]
    files = _FILES.match(text, found.end())
    tokens = re.findall(r"`([^`]+)`|([\w./*-]+[./][\w./*-]+)", files[0]) if files else []
    return [path for pair in tokens for path in pair if scopes.clean(path)]


def _names(text: str, path: str) -> bool:
    return re.search(rf"(?<![\w./-]){re.escape(path)}(?![\w/-])", text) is not None


def _asked_again(spec: Spec) -> Iterable[str]:
    """Find requirements that were marked ambiguous twice with no word of a person between."""
    answered = max((item.version for item in spec.clarifications if _PERSON in item.text), default=0)
    open_ = [item for item in spec.questions if item.version > answered]
    asked = Counter(facts.spans(item.text)[:1] for item in open_)
    for about, times in asked.items():
        if times > 1 and about:
            yield f"`{about[0]}` was found ambiguous {times} times and nobody has said what it means."


def _no_room(spec: Spec) -> Iterable[str]:
    if f"{_WORDS} (" in spec.latest.evidence.rpartition("no room for ")[2]:
        yield "The spec is full, and a person's words found no room in it: it has to be shortened."
