"""Owns text from outside on its way into Markdown that the bot posts: it is shown, and does nothing.

escape(text) keeps paragraphs, lists and code; inline(text) gives one line; fence(text, info) a code block;
plain(text) a title; truncate(text, limit) cuts as in bot/core/cutting.py; mermaid(text) labels a node; strip_hidden(text) and find_secrets(text) as in
bot/core/hidden_text.py and bot/core/secret_patterns.py.
"""

from __future__ import annotations

import re
from typing import Any

from bot.core import cutting
from bot.core.hidden_text import strip_hidden, strip_invisible
from bot.core.secret_patterns import Secret, find_secrets, redact

__all__ = [
    "COMMENT_LIMIT",
    "Secret",
    "code",
    "escape",
    "fence",
    "find_secrets",
    "inline",
    "mermaid",
    "plain",
    "redact",
    "strip_hidden",
    "truncate",
    "whole",
]

COMMENT_LIMIT = 65_536  # characters that GitHub takes in one body

_FENCE_OPEN = re.compile(r" {0,3}(`{3,}|~{3,})([^`]*)\Z")
_LIST_ITEM = re.compile(r"(\s*)([-*+]|[0-9]{1,9}[.)])\s+(\S.*)\Z")
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.*?[^`])\1(?!`)")
_TOKEN = re.compile(r"\S+")
_EDGES = "()[]{}<>,;:!?.\"'*_~|`\\"
# What a forge turns into a notification, a reference or a link: mentions, addresses, issue numbers, commits.
_ACTIVE = re.compile(
    r"@\w|#[0-9]|\bGH-[0-9]|\bGHSA-|://|\bwww\.|\b(?:mailto|xmpp|javascript|data|vbscript):|\b[0-9a-f]{7,64}\b",
    re.IGNORECASE,
)
_SPECIAL = re.compile(r"[\\`*_\[\]|~#$]")
_LEAD = re.compile(r"([-+=]|[0-9]{1,9}(?=[.)]))")


def escape(text: str) -> str:
    """Show any text in a Markdown document: paragraphs, lists and code stay, everything else is literal."""
    lines = _visible(text).split("\n")
    shown: list[str] = []
    index = 0
    while index < len(lines):
        opening = _FENCE_OPEN.match(lines[index])
        if opening:
            body, index = _fenced(lines, index + 1, opening[1])
            shown.append(fence("\n".join(body), opening[2].strip()))
            continue
        shown.append(_line(lines[index]))
        index += 1
    return "\n".join(shown)


def _fenced(lines: list[str], index: int, marks: str) -> tuple[list[str], int]:
    body: list[str] = []
    while index < len(lines):
        line = lines[index]
        index += 1
        closing = line.strip()
        if len(line) - len(line.lstrip()) < 4 and closing.startswith(marks) and not closing.strip(marks[0]):
            break
        body.append(line)
    return body, index


def _line(line: str) -> str:
    item = _LIST_ITEM.match(line.expandtabs(4))
    if item is None:
        return _literal(line.strip())
    # More than three spaces would make an indented code block.
    return f"{' ' * min(len(item[1]), 3)}{item[2]} {_literal(item[3].strip())}"


def inline(text: str) -> str:
    """Show any text inside one line, a table cell or a list item."""
    return _literal(" ".join(_visible(text).split()), bar="\u2502")


def code(text: str, bar: str = "|") -> str:
    """Show any text as a code span on one line; `bar` takes the place of what would end a table cell."""
    plain = " ".join(_visible(text).split()).replace("|", bar)
    if not plain:
        return ""
    marks = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    pad = " " if plain[0] == "`" or plain[-1] == "`" else ""
    return f"{marks}{pad}{plain}{pad}{marks}"


def fence(text: str, info: str = "") -> str:
    """Show any text as a code block whose fence is longer than every row of backticks in it."""
    plain = _visible(text).rstrip("\n")
    marks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    word = re.sub(r"[^A-Za-z0-9+-]", "", info.split()[0])[:20] if info.split() else ""
    return f"{marks}{word}\n{plain}\n{marks}"


def mermaid(text: str, limit: int = 40) -> str:
    """Label a node of a Mermaid graph: letters, digits and a little punctuation, cut to `limit` characters."""
    plain = " ".join(re.sub(r"[^\w .,:/()+-]", " ", _visible(text)).split())
    return (plain if len(plain) <= limit else plain[: limit - 1].rstrip() + "\u2026") or "-"


def plain(text: str, limit: int = 250) -> str:
    """Write any text as one line where no Markdown can hide it, a title or a commit message: nothing in it acts."""
    line = re.sub(r"[#@]+(?=\w)", "", " ".join(_visible(text).split()))
    line = re.sub(r"\b(GH|GHSA)-(?=\w)", r"\1 ", line, flags=re.IGNORECASE).replace("://", ": ")
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "\u2026"


def whole(value: Any) -> Any:
    """Replace halves of characters in a text or any JSON: no file, no database and no wire takes them."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {whole(key): whole(each) for key, each in value.items()}
    return [whole(each) for each in value] if isinstance(value, list) else value


def truncate(text: str, limit: int = COMMENT_LIMIT) -> str:
    """Cut a text to `limit` characters, inside its details first; the marker on top stays, code and details are closed."""
    return cutting.fit(text, limit)


def _visible(text: str) -> str:
    plain, _ = strip_invisible(text.replace("\r\n", "\n").replace("\r", "\n"))
    return re.sub("[\x85\u2028\u2029]", "\n", plain)


def _literal(text: str, bar: str = "|") -> str:
    """Make one line of text literal: what could act goes into code spans, what could format is escaped."""
    parts: list[str] = []
    last = 0
    for span in _CODE_SPAN.finditer(text):
        parts += [*_words(text[last : span.start()], bar), code(span[2], bar)]
        last = span.end()
    parts += _words(text[last:], bar)
    shown = ""
    for part in parts:
        # Two code spans side by side would become one with the wrong ends.
        shown += (" " if shown.endswith("`") and part.startswith("`") else "") + part
    return (
        _LEAD.sub(r"\\\1" if shown[:1] in "-+=" else r"\1\\", shown, count=1) if _LEAD.match(shown) else shown
    )


def _words(text: str, bar: str) -> list[str]:
    parts: list[str] = []
    last = 0
    for token in _TOKEN.finditer(text):
        if not _ACTIVE.search(token[0]):
            continue
        core = token[0].strip(_EDGES)
        start = token.start() + token[0].index(core)
        parts += [_escaped(text[last:start]), code(core, bar)]
        last = start + len(core)
    return [part for part in [*parts, _escaped(text[last:])] if part]


def _escaped(text: str) -> str:
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\g<0>", plain)
