"""Owns hidden text: what a person does not see and a model would read.

strip_hidden(text) -> (text, kinds found); strip_invisible(text) -> (text, suspicious).
"""

from __future__ import annotations

import html
import re

# Invisible on every screen; in honest texts single ones are left over by editors and exports.
_ZERO_WIDTH = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u2065\u206a-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
# Never honest in an issue: text direction overrides, the tag alphabet, supplementary variation selectors.
_DECEPTIVE = "\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f\U000e0100-\U000e01ef"
_CONTROL = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"

INVISIBLE = "invisible characters"
_INVISIBLE = re.compile(f"[{_ZERO_WIDTH}{_DECEPTIVE}{_CONTROL}]+")
_SUSPICIOUS = re.compile(f"[{_DECEPTIVE}]|[{_ZERO_WIDTH}]{{2}}")
_EMOJI_GLUE = re.compile("[\u200d\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff]+")

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_CODE_SPAN = re.compile(r"(`+)(?!`)(?:.*?[^`])\1(?!`)")
_COMMENT = re.compile(
    r"<!--.*?(?:-->|\Z)|<[?].*?(?:[?]>|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<![A-Za-z][^>]*>", re.DOTALL
)
_ATTRIBUTE = re.compile(
    r"""\s(?:alt|title|hidden|style|(?:aria|data)-[\w-]+)(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'>]+))?""",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[A-Za-z][^<>]*>", re.DOTALL)
_SILENT_ELEMENT = re.compile(
    r"<(script|style|template|noscript)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE
)
_IMAGE_TEXT = re.compile(r"!\[[^\]\n]+\](?=[(\[])")
_LINK_TITLE = re.compile(r"""(\]\(\s*(?:<[^>\n]*>|[^\s()"']+))\s+(?:"[^"]*"|'[^']*'|\([^()]*\))\s*\)""")
_REFERENCE = re.compile(r"""^ {0,3}\[[^\]\n]+\]:[^\n]*$""", re.MULTILINE)
_REFERENCE_TITLE = re.compile(r"""\s+(?:"[^"]*"|'[^']*'|\([^()]*\))\s*$""")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def strip_hidden(text: str) -> tuple[str, tuple[str, ...]]:
    """Take hidden text out of Markdown, and name in plural words what was found that a person should look at.

    Code keeps its visible text. One zero-width character alone is taken out silently: honest texts have them.
    """
    text, suspicious = strip_invisible(text.replace("\r\n", "\n").replace("\r", "\n"))
    found = [INVISIBLE] if suspicious else []
    pieces: list[str] = []
    for code, piece in _split_code(text):
        if code:
            pieces.append(piece)
        else:
            plain, hidden = _strip_markup(piece)
            found += hidden
            pieces.append(plain)
    return "".join(pieces), tuple(dict.fromkeys(found))


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


def _split_code(text: str) -> list[tuple[bool, str]]:
    """Divide Markdown into code, which is seen as it is, and the rest; an open HTML comment hides fences."""
    pieces: list[tuple[bool, str]] = []
    rest: list[str] = []
    fence = ""
    commented = False
    for line in text.splitlines(keepends=True):
        found = _FENCE.match(line)
        if fence:
            pieces.append((True, line))
            if found and found[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif found and not commented:
            pieces += [*_split_spans("".join(rest)), (True, line)]
            rest, fence = [], found[1]
        else:
            rest.append(line)
            commented = _stays_commented(line, commented)
    return [*pieces, *_split_spans("".join(rest))]


def _stays_commented(line: str, commented: bool) -> bool:
    opened, closed = line.rfind("<!--"), line.rfind("-->")
    return opened > closed if opened >= 0 or closed >= 0 else commented


def _split_spans(text: str) -> list[tuple[bool, str]]:
    pieces: list[tuple[bool, str]] = []
    last = 0
    comments = [match.span() for match in _COMMENT.finditer(text)]
    for match in _CODE_SPAN.finditer(text):
        if any(start <= match.start() < end for start, end in comments):
            continue
        pieces += [(False, text[last : match.start()]), (True, match[0])]
        last = match.end()
    return [*pieces, (False, text[last:])]


def _strip_markup(text: str) -> tuple[str, list[str]]:
    """Take out what Markdown and HTML do not show: comments, silent elements, attributes, alternative texts, titles."""
    decoded = _ENTITY.sub(_decode_invisible, text)
    plain, suspicious = strip_invisible(decoded)
    found = [INVISIBLE] if suspicious else []
    for pattern, keep, kind in (
        (_COMMENT, "", "HTML comments"),
        (_SILENT_ELEMENT, "", "scripts and styles"),
        (_IMAGE_TEXT, "![]", "texts of images"),
        (_LINK_TITLE, r"\1)", "titles of links"),
    ):
        plain, count = pattern.subn(keep, plain)
        found += [kind] if count else []
    bare = _TAG.sub(lambda tag: _ATTRIBUTE.sub("", tag[0]), plain)
    titled = _REFERENCE.sub(lambda line: _REFERENCE_TITLE.sub("", line[0]), bare)
    found += ["attributes of HTML"] if bare != plain else []
    found += ["titles of links"] if titled != bare else []
    return titled, found


def _decode_invisible(match: re.Match[str]) -> str:
    """Decode an entity if what it stands for cannot be seen; then it is taken out as if it were written plainly."""
    decoded = html.unescape(match[0])
    return decoded if _INVISIBLE.fullmatch(decoded) else match[0]
