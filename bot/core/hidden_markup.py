"""Owns what Markdown holds inside of a block and does not show: titles, texts of images, labels, definitions, footnotes.

Stripper(page, labels).paragraph(text), .table(rows) -> text that is seen; what was found is in page.found. Rules of GitHub's
Markdown (spec.commonmark.org 0.31, github.github.com/gfm); bot/core/hidden_html.py reads the HTML. Every search goes on where
the last one ended or gives up within a bound, so hostile text costs no more than honest text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.core.hidden_html import BEYOND, WORDLESS, Page

IMAGES, TITLES = "texts of images", "titles of links"
TARGETS, LABELS, DEFINITIONS = "targets of links", "labels of links", "definitions of links"
FOOTNOTES, CELLS = "footnotes", "cells beside a table"

_VALUE = r"""\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'=<>`]++)"""
_TAG = re.compile(
    rf"<(/?)([A-Za-z][A-Za-z0-9-]*+)((?:\s++[A-Za-z_:][\w.:-]*+(?:{_VALUE})?)*+)\s*+/?>", re.ASCII
)
_AUTOLINK = re.compile(
    r"<(?:[A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*+|[\w.!#$%&'*+/=?^`{|}~-]++@[A-Za-z0-9.-]++)>", re.ASCII
)
_SPECIAL = re.compile(r"\\.|`+|<|!?\[|\]", re.DOTALL)
_HIDES = re.compile(r"<(?:!--|\?|!\[CDATA\[|!(?=[A-Za-z]))")
_CLOSES = {"<!--": "-->", "<?": "?>", "<![CDATA[": "]]>"}  # else: ">"
_OPENING = re.compile(r"<(?=[A-Za-z/!?])")
_TITLE = r"""(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|\((?:[^()\\]|\\.)*+\))"""
_TITLED = re.compile(rf"(?:\s++({_TITLE}))?\s*+\)", re.DOTALL)
_ANGLED = re.compile(r"\(\s*+(<(?:[^<>\n\\]|\\.)*+>)")
_LABEL = re.compile(r"\[((?:[^\[\]\\]|\\.){0,999}+)\]", re.DOTALL)
_DEFINITION = re.compile(
    r"""\[((?:[^\[\]\\]|\\.){1,999}+)\]:[ \t]*+\n?+[ \t]*+(<(?:[^<>\n\\]|\\.)*+>|[^\s<]\S*+)"""
    rf"""(?:(?:[ \t]*+\n[ \t]*+|[ \t]++)({_TITLE})[ \t]*+(?=\n|\Z)|[ \t]*+(?=\n|\Z))""",
    re.DOTALL,
)
_FOOTNOTE = re.compile(r"^\[\^[^\]\s]++\]:", re.MULTILINE)
_DELIMITERS = re.compile(r"\s*+\|?+\s*+:?+-++:?+\s*+(?:\|\s*+:?+-++:?+\s*+)*+\|?+\s*+")
_BAR = re.compile(r"(?<!\\)\|")
_LONGEST, _DEEPEST = 2_000, 32  # characters and parentheses of a link's target


def begins_table(head: str, below: str) -> bool:
    """Say whether the second line makes the first one the head of a table."""
    if "|" not in head or head.strip() == "|" or len(below.strip()) < 2 or not _DELIMITERS.fullmatch(below):
        return False
    return len(_cells(head)[1]) == len(_cells(below)[1])


def label(text: str) -> str:
    """Give what a label of a link is known by."""
    return " ".join(text.split()).casefold()


@dataclass(frozen=True, slots=True)
class Defined:
    """The definitions of links that a paragraph begins with, and what is seen of it.

    A number and a target are kept: honest texts list their sources so.
    """

    text: str
    kept: str = ""  # a line for each
    labels: tuple[str, ...] = ()  # of those with words
    titled: bool = False  # whether one that is kept had a title


def definitions(text: str) -> Defined:
    """Take the definitions off a paragraph."""
    kept, words, titled, at = "", [], False, 0
    while not _FOOTNOTE.match(text, at) and (found := _DEFINITION.match(text, at)):
        if found[2][0] != "<" and _end_of_target(text, found.start(2), len(text)) != found.end(2):
            break
        if found[1].isdecimal() and not re.search(r"\s", found[2]):
            kept += f"[{found[1]}]: {found[2]}\n"
            titled = titled or bool(found[3])
        else:
            words.append(label(found[1]))
        at = min(found.end() + 1, len(text))
    return Defined(text[at:], kept, tuple(words), titled)


@dataclass(slots=True)
class _Bracket:
    """A `[` that may begin a link, or `![` an image: where it stands, and the pieces shown before it."""

    at: int
    pieces: int
    image: bool


@dataclass(slots=True)
class Stripper:
    """Reads one text block by block; what an element or a comment hides beyond its block stays hidden."""

    page: Page
    labels: Collection[str] = ()  # of definitions that are taken out
    noted: bool = False  # the paragraph ends in a footnote

    def paragraph(self, text: str) -> str:
        """Give what is seen of the lines of a paragraph or a heading."""
        note = _FOOTNOTE.search(text)
        if note:
            self.page.found.append(FOOTNOTES)
            self.noted = True
            text = text[: note.start()].rstrip("\n")
        return self._inline(text)

    def table(self, rows: Sequence[str]) -> list[str]:
        """Give what is seen of a table's rows, cell by cell; what stands beside its columns is not shown."""
        width = len(_cells(rows[1])[1])
        return [self._row(row, width) for row in rows]

    def _row(self, line: str, width: int) -> str:
        lead, cells, end = _cells(line)
        if len(cells) > width:
            self.page.found.append(CELLS)
        return lead + "|".join(self._inline(cell) for cell in cells[:width]) + end

    def _inline(self, text: str) -> str:
        return self.page.inline(text, lambda: self._read(text))

    def _read(self, text: str) -> str:
        pieces: list[str] = []
        brackets: list[_Bracket] = []
        runs = _runs(text)
        endless: set[str] = set()
        at = 0
        while not self.page.lost and (special := _SPECIAL.search(text, at)):
            start, what = special.start(), special[0]
            self.page.show(pieces, text[at:start])
            at = special.end()
            if what[0] == "`":
                at = _end_of_code(runs, at, len(what))
                self.page.show(pieces, text[start:at], code=True)
            elif what[0] == "<":
                at = self._angle(text, start, pieces, endless)
                if text[start + 1 : start + 2] in ("!", "?") and "`" in text[start:at]:
                    runs = {}  # readers differ in what ends it, and so in what is code behind it
            elif what == "]" and brackets:
                at = self._closed(text, at, brackets.pop(), pieces)
            else:
                if what in ("[", "!["):
                    brackets.append(_Bracket(at, len(pieces) + 1, what == "!["))
                self.page.show(pieces, what)
        self.page.show(pieces, text[at:])
        return "".join(pieces)

    def _angle(self, text: str, start: int, pieces: list[str], endless: set[str]) -> int:
        """Read what begins with `<` among words; what is no markup is shown as it is. Give where it ends."""
        link = _AUTOLINK.match(text, start)
        tag = None if link else _TAG.match(text, start)
        if tag:
            pieces.append(self.page.tag(tag, text[start - 1 : start]))
            return tag.end()
        hides = None if link else _HIDES.match(text, start)
        end = _end_of_hidden(text, start, hides[0], endless) if hides else 0
        if end:
            self.page.node(text[start:end], pieces)
            if not _doubtful(text[start:end]):
                return end
            self.page.found += [BEYOND] if re.search(r"\w", text[end:]) else []
            return len(text)
        end = link.end() if link else start + 1
        self.page.show(pieces, text[start:end])
        return end

    def _closed(self, text: str, at: int, bracket: _Bracket, pieces: list[str]) -> int:
        """Take the title out of the link that ends at this `]`, the text out of an image; give where its target ends."""
        target = _target(text, at)
        named = None if target else _LABEL.match(text, at)
        known = named is not None and label(named[1]) in self.labels
        if bracket.image and (target or known or self._known(text[bracket.at : at - 1])):
            shown = "".join(pieces[bracket.pieces :])
            del pieces[bracket.pieces :]
            if shown and not WORDLESS.fullmatch(shown):
                self.page.found.append(IMAGES)
        self.page.show(pieces, "]")
        if target:
            where, titled, end = target
            spaced = re.search(r"\s", where) is not None
            self.page.found += [TITLES] if titled else []
            self.page.found += [TARGETS] if spaced else []
            self.page.show(pieces, "()" if spaced else f"({where})")
            return end
        if known and named is not None and named[1]:
            self.page.found.append(LABELS)
            return named.end()
        return at

    def _known(self, text: str) -> bool:
        return bool(self.labels) and len(text) <= 999 and "[" not in text and label(text) in self.labels


def _end_of_hidden(text: str, start: int, opening: str, endless: set[str]) -> int:
    """Give where a comment or the like ends; 0 where it does not, and so is none."""
    close = _CLOSES.get(opening, ">")
    inside = start + (2 if opening == "<!--" else len(opening))
    end = -1 if opening in endless else text.find(close, inside)
    if end < 0:
        endless.add(opening)
        return 0
    return end + len(close)


def _doubtful(comment: str) -> bool:
    """Say whether older readers, for whom `--` makes it no comment, may hide what follows in the paragraph."""
    body = comment[4:-3]
    if not comment.startswith("<!--") or "--" not in body:
        return False
    rest = _TAG.sub("", _AUTOLINK.sub("", body))
    return _OPENING.search(rest) is not None or rest.count("[") != rest.count("]")


def _runs(text: str) -> dict[int, list[int]]:
    """Index the rows of backticks by their length: where each begins."""
    runs: dict[int, list[int]] = {}
    for run in re.finditer("`+", text):
        runs.setdefault(len(run[0]), []).append(run.start())
    return runs


def _end_of_code(runs: dict[int, list[int]], at: int, length: int) -> int:
    """Give where the code ends that begins before `at` with so many backticks; `at` where it does not end."""
    starts = runs.get(length, [])
    place = bisect_right(starts, at - 1)
    return starts[place] + length if place < len(starts) else at


def _target(text: str, at: int) -> tuple[str, bool, int] | None:
    """Read `(target "title")`: the target, whether there is a title, and where it ends."""
    if not text.startswith("(", at):
        return None
    angled = _ANGLED.match(text, at)
    if angled:
        where, end = angled[1], angled.end()
    else:
        begin = at + 1 + len(text[at + 1 : at + _LONGEST]) - len(text[at + 1 : at + _LONGEST].lstrip())
        end = _end_of_target(text, begin)
        where = text[begin:end]
    rest = _TITLED.match(text, end)
    return (where, rest[1] is not None, rest.end()) if rest else None


def _end_of_target(text: str, at: int, longest: int = _LONGEST) -> int:
    depth = 0
    limit = min(len(text), at + longest)
    while at < limit and not text[at].isspace():
        if text[at] == "\\" and text[at + 1 : at + 2].strip():
            at += 1
        elif text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
        if depth < 0 or depth > _DEEPEST:
            break
        at += 1
    return at


def _cells(line: str) -> tuple[str, list[str], str]:
    """Divide a row of a table into its cells, with what stands before the first and behind the last."""
    lead = re.match(r"\s*\|?", line)
    assert lead is not None  # it matches nothing, too
    inner = line[lead.end() :]
    plain = inner.rstrip()
    closed = plain.endswith("|") and not plain.endswith("\\|")
    return lead[0], _BAR.split(plain[:-1] if closed else plain), "|" if closed else ""
