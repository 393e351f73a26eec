"""Owns the shape of `specs/<task>.md`: what its Markdown says, and additions that leave every other byte alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast, get_args

from bot.core.evidence import Reason, spans

# In the order of the file.
REQUIREMENTS, SCOPE, TEST, CONSTRAINTS, LIMITS, CLARIFICATIONS, QUESTIONS, EVIDENCE = (
    "Requirements",
    "Scope",
    "Test",
    "Constraints",
    "Scope limits",
    "Clarifications",
    "Open questions",
    "Evidence",
)
ORDER = (REQUIREMENTS, SCOPE, TEST, CONSTRAINTS, LIMITS, CLARIFICATIONS, QUESTIONS, EVIDENCE)
PREFIXES = {
    REQUIREMENTS: "REQ",
    CONSTRAINTS: "CON",
    LIMITS: "LIM",
    CLARIFICATIONS: "CLA",
    QUESTIONS: "ASK",
}
RECORDS = 12  # versions that the head tells of; git keeps the others

# What ends a line is taken off by hand: a pattern that tries every end takes minutes for a line of blanks.
_HEADING = re.compile(r" {0,3}##[ \t]+(?P<name>.*)")
_FENCE = re.compile(r" {0,3}(?P<marks>`{3,}|~{3,})(?P<info>.*)\Z")
_BULLET = re.compile(r" {0,3}[-*+][ \t]+(?P<text>\S.*)")
_ITEM = re.compile(
    r"(?:\*\*)?(?P<id>[A-Z]{3}-(?P<number>[0-9]{1,6}))(?:\*\*)?(?: \(version (?P<version>[0-9]{1,6})\))?[:.]?\s+(?P<text>\S.*)\Z"
)
_RECORD = re.compile(
    r"\*\*Version (?P<version>[1-9][0-9]{0,5})\*\* "
    r"\(reason `(?P<reason>\w+)`(?:, parent `(?P<parent>[0-9a-f]{64})`)?\)(?:: (?P<evidence>.*))?\Z"
)
_ALIASES = {"acceptance": REQUIREMENTS, **{name.casefold(): name for name in ORDER}}


@dataclass(frozen=True, slots=True)
class Item:
    """One entry with its stable id; `version` is the one that added it (1: the plan, or a person's hand)."""

    id: str
    text: str
    version: int = 1


@dataclass(frozen=True, slots=True)
class Record:
    """Why a version exists; `parent` is the hex SHA-256 of the version before it, "" for the first."""

    version: int
    reason: Reason
    parent: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """A spec: its text word for word, and what is read from it."""

    text: str
    title: str
    records: tuple[Record, ...]
    requirements: tuple[Item, ...]
    scope: tuple[str, ...]
    constraints: tuple[Item, ...]
    limits: tuple[Item, ...]
    clarifications: tuple[Item, ...]
    questions: tuple[Item, ...]
    excerpts: int  # quoted outputs of runs

    @property
    def version(self) -> int:
        return max((record.version for record in self.records), default=1)

    @property
    def latest(self) -> Record:
        """Why this version exists; a file without records is taken for the first."""
        return max(self.records, key=lambda record: record.version, default=Record(1, "plan"))

    @property
    def sha256(self) -> str:
        """The content hash that the next version names as its parent."""
        return hashlib.sha256(self.text.encode("utf-8", "replace")).hexdigest()

    @property
    def size(self) -> int:
        return len(self.text.encode("utf-8", "replace"))


def parse(text: str) -> Spec:
    """Read a spec, one that people edited too: what is not understood stays in the text and says nothing."""
    parts: dict[str, list[str]] = {**{name: [] for name in ORDER}, **_parts(text)}
    head = parts[""]
    title = next((line.strip().removeprefix("#").strip() for line in head if line.startswith("# ")), "")
    items = {name: _items(parts[name], prefix) for name, prefix in PREFIXES.items()}
    return Spec(
        text=text,
        title=title,
        records=tuple(filter(None, map(_record, _bullets(head)))),
        requirements=items[REQUIREMENTS],
        scope=tuple(dict.fromkeys(path for line in _bullets(parts[SCOPE]) for path in spans(line)[:1])),
        constraints=items[CONSTRAINTS],
        limits=items[LIMITS],
        clarifications=items[CLARIFICATIONS],
        questions=items[QUESTIONS],
        excerpts=sum(_opens(line) for line, inside in _fenced(parts[EVIDENCE]) if not inside),
    )


def item_line(prefix: str, number: int, text: str, version: int = 1) -> str:
    since = f" (version {version})" if version > 1 else ""
    return f"- **{prefix}-{number}**{since} {text}"


def record_line(record: Record) -> str:
    parent = f", parent `{record.parent}`" if record.parent else ""
    told = f": {record.evidence}" if record.evidence else ""
    return f"- **Version {record.version}** (reason `{record.reason}`{parent}){told}"


def next_number(spec: Spec, section: str) -> int:
    """Give the number of the section's next entry: no id in it is used again."""
    held = items_of(spec, section)
    return max((int(item.id.rpartition("-")[2]) for item in held), default=0) + 1


def added(text: str, section: str, lines: Sequence[str]) -> str:
    """Put lines at the end of a section, which is made in its place where it is missing."""
    all_lines = text.split("\n")
    end = "\r" if all_lines[0].endswith("\r") else ""
    new = [f"{line}{end}" for line in "\n".join(lines).split("\n")]
    places = _places(all_lines)
    closing = _open_fence(all_lines)
    here = [span for name, span in places if name == section]
    if here:
        start, stop = here[-1]
        at = _last_written(all_lines, start, stop)
        closing = closing if stop == len(all_lines) else []
        # A list goes on below a list; anything else stands apart.
        gap = [] if _bullet(all_lines[at - 1]) and _bullet(new[0]) else [end]
        return "\n".join([*all_lines[:at], *closing, *gap, *new, *all_lines[at:]])
    later = ORDER[ORDER.index(section) + 1 :]
    following = next((start for name, (start, _) in places if name in later), None)
    block = [f"## {section}{end}", end, *new]
    if following is not None:
        return "\n".join([*all_lines[: following - 1], *block, end, *all_lines[following - 1 :]])
    at = _last_written(all_lines, 0, len(all_lines))
    tail = all_lines[at:] or [""]
    return "\n".join([*all_lines[:at], *closing, end, *block, *tail])


def recorded(text: str, record: Record) -> str:
    """Add a version's record below the others; above RECORDS the oldest but the first leaves."""
    lines = text.split("\n")
    end = "\r" if lines[0].endswith("\r") else ""
    _, (_, stop) = _places(lines)[0]
    held = [at for at, (line, inside) in enumerate(_fenced(lines[:stop])) if not inside and _is_record(line)]
    new = f"{record_line(record)}{end}"
    if not held:
        at = 1 if lines[0].startswith("# ") else 0
        return "\n".join([*lines[:at], *([end] if at else []), new, end, *lines[at:]])
    below = next((at for at in range(held[-1] + 1, stop) if not _goes_on(lines[at])), stop)
    lines.insert(below, new)
    if len(held) >= RECORDS:
        del lines[held[1]]
    return "\n".join(lines)


def items_of(spec: Spec, section: str) -> tuple[Item, ...]:
    return {
        REQUIREMENTS: spec.requirements,
        CONSTRAINTS: spec.constraints,
        LIMITS: spec.limits,
        CLARIFICATIONS: spec.clarifications,
        QUESTIONS: spec.questions,
    }[section]


def _fenced(lines: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Give each line, and whether it stands inside a code block (its last line too)."""
    marks = ""
    for line in lines:
        found = _FENCE.match(line)
        if not marks:
            yield line, False
            if found and _opens(line):
                marks = found["marks"]
            continue
        yield line, True
        if found and found["marks"].startswith(marks) and not found["info"].strip():
            marks = ""


def _opens(line: str) -> bool:
    found = _FENCE.match(line)
    return found is not None and not (found["marks"][0] == "`" and "`" in found["info"])


def _open_fence(lines: Sequence[str]) -> list[str]:
    """Give the line that closes a code block which a person left open to the end."""
    marks = ""
    for line, inside in _fenced(lines):
        found = _FENCE.match(line)
        if not inside:
            marks = found["marks"] if found and _opens(line) else ""
        elif found and found["marks"].startswith(marks) and not found["info"].strip():
            marks = ""
    return [marks] if marks else []


def _places(lines: Sequence[str]) -> list[tuple[str, tuple[int, int]]]:
    """Give the sections in order: name ("" for the head), first line after the heading, line of the next heading."""
    found: list[tuple[str, int]] = [("", 0)]
    for at, (line, inside) in enumerate(_fenced(lines)):
        heading = None if inside else _HEADING.match(line)
        if heading:
            name = heading["name"].rstrip().rstrip("#").rstrip()
            found.append((_ALIASES.get(name.casefold(), name), at + 1))
    stops = [start - 1 for _, start in found[1:]] + [len(lines)]
    return [(name, (start, stop)) for (name, start), stop in zip(found, stops, strict=True)]


def _parts(text: str) -> dict[str, list[str]]:
    lines = text.split("\n")
    parts: dict[str, list[str]] = {}
    for name, (start, stop) in _places(lines):
        parts.setdefault(name, []).extend(lines[start:stop])
    return parts


def _last_written(lines: Sequence[str], start: int, stop: int) -> int:
    """Give the line after the last one that is not blank."""
    return next((at + 1 for at in reversed(range(start, stop)) if lines[at].strip()), start)


def _bullets(lines: Sequence[str]) -> list[str]:
    """Give the entries of a list, with the indented lines that go on with them."""
    found: list[str] = []
    open_ = False
    for line, inside in _fenced(lines):
        bullet = None if inside or _opens(line) else _bullet(line)
        if bullet:
            found.append(bullet)
        elif open_ and not inside and _goes_on(line):
            found[-1] += f" {line.strip()}"
        open_ = bullet is not None or (open_ and bool(line.strip()))
    return found


def _bullet(line: str) -> str | None:
    found = _BULLET.match(line)
    return found["text"].rstrip() if found else None


def _items(lines: Sequence[str], prefix: str) -> tuple[Item, ...]:
    """Read a section's entries; one without an id gets the lowest number that no other has, by its place."""
    bullets = _bullets(lines)
    read = [_ITEM.match(bullet) for bullet in bullets]
    own = [found if found and found["id"].startswith(f"{prefix}-") else None for found in read]
    taken = {int(found["number"]) for found in own if found}
    items: list[Item] = []
    for bullet, found in zip(bullets, own, strict=True):
        if found:
            items.append(Item(found["id"], found["text"], int(found["version"] or 1)))
            continue
        number = next(n for n in range(1, len(bullets) + len(taken) + 2) if n not in taken)
        taken.add(number)
        items.append(Item(f"{prefix}-{number}", bullet))
    return tuple(items)


def _goes_on(line: str) -> bool:
    return line.startswith("  ") and bool(line.strip())


def _is_record(line: str) -> bool:
    bullet = _bullet(line)
    return bullet is not None and _record(bullet) is not None


def _record(bullet: str) -> Record | None:
    found = _RECORD.match(bullet)
    if not found or found["reason"] not in get_args(Reason):
        return None
    reason = cast(Reason, found["reason"])
    return Record(int(found["version"]), reason, found["parent"] or "", found["evidence"] or "")
