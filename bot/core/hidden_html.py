"""Owns what raw HTML hides once GitHub has rendered it: comments, attributes, elements that show nothing, unknown tags.

Page(plain, text).block(part), .node(part, pieces), .tag(...) -> what is seen; what was found is in .found. Read as browsers
read it (html.spec.whatwg.org, 13.2.5), after GitHub's filter of tags (github.github.com/gfm, 6.11) and its sanitizer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

COMMENTS, SILENT, TAGS = "HTML comments", "elements that are not shown", "unknown HTML tags"
ATTRIBUTES, BEYOND = "attributes of HTML", "all that follows unclear HTML"

# What GitHub shows; of other elements it shows what they hold. github.com/gjtorikian/html-pipeline, sanitization_filter.rb
_KNOWN = re.compile(
    "a|abbr|b|bdo|blockquote|br|caption|center|cite|code|dd|del|details|dfn|div|dl|dt|em|figcaption|figure|font|h[1-6]|hr|i|"
    "img|input|ins|kbd|li|mark|ol|p|picture|pre|q|r[pt]|ruby|s|samp|small|source|span|strike|strong|su[bp]|summary|table|"
    "tbody|t[dhrt]|tfoot|thead|time|ul|var|video|wbr"
)
# GitHub shows these tags as words, so they hide nothing; but for forms that its filter does not know, as <script/x>.
_FILTERED = re.compile("title|textarea|style|xmp|iframe|noembed|noframes|script|plaintext")
_WORDS = re.compile(rf"</?(?:{_FILTERED.pattern})(?=\s|/?>)", re.IGNORECASE)
# Browsers show nothing that the first two hold; of the others, which GitHub's sanitizer takes out, readers differ.
_FALLBACKS = frozenset({"rp", "video"})
_SILENT = _FALLBACKS | {"template", "noscript"}
_VOID = frozenset(
    {"br", "hr", "img", "input", "source", "wbr", "area", "col", "embed", "link", "meta", "track"}
)
_HOLDERS = frozenset({"p", "div", "center", "details", "blockquote"})  # whose end ends what is open in them
# Beyond them browsers look for no end of a paragraph or a point: what is open in them stays open.
_WALLS = frozenset(
    {
        "applet",
        "button",
        "caption",
        "desc",
        "foreignobject",
        "html",
        "marquee",
        "math",
        "object",
        "select",
        "svg",
    }
)
_WALLS |= frozenset({"table", "tbody", "td", "template", "tfoot", "th", "thead", "title", "tr"})
_WALL = re.compile(rf"<(?:{'|'.join(sorted(_WALLS))})(?![a-z0-9-])", re.IGNORECASE)
# What says nothing: sizes, places, and the word that GitHub's own editor writes for an image.
WORDLESS = re.compile(r"image|[0-9]{0,5}(?:px|%)?|left|right|center|middle|top|bottom", re.IGNORECASE)
_LAYOUT = re.compile("width|height|v?align|alt|open|border|colspan|rowspan|start")

_VALUED = r"""(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|(?!["'])[^\s>]++|(?=>))|(?!\s*+=))"""
_OPEN_TAG = rf"<(/?)([A-Za-z][^\s/>]*+)((?:[\s/]++|[^\s/>][^\s/>=]*+{_VALUED})*+)"
_TAG = re.compile(_OPEN_TAG + ">")
_CUT_TAG = re.compile(_OPEN_TAG + r"\Z")  # the next tag of the page ends it
_ATTRIBUTES = re.compile(r"""([^\s/>][^\s/>=]*+)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s>]++))?""")
_ARGUMENT = re.compile(r"<[A-Za-z]\w{0,23}>")  # of a type, as in `List<String>`
_OPENING = re.compile(r"<(?=[A-Za-z/!?])")
_END_OF_COMMENT = re.compile("--!?>")


@dataclass(slots=True)
class Page:
    """Reads one text part by part; what an element or a comment hides beyond its block stays hidden."""

    plain: Callable[[str], str]  # takes out what is not seen of text outside of code
    text: str = ""  # the whole one
    found: list[str] = field(default_factory=list)
    lost: bool = False  # nothing that follows is sure to be shown
    swallowed: bool = False  # whether words of later blocks are hidden
    silent: list[str] = field(default_factory=list)  # the element that shows nothing, and what is open in it
    _since: tuple[int, ...] = ()  # the path of the block in which it was opened
    _ends: bool = False  # whether it ends with what that block stands in
    _path: tuple[int, ...] = ()  # of the block that is read
    _tight: bool = False  # whether that is a paragraph of a tight list
    _holder: str = ""  # the tag right before the element, if its end ends it, too
    _before: str = ""  # the name of the last tag, if it was opened
    _cut: bool = False  # the last block ended within a tag
    _last: dict[str, int] = field(default_factory=dict)  # the line of an element's last end
    _block: str = ""  # the one that is read
    _wall: bool = False  # whether something in it stays open beyond it
    _end: int = 0  # its last line; -1 for a paragraph, in which all ends that begins in it

    @property
    def hides(self) -> bool:
        """Say whether what comes next is not shown."""
        return self.lost or bool(self.silent)

    def enter(self, path: tuple[int, ...], html: bool, tight: bool) -> None:
        """Begin a block; `path` names the lists, quotes and paragraph around it. What is open ends with what it stands in.

        A list that is tight has no paragraphs.
        """
        self._path, self._tight = path, tight
        if "" in self.silent and not self._wall:
            del self.silent[self.silent.index("") :]
        if self.silent and self._ends and path[: len(self._since)] != self._since:
            del self.silent[: 0 if _WALLS & set(self.silent) else None]
        self.lost = self.lost or (self._cut and html)
        self._cut = False
        # Browsers pass over an end that stands deeper than what it is to end.
        self.silent += (
            [""] if self.silent and self.silent[0] != "template" and len(path) > len(self._since) else []
        )

    def block(self, text: str, end: int) -> str:
        """Give what is seen of a block of HTML up to that line; Markdown means nothing there, and browsers forgive much."""
        pieces: list[str] = []
        self._begin(text, end)
        self.node(text, pieces)
        return "".join(pieces)

    def inline(self, text: str, read: Callable[[], str]) -> str:
        """Give what is seen of a paragraph or a cell, which `read` reads; elements of it end with it, at the latest."""
        self._begin(text, -1)
        outside = len(self.silent)
        shown = read()
        if not self._wall and not self._tight:
            del self.silent[outside:]
        return shown

    def _begin(self, text: str, end: int) -> None:
        self._block, self._end, self._wall = text, end, _WALL.search(text) is not None

    def node(self, text: str, pieces: list[str]) -> None:
        """Read raw HTML as it stands in the page."""
        at = 0
        while not self.lost and (opening := _OPENING.search(text, at)):
            self.show(pieces, text[at : opening.start()])
            at = self._markup(text, opening.start(), pieces)
        self.show(pieces, text[at:])

    def show(self, pieces: list[str], text: str, code: bool = False) -> None:
        """Add what is seen of words."""
        if self.silent and not self.lost and re.search(r"\w", text):
            self.found.append(SILENT)
        pieces.append("" if self.hides else text if code else self.plain(text))

    def _markup(self, text: str, start: int, pieces: list[str]) -> int:
        """Read what begins with `<`; give where it ends."""
        if _WORDS.match(text, start):
            self.show(pieces, "<")
            return start + 1
        tag = _TAG.match(text, start)
        if tag:
            pieces.append(self.tag(tag, text[start - 1 : start]))
            return tag.end()
        if text.startswith("<!--", start):
            return self._comment(text, start)
        end = text.find(">", start)
        if text[start + 1 : start + 3].removeprefix("/")[:1].isalpha():
            self.found.append(ATTRIBUTES)
            self._cut = _CUT_TAG.match(text, start) is not None
            self.lost = not self._cut
            return len(text)
        self.found.append(COMMENTS)  # as browsers take <?..> and <!..>
        self.lost = end < 0
        return end + 1 if end >= 0 else len(text)

    def _comment(self, text: str, start: int) -> int:
        """Take out a comment. Where readers differ in its end, nothing that follows is sure to be shown."""
        self.found.append(COMMENTS)
        empty = text.startswith(("<!-->", "<!--->"), start)
        end = _END_OF_COMMENT.search(text, start + 2 if empty else start + 4)
        self.lost = empty or end is None or end[0] == "--!>"
        return end.end() if end else len(text)

    def tag(self, tag: re.Match[str], before: str) -> str:
        """Give what is kept of a tag; its groups: a slash, name, attributes. `before` is the character before it."""
        slash, name, attributes = tag[1], tag[2].lower(), tag[3]
        if self.silent and not self._ended(slash, name):
            return ""
        if _FILTERED.fullmatch(name):
            if _WORDS.match(tag[0]) and "<" not in attributes:
                return self.plain(tag[0])
            self.found.append(SILENT)
            self.lost = not slash
            return ""
        holder = self._before
        self._before = "" if slash else name
        if name in _SILENT and not slash and self._hides(name, tag.end()):
            self.silent.append(name)
            self._since, self._holder = self._path, holder if holder in _HOLDERS else ""
            self._ends = not self._wall and (name != "template" or self._end < 0)
        if not _KNOWN.fullmatch(name):
            if before.isalnum() and _ARGUMENT.fullmatch(tag[0]):
                return self.plain(tag[0])
            self.found.append(SILENT if name in _SILENT else TAGS)
            return ""
        kept = "".join(self._attribute(each[1], each[2] or "") for each in _ATTRIBUTES.finditer(attributes))
        return self.plain(f"<{slash}{tag[2]}{kept}>")

    def _hides(self, name: str, at: int) -> bool:
        """Say whether an element that begins shows nothing: those that are taken out do so up to their end alone."""
        if name in _FALLBACKS:
            return True
        end = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
        if end.search(self._block, at):
            return True
        if name not in self._last:
            ends = [found.start() for found in end.finditer(self.text)]
            self._last[name] = self.text.count("\n", 0, ends[-1]) if ends else -1
        return 0 <= self._end <= self._last[name]

    def _ended(self, slash: str, name: str) -> bool:
        """Read a tag in an element that shows nothing; True if it ends that."""
        element = self.silent[0]
        if len(self.silent) == 1 and name == self._holder:
            self._holder = ""
            if slash:
                self.silent.clear()
                return True
        if slash and name == self.silent[-1]:
            self.silent.pop()
            return not self.silent
        # Browsers pass over an end within what is still open; that of a template ends all.
        if not slash and name not in _VOID and (element != "template" or name == element):
            self.silent.append(name)
        return False

    def _attribute(self, name: str, value: str) -> str:
        bare = value[1:-1] if value[:1] in ("'", '"') else value
        if name.lower() in ("href", "src") and bare and not re.search(r"\s", bare):
            return f" {name}={value}"
        if not _LAYOUT.fullmatch(name.lower()) or not WORDLESS.fullmatch(bare):
            self.found.append(ATTRIBUTES)
        return ""
