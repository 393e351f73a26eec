"""How a story reads what was posted: without what differs from run to run, and as a browser would show it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

JsonDict = dict[str, Any]

_CHANGING = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "<sha256>"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "<sha>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"(?<=; checked )\d{4}-\d\d-\d\d \d\d:\d\d UTC"), "<time>"),
    (re.compile(r"\b\d+\.\d+ ?s\b"), "<n> s"),
    (re.compile(r"(?<=\*\*Time:\*\* )[^.]+"), "<duration>"),
    (re.compile(r"(?<=sandbox of level )`\w+` \([^)]*\)"), "`<level>`"),
)
_STATE = re.compile(r"\A<!-- gitwright:status track=\S+ -->\n<!-- gitwright:state (?P<json>.*) -->\n")
_HTML_COMMENT = re.compile(r"^<!--.*?-->\n?|<!--.*?-->", re.DOTALL | re.MULTILINE)
_ACTIVE = re.compile(r"(?<![\w/])@[A-Za-z0-9]|#[0-9]+|\bGH-[0-9]+|https?://|\bwww\.", re.IGNORECASE)
_CLOSING = re.compile(
    r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)\b:?\s+(?:\S*#|GH-|https?://)", re.IGNORECASE
)


def read(body: str, names: Mapping[int, str] | None = None) -> str:
    """Give a text as a person reads it: hidden comments left out, shas, times and, by `names`, numbers named."""
    shown = _HTML_COMMENT.sub("", body)
    for number, name in (names or {}).items():
        shown = re.sub(rf"#{number}\b", f"#<{name}>", shown)
    for pattern, name in _CHANGING:
        shown = pattern.sub(name, shown)
    return "\n".join(line.rstrip() for line in shown.strip().splitlines())


def state_of(body: str) -> JsonDict:
    """Read the block of state below the marker of a status comment; AssertionError where there is none."""
    found = _STATE.search(body.replace("\r\n", "\n"))  # a page sends it so, with the box that somebody ticked
    assert found is not None, f"a status comment without its block of state:\n{body}"
    state = json.loads(found["json"])
    assert isinstance(state, dict)
    return state


def prose(body: str) -> list[str]:
    """Give the pieces of plain text, outside code, in which a forge looks for mentions and references."""
    return [
        child.content
        for token in _tokens(body)
        if token.type == "inline"
        for child in token.children or ()
        if child.type == "text"
    ]


def active(body: str, own: set[str]) -> list[str]:
    """Name what a text would do beside being read: HTML, links, images, mentions, references, closing keywords.

    `own` are the references and pieces of HTML that the bot itself means.
    """
    found: list[str] = []
    for token in _tokens(body):
        found += _html(token, own)
        for child in token.children or ():
            found += _html(child, own)
            if child.type in {"link_open", "image"}:
                found.append(f"{child.type} {child.attrs}")
    for piece in prose(body):
        found += [hit[0] for hit in _ACTIVE.finditer(piece) if hit[0] not in own]
        found += [hit[0] for hit in _CLOSING.finditer(piece)]
    return found


def _html(token: Token, own: set[str]) -> list[str]:
    if token.type not in {"html_block", "html_inline"}:
        return []
    left = _HTML_COMMENT.sub("", token.content)
    for piece in own:
        left = left.replace(piece, "")
    return [f"{token.type} {left.strip()}"] if left.strip() else []


def _tokens(body: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(body)
