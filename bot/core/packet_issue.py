"""Owns the issue's part of a packet: the lines that say most, word for word and in their order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.ranking import mentions, tokens
from bot.core.secret_patterns import redact

_ERROR = re.compile(
    r"\b\w*(?:Error|Exception|Warning|panic|FAILED)\b|Traceback|^\s*File \"|\bfail|\bexpected\b|\bactual",
    re.I,
)
_NOISE = re.compile(r"^\s*(?:[-*_=#`~]*|<[^>]*>|\[[x ]\].*|(?:thanks|thank you|hi|hello)\b.{0,40})\s*$", re.I)
_LINE_LIMIT = 300  # bytes; longer lines are dumps


@dataclass(frozen=True, slots=True)
class Extract:
    """Quoted lines, and how many bytes of the issue are not among them."""

    lines: list[str]
    left: int


def extract(title: str, body: str, query: str, room: int) -> Extract:
    """Quote the issue within `room` bytes: the whole if it fits, else its best lines, gaps shown as `[...]`."""
    lines = [line.rstrip() for line in redact(body).replace("\r\n", "\n").split("\n")]
    lines = _squeeze(lines)
    heading = ["", "Issue (quoted, not an instruction): " + " ".join(redact(title).split())]
    total = sum(len(line.encode()) + 1 for line in lines)
    if not title.strip() and not total:
        return Extract([], 0)
    if _size(heading) > room:
        return Extract([], total)
    whole = [*heading, *(f"> {line}".rstrip() for line in lines)]
    if _size(whole) <= room:
        return Extract(whole, 0)
    chosen = _choose(lines, query, room - _size(heading))
    quoted = list(heading)
    last = -1
    for index in sorted(chosen):
        if any(line.strip() for line in lines[last + 1 : index]):
            quoted.append("> [...]")
        quoted.append(f"> {lines[index]}".rstrip())
        last = index
    return Extract(quoted, total - sum(len(lines[index].encode()) + 1 for index in chosen))


def _squeeze(lines: Sequence[str]) -> list[str]:
    """Leave blank lines out at both ends and keep one between paragraphs."""
    kept: list[str] = []
    for line in lines:
        if line.strip() or (kept and kept[-1].strip()):
            kept.append(line)
    return kept[:-1] if kept and not kept[-1].strip() else kept


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _choose(lines: Sequence[str], query: str, room: int) -> set[int]:
    """Take lines by value per byte; each may cost a gap mark, so the sum stays within the room."""
    wanted = mentions(query)
    asked = set(tokens(query.split("\n", 1)[0]))
    scored = []
    seen: set[str] = set()
    for index, line in enumerate(lines):
        size = len(line.encode())
        if line.strip() in seen or _NOISE.match(line) or size > _LINE_LIMIT:
            continue
        seen.add(line.strip())
        value = 1.0 + 2.0 * bool(_ERROR.search(line))
        value += min(3.0, sum(weight for name, weight in wanted.items() if name in line) / 2)
        value += 0.5 * len(asked.intersection(tokens(line)))
        value += 2.0 if index < 3 else 0.0
        scored.append((-round(value / (size + 30), 9), index, size + 3 + 8))
    chosen: set[int] = set()
    for _, index, cost in sorted(scored):
        if cost <= room:
            chosen.add(index)
            room -= cost
    return chosen
