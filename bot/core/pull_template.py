"""Owns a repository's pull-request template: where it lies, and what of it stands below our own text.

Whoever wrote it may not be trusted: headings and check lists are kept, word by word made harmless; everything else goes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bot.core.sanitize import inline

LONGEST = 64 << 10  # bytes of a template that is read
MOST = 100  # headings and items that are kept
_FOLDERS = (".github/", "", "docs/")  # in GitHub's order
_SUFFIX = re.compile(r"\.(?:md|txt)\Z", re.IGNORECASE)
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)\Z")
_ITEM = re.compile(r"\s*(?:[-*+]|[0-9]{1,9}[.)])\s+\[[ xX]?\]\s*(\S.*)\Z")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_FENCE = re.compile(r" {0,3}(?:`{3,}|~{3,})")
_TICKED = re.compile(r"^- \[[xX]\] (.*)$", re.MULTILINE)
ABOVE = "See above."


@dataclass(frozen=True, slots=True)
class Section:
    """One heading of a template with the check list below it; the heading is empty for what stands before the first."""

    heading: str
    level: int = 2
    items: tuple[str, ...] = field(default=())


def choose(paths: Sequence[str]) -> str | None:
    """Give the template that GitHub would offer; of a folder of several `default`, else the first by name."""
    for folder in _FOLDERS:
        single = [path for path in paths if _stem(path).lower() == f"{folder}pull_request_template"]
        if single:
            return min(single)
        several = sorted(
            path
            for path in paths
            if path.lower().startswith(f"{folder}pull_request_template/")
            and path.count("/") == folder.count("/") + 1
        )
        several = [path for path in several if _SUFFIX.search(path)]
        if several:
            return next((path for path in several if _stem(path).lower().endswith("/default")), several[0])
    return None


def _stem(path: str) -> str:
    return _SUFFIX.sub("", path)


def sections(text: str) -> tuple[Section, ...]:
    """Take a template apart: every heading, and the items of its check list; code and comments are no part of it."""
    found = [Section("")]
    kept, fenced = 0, False
    for line in _COMMENT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n"):
        fenced ^= bool(_FENCE.match(line))
        heading, item = _HEADING.fullmatch(line), _ITEM.fullmatch(line.rstrip())
        if fenced or kept >= MOST or not (heading or item):
            continue
        kept += 1
        if heading:
            found.append(Section(_unclosed(heading[2]).strip(), len(heading[1])))
        elif item:
            found[-1] = replace(found[-1], items=(*found[-1].items, item[1].strip()))
    return tuple(each for each in found if each.heading or each.items)


def shown(text: str) -> str:
    """Render what is kept of a template, nothing ticked; "" where it holds neither headings nor check lists."""
    parts = []
    found = sections(text)
    for index, each in enumerate(found):
        if heading := inline(each.heading):
            parts.append(f"{'#' * min(each.level + 1, 6)} {heading}")
        if each.items:
            parts.append("\n".join(f"- [ ] {inline(item)}" for item in each.items))
        elif not (index + 1 < len(found) and found[index + 1].level > each.level):
            parts.append(ABOVE)  # what the section asks for is what our own text says
    return "\n\n".join(parts)


def keep_ticks(before: str, after: str) -> str:
    """Tick in a text what people have ticked in the one that it takes the place of."""
    ticked = set(_TICKED.findall(before.replace("\r\n", "\n")))
    lines = after.split("\n")
    return "\n".join(
        f"- [x] {line[6:]}" if line.startswith("- [ ] ") and line[6:] in ticked else line for line in lines
    )


def _unclosed(heading: str) -> str:
    """Take the closing number signs off; not by a pattern, which takes hours on a line that was made for it."""
    return heading.rstrip(" \t").rstrip("#").rstrip(" \t")
