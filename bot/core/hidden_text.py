"""Owns hidden text: what a person does not see and a model would read.

strip_hidden(text) -> (text, kinds found); strip_invisible(text) -> (text, suspicious). Blocks are found by a Markdown
parser, what stands inside of them is read by bot/core/hidden_markup.py and hidden_html.py; all take time in proportion to the text.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from itertools import zip_longest

from markdown_it import MarkdownIt
from markdown_it.common.html_re import HTML_OPEN_CLOSE_TAG_STR
from markdown_it.rules_block import StateBlock

from bot.core.hidden_html import BEYOND, Page
from bot.core.hidden_markup import DEFINITIONS, TITLES, Defined, Stripper, begins_table, definitions

# Invisible on every screen; in honest texts single ones are left over by editors and exports.
_ZERO_WIDTH = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u2065\u206a-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
# Never honest in an issue: text direction overrides, the tag alphabet, supplementary variation selectors.
_DECEPTIVE = "\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f\U000e0100-\U000e01ef"
_CONTROL = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"

INVISIBLE = "invisible characters"
_INVISIBLE = re.compile(f"[{_ZERO_WIDTH}{_DECEPTIVE}{_CONTROL}]+")
_SUSPICIOUS = re.compile(f"[{_DECEPTIVE}]|[{_ZERO_WIDTH}]{{2}}")
_EMOJI_GLUE = re.compile("[\u200d\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff]+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

NESTED = "lines that are nested too deep"
INFO = "words behind the marks of code"

_MARKERS = re.compile(r"[\s>*+\-=_.)0-9#]*")  # of lines that hold no block: they show no words
_TAG_ALONE = re.compile(HTML_OPEN_CLOSE_TAG_STR)
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Find a table's lines; the parser's own rule makes a token of each of up to 65,536 empty cells."""
    if start + 2 > end or state.sCount[start + 1] < state.blkIndent:
        return False
    head, below = state.getLines(start, start + 2, state.blkIndent, False).split("\n")
    if state.is_code_block(start) or state.is_code_block(start + 1) or not begins_table(head, below):
        return False
    ends = state.md.block.ruler.getRules("blockquote")
    # For GitHub's parser other blocks come first, and only what would be a paragraph is a table's head.
    if _TAG_ALONE.fullmatch(head.strip()) or any(rule(state, start, end, True) for rule in ends):
        return False
    if silent:
        return True
    line = start + 2
    around, state.parentType = state.parentType, "table"  # which more kinds of blocks end than a paragraph
    while line < end and state.sCount[line] >= state.blkIndent and not state.isEmpty(line):
        if state.is_code_block(line) or any(rule(state, line, end, True) for rule in ends):
            break
        line += 1
    state.parentType = around
    token = state.push("table", "", 0)
    token.map = [start, line]
    token.content = state.getLines(start, line, state.blkIndent, False)
    state.line = line
    return True


# Blocks alone. Definitions are left in their paragraphs: there they are read in one go, however many.
_BLOCKS = MarkdownIt("commonmark", {"html": True}).disable(["reference", "inline"]).enable("table")
_BLOCKS.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines of one kind, and what they hold without the marks of quotes and lists around them."""

    kind: str
    path: tuple[int, ...]  # the lists, quotes and paragraph around it, each by a number
    tight: bool  # whether it is a paragraph of a tight list
    start: int
    end: int
    markup: str
    lines: tuple[str, ...]
    defined: Defined


def strip_hidden(text: str) -> tuple[str, tuple[str, ...]]:
    """Take hidden text out of Markdown, and name in plural words what was found that a person should look at.

    Code keeps its visible text. One zero-width character alone is taken out silently: honest texts have them.
    """
    text, suspicious = strip_invisible(text.replace("\r\n", "\n").replace("\r", "\n"))
    found = [INVISIBLE] if suspicious else []

    def plain(part: str) -> str:
        shown, suspect = strip_invisible(_ENTITY.sub(_decode_invisible, part))
        found.extend([INVISIBLE] if suspect else [])
        return shown

    blocks = _blocks(text)
    page = Page(plain, text, found)
    stripper = Stripper(page, frozenset(name for block in blocks for name in block.defined.labels))
    lines = text.split("\n")
    shown: list[str] = []
    at = 0
    for block in blocks:
        shown += _between(lines[at : block.start], found)
        shown += _seen(block, lines[block.start : block.end], stripper)
        at = block.end
    found += [BEYOND] if page.hides and page.swallowed else []
    return "\n".join([*shown, *_between(lines[at:], found)]), tuple(dict.fromkeys(found))


def _blocks(text: str) -> list[_Block]:
    blocks: list[_Block] = []
    around, tight = "", False
    path: list[int] = []
    for number, token in enumerate(_BLOCKS.parse(text)):
        if token.map and token.type in ("inline", "html_block", "fence", "code_block", "table"):
            start, end = token.map
            lines = tuple(line.strip() for line in token.content.removesuffix("\n").split("\n"))
            content = "\n".join(lines) if token.type == "inline" else ""
            defined = Defined(content) if around == "#" else definitions(content)
            own = () if token.type == "html_block" or (tight and token.type == "inline") else (number,)
            blocks.append(
                _Block(
                    token.type,
                    (*path, *own),
                    tight and token.type == "inline",
                    start,
                    end,
                    token.markup,
                    lines,
                    defined,
                )
            )
        if token.nesting > 0 and token.type in ("list_item_open", "blockquote_open"):
            path.append(number)
        elif token.nesting < 0 and token.type in ("list_item_close", "blockquote_close"):
            path.pop()
        tight = token.type == "paragraph_open" and token.hidden
        around = token.markup[:1] if token.type == "heading_open" else ""
    return blocks


def _between(lines: list[str], found: list[str]) -> list[str]:
    kept = [line for line in lines if _MARKERS.fullmatch(line)]
    found += [NESTED] if len(kept) < len(lines) else []
    return kept


def _seen(block: _Block, raw: list[str], stripper: Stripper) -> list[str]:
    """Give a block's lines as people see them."""
    page = stripper.page
    page.enter(block.path, block.kind == "html_block", block.tight)
    page.swallowed = page.swallowed or (page.hides and re.search(r"\w", "".join(block.lines)) is not None)
    if block.kind in ("fence", "code_block"):
        # A footnote goes on in lines that are indented, which look like code.
        stripper.noted = stripper.noted and block.kind == "code_block"
        if stripper.noted or page.hides:
            return []
        return [_fence(raw[0], block.markup, page.found), *raw[1:]] if block.kind == "fence" else raw
    stripper.noted = False
    if block.kind == "html_block":
        text = page.block("\n".join(block.lines), block.end)
    elif block.kind == "table":
        text = "\n".join(stripper.table(block.lines))
    else:
        text = block.defined.kept + stripper.paragraph(block.defined.text)
        page.found += [DEFINITIONS] if block.defined.labels else []
        page.found += [TITLES] if block.defined.titled else []
    parts = zip_longest(map(_around, raw, block.lines), text.rstrip("\n").split("\n"), fillvalue=None)
    shown = [(around or ("", ""), line) for around, line in parts if line is not None]
    return [f"{lead}{line}{end}" for (lead, end), line in shown]


def _around(raw: str, line: str) -> tuple[str, str]:
    """Give the marks in front of a line, of quotes, lists and headings, and what is left behind it."""
    place = raw.rfind(line) if line else len(raw)
    return (raw[:place], raw[place + len(line) :]) if place >= 0 else ("", "")


def _fence(line: str, marks: str, found: list[str]) -> str:
    """Keep the language alone behind the marks that begin code."""
    lead, _, info = line.partition(marks)
    words = info.split()
    language = words[0] if words and _LANGUAGE.fullmatch(words[0]) else ""
    if language == info.strip():
        return line
    found.append(INFO)
    return lead + marks + language


def strip_invisible(text: str) -> tuple[str, bool]:
    """Take characters out that are not seen; True where they are more than a left-over."""
    suspicious = False

    def clean(match: re.Match[str]) -> str:
        nonlocal suspicious
        run = match[0]
        joined = _EMOJI_GLUE.fullmatch(run) is not None and len(run) <= 2
        suspicious = suspicious or (not joined and _SUSPICIOUS.search(run) is not None)
        return ""

    plain = _INVISIBLE.sub(clean, text)
    # A lone surrogate cannot be written as UTF-8 at all.
    return plain.encode("utf-8", "replace").decode("utf-8"), suspicious


def _decode_invisible(match: re.Match[str]) -> str:
    """Decode an entity if what it stands for cannot be seen; then it is taken out as if it were written plainly."""
    decoded = html.unescape(match[0])
    return decoded if _INVISIBLE.fullmatch(decoded) else match[0]
