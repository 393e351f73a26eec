"""Owns what Markdown and HTML hold inside of a block and do not show: comments, attributes, titles, definitions.

Stripper(labels).paragraph(text), .html(text) -> text that is seen; what was found is in .found. Rules of GitHub's Markdown
(spec.commonmark.org 0.31, github.github.com/gfm); where they leave doubt, text is taken out. Every search goes on where the
last one ended or gives up within a bound, so hostile text costs no more than honest text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

COMMENTS, SILENT, TAGS = "HTML comments", "scripts and styles", "unknown HTML tags"
ATTRIBUTES, IMAGES, TITLES = "attributes of HTML", "texts of images", "titles of links"
TARGETS, LABELS, DEFINITIONS = "targets of links", "labels of links", "definitions of links"
FOOTNOTES, CELLS = "footnotes", "cells beside a table"

# What GitHub shows; of other elements it shows what they hold. github.com/gjtorikian/html-pipeline, sanitization_filter.rb
_KNOWN = re.compile(
    "a|abbr|b|bdo|blockquote|br|caption|center|cite|code|dd|del|details|dfn|div|dl|dt|em|figcaption|figure|font|h[1-6]|hr|i|"
    "img|input|ins|kbd|li|mark|ol|p|picture|pre|q|r[pt]|ruby|s|samp|small|source|span|strike|strong|su[bp]|summary|table|"
    "tbody|t[dhrt]|tfoot|thead|time|ul|var|video|wbr"
)
_RAW = frozenset({"script", "style"})  # their end alone is looked for in them
_SILENT = _RAW | {"template", "noscript"}
# What says nothing: sizes, places, and the word that GitHub's own editor writes for an image.
_WORDLESS = re.compile(r"image|[0-9]{0,5}(?:px|%)?|left|right|center|middle|top|bottom", re.IGNORECASE)
_LAYOUT = re.compile("width|height|v?align|alt|open|border|colspan|rowspan|start")

_VALUE = r"""\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'=<>`]++)"""
_TAG = re.compile(
    rf"<(/?)([A-Za-z][A-Za-z0-9-]*+)((?:\s++[A-Za-z_:][\w.:-]*+(?:{_VALUE})?)*+)\s*+/?>", re.ASCII
)
# As browsers read them: html.spec.whatwg.org, 13.2.5, from "tag open state" on.
_VALUED = r"""(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|(?!["'])[^\s>]++|(?=>))|(?!\s*+=))"""
_LOOSE_TAG = re.compile(rf"<(/?)([A-Za-z][^\s/>]*+)((?:[\s/]++|[^\s/>][^\s/>=]*+{_VALUED})*+)>")
_ATTRIBUTES = re.compile(r"""([^\s/>][^\s/>=]*+)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s>]++))?""")
_ARGUMENT = re.compile(r"<[A-Za-z]\w{0,23}>")  # of a type, as in `List<String>`
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
    rf"""(?:(?:[ \t]*+\n[ \t]*+|[ \t]++)({_TITLE})[ \t]*+(?=\n|\Z)|[ \t]++(["'(][^\n]*+)|[ \t]*+(?=\n|\Z))""",
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
    doubtful: bool = False  # perhaps one is none, but begins something that hides what follows


def definitions(text: str) -> Defined:
    """Take the definitions off a paragraph."""
    kept, words, titled, doubtful, at = "", [], False, False, 0
    while not _FOOTNOTE.match(text, at) and (found := _DEFINITION.match(text, at)):
        doubtful = doubtful or "<" in found[2][1:] + (found[4] or "")
        if found[1].isdecimal() and not re.search(r"[\s<]", found[2]):
            kept += f"[{found[1]}]: {found[2]}\n"
            titled = titled or bool(found[3] or found[4])
        else:
            words.append(label(found[1]))
        at = min(found.end() + 1, len(text))
    return Defined(text[at:], kept, tuple(words), titled, doubtful)


@dataclass(slots=True)
class _Bracket:
    """A `[` that may begin a link, or `![` an image: where it stands, and the pieces shown before it."""

    at: int
    pieces: int
    image: bool


@dataclass(slots=True)
class Stripper:
    """Reads one text block by block; what an element or a comment hides beyond its block stays hidden."""

    plain: Callable[[str], str]  # takes out what is not seen of text outside of code
    labels: Collection[str] = ()  # of definitions that are taken out
    found: list[str] = field(default_factory=list)
    noted: bool = False  # the paragraph ends in a footnote
    silent: str = ""  # the element whose end is awaited
    depth: int = 0  # how often it was opened
    lost: bool = False  # nothing that follows is shown
    endless: set[str] = field(default_factory=set)  # what does not end in the block that is read

    def paragraph(self, text: str) -> str:
        """Give what is seen of the lines of a paragraph or a heading."""
        note = _FOOTNOTE.search(text)
        if note:
            self.found.append(FOOTNOTES)
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
            self.found.append(CELLS)
        return lead + "|".join(self._inline(cell) for cell in cells[:width]) + end

    def html(self, text: str) -> str:
        """Give what is seen of a block of HTML, where Markdown means nothing and browsers forgive much."""
        pieces: list[str] = []
        self.endless.clear()
        at = 0
        while not self.lost and (opening := self._next(_OPENING, text, at)):
            self._show(pieces, text[at : opening.start()])
            at = self._markup(text, opening.start(), pieces)
        self._show(pieces, text[at:])
        return "".join(pieces)

    def _inline(self, text: str) -> str:
        pieces: list[str] = []
        brackets: list[_Bracket] = []
        runs = _runs(text)
        self.endless.clear()
        at = 0
        while not self.lost and (special := self._next(_SPECIAL, text, at)):
            start, what = special.start(), special[0]
            self._show(pieces, text[at:start])
            at = special.end()
            if what[0] == "`":
                at = _end_of_code(runs, at, len(what))
                pieces.append("" if self.silent else text[start:at])
            elif what[0] == "<":
                at = self._angle(text, start, pieces)
                if text[start + 1 : start + 2] in ("!", "?") and "`" in text[start:at]:
                    runs = {}  # readers differ in what ends it, and so in what is code behind it
            elif what == "]" and brackets:
                at = self._closed(text, at, brackets.pop(), pieces)
            else:
                if what in ("[", "!["):
                    brackets.append(_Bracket(at, len(pieces) + 1, what == "!["))
                self._show(pieces, what)
        self._show(pieces, text[at:])
        return "".join(pieces)

    def _next(self, special: re.Pattern[str], text: str, at: int) -> re.Match[str] | None:
        if self.silent in _RAW:
            return re.compile(rf"</(?={self.silent}\b)", re.IGNORECASE).search(text, at)
        return special.search(text, at)

    def _show(self, pieces: list[str], text: str) -> None:
        pieces.append("" if self.silent or self.lost else self.plain(text))

    def _angle(self, text: str, start: int, pieces: list[str]) -> int:
        """Read what begins with `<` among words; what is no markup is shown as it is. Give where it ends."""
        link = _AUTOLINK.match(text, start)
        tag = None if link else _TAG.match(text, start)
        if tag:
            self._show(pieces, self._tag(tag, text[start - 1 : start]))
            return tag.end()
        hides = None if link else _HIDES.match(text, start)
        end = self._hide(text, start, hides[0]) if hides else 0
        if end > 0:
            return end
        end = link.end() if link else start + 1
        self._show(pieces, text[start:end])
        return end

    def _markup(self, text: str, start: int, pieces: list[str]) -> int:
        """Read what begins with `<` in a block of HTML; what does not end swallows all that follows."""
        tag = _LOOSE_TAG.match(text, start)
        if tag:
            self._show(pieces, self._tag(tag, text[start - 1 : start]))
            return tag.end()
        hides = _HIDES.match(text, start)
        end = self._hide(text, start, hides[0] if hides else "<")
        tag_like = text[start + 1 : start + 3].removeprefix("/")[:1].isalpha()
        if end <= 0 or tag_like:
            self.found.append(ATTRIBUTES if tag_like else COMMENTS)
            self.lost = True
        return end if end > 0 else len(text)

    def _hide(self, text: str, start: int, opening: str) -> int:
        """Take out a comment or what browsers take for one; 0 where it does not end. Give where it ends.

        Where browsers end it elsewhere than Markdown does, nothing that follows is sure to be shown.
        """
        close = _CLOSES.get(opening, ">")
        inside = start + (2 if opening == "<!--" else len(opening))
        end = -1 if opening in self.endless else text.find(close, inside)
        if end < 0 and opening != "<!--":
            self.endless.add(opening)
            return 0
        self.found.append(COMMENTS)
        body = text[inside:end] if end >= 0 else text[inside:]
        if opening == "<!--":
            doubt = end < 0 or end < start + 4 or "--!>" in body or ("--" in body[2:] and "<" in body)
        else:
            doubt = ">" in body
        self.lost = self.lost or doubt
        return end + len(close) if end >= 0 else len(text)

    def _tag(self, tag: re.Match[str], before: str) -> str:
        slash, name, attributes = tag[1], tag[2].lower(), tag[3]
        if self.silent or name in _SILENT:
            if name == (self.silent or name):
                self.depth = max(self.depth + (-1 if slash else 1), 0)
            self.found += [] if self.silent else [SILENT]
            # What is raw in an element that is silent itself has an end of its own, which is not followed.
            self.lost = self.lost or (self.silent not in ("", name) and name in _RAW)
            self.silent = (self.silent or name) if self.depth else ""
            return ""
        if not _KNOWN.fullmatch(name):
            if before.isalnum() and _ARGUMENT.fullmatch(tag[0]):
                return tag[0]
            self.found.append(TAGS)
            return ""
        kept = "".join(self._attribute(each[1], each[2] or "") for each in _ATTRIBUTES.finditer(attributes))
        return f"<{slash}{tag[2]}{kept}>"

    def _attribute(self, name: str, value: str) -> str:
        bare = value[1:-1] if value[:1] in ("'", '"') else value
        if name.lower() in ("href", "src") and bare and not re.search(r"\s", bare):
            return f" {name}={value}"
        if not _LAYOUT.fullmatch(name.lower()) or not _WORDLESS.fullmatch(bare):
            self.found.append(ATTRIBUTES)
        return ""

    def _closed(self, text: str, at: int, bracket: _Bracket, pieces: list[str]) -> int:
        """Take the title out of the link that ends at this `]`, the text out of an image; give where its target ends."""
        target = _target(text, at)
        named = None if target else _LABEL.match(text, at)
        known = named is not None and label(named[1]) in self.labels
        if bracket.image and (target or known or self._known(text[bracket.at : at - 1])):
            shown = "".join(pieces[bracket.pieces :])
            del pieces[bracket.pieces :]
            if shown and not _WORDLESS.fullmatch(shown):
                self.found.append(IMAGES)
        self._show(pieces, "]")
        if target:
            where, titled, end = target
            spaced = re.search(r"\s", where) is not None
            self.found += [TITLES] if titled else []
            self.found += [TARGETS] if spaced else []
            self._show(pieces, "()" if spaced else f"({where})")
            return end
        if known and named is not None and named[1]:
            self.found.append(LABELS)
            return named.end()
        return at

    def _known(self, text: str) -> bool:
        return bool(self.labels) and len(text) <= 999 and "[" not in text and label(text) in self.labels


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


def _end_of_target(text: str, at: int) -> int:
    depth = 0
    limit = min(len(text), at + _LONGEST)
    while at < limit and not text[at].isspace():
        if text[at] == "\\":
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
