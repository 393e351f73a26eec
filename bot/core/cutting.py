"""Owns making a text fit: what stands inside details blocks goes first, the top with its marker stays, Markdown is closed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

NOTICE = "\u2026 cut here: too long for one comment."
_FENCE = re.compile(r" {0,3}(`{3,})(.*)")
_SHUT = "\n\n</details>"
_SPARE = 80  # characters for closing what a cut leaves open
_LONG_FENCE = 50
_LONG_LINE = 2_000  # characters; a longer last line is cut within


def fit(text: str, limit: int) -> str:
    """Give the text with at most `limit` characters."""
    for _ in range(text.count("<details")):
        if len(text) <= limit:
            return text
        shorter = _inside(text, len(text) - limit)
        if shorter is None:
            break
        text = shorter
    return text if len(text) <= limit else _end(text, limit)


def _inside(text: str, excess: int) -> str | None:
    """Cut the largest details block by as much as is needed, or to nothing; None where that gains nothing any more."""
    lines = text.split("\n")
    blocks = list(_blocks(lines))
    if not blocks:
        return None
    first, last = max(blocks, key=lambda block: sum(len(line) + 1 for line in lines[block[0] : block[1]]))
    body = "\n".join(lines[first:last])
    kept = _end(body, max(len(body) - excess, len(NOTICE) + 2 + _SPARE))
    if len(kept) >= len(body):
        return None
    return "\n".join([*lines[:first], *kept.split("\n"), "", *lines[last:]])


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Give where the body of each outermost details block begins and ends, in lines."""
    begins, depth = 0, 0
    for number, (line, in_code) in enumerate(_marked(lines)):
        if in_code:
            continue
        if line.startswith("<details"):
            begins = begins if depth else number + 1
            depth += 1
        elif line.startswith("<summary") and depth == 1:
            begins = number + 1
        elif line.startswith("</details") and depth:
            depth -= 1
            if depth == 0:
                yield begins, number


def _end(text: str, limit: int) -> str:
    """Cut at a line's end, and close the code and the details that stand open there."""
    kept = text[: max(limit - len(NOTICE) - 2 - _SPARE, 0)]
    line_end = kept.rfind("\n")
    if line_end >= len(kept) - _LONG_LINE:
        kept = kept[: max(line_end, 0)]
    lines = kept.split("\n")
    depth = 0
    for line, in_code in _marked(lines):
        if not in_code:
            depth += line.startswith("<details") - (depth > 0 and line.startswith("</details"))
    fence = _left_open(lines)
    closing = f"\n{fence}" if fence and len(fence) < _LONG_FENCE else ""
    return f"{kept}{closing}\n\n{NOTICE}{_SHUT * min(depth, 2)}"[:limit]


def _marked(lines: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Give each line, and whether it stands inside a block of code or closes one."""
    open_ = ""
    for line in lines:
        found = _FENCE.match(line)
        if open_:
            yield line, True
            if found and found[1].startswith(open_) and not found[2].strip():
                open_ = ""
        else:
            yield line, False
            open_ = found[1] if found else ""


def _left_open(lines: Sequence[str]) -> str:
    """Give the fence of the code that is open after the last line, "" where none is."""
    open_ = ""
    for line in lines:
        found = _FENCE.match(line)
        if found and not open_:
            open_ = found[1]
        elif found and found[1].startswith(open_) and not found[2].strip():
            open_ = ""
    return open_
