"""Renders people's Markdown as safe HTML: no raw HTML but a few harmless tags, no hidden comments, task list boxes."""

import html
import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

_HTML_PART = re.compile(r"<!--.*?(?:-->|\Z)|<[^<>]*>", re.DOTALL)
_HARMLESS = re.compile(
    r"</?(details|summary|br|sub|sup|kbd|b|i|em|strong|ins|del|hr)\s*(open)?\s*/?>", re.IGNORECASE
)
_REFERENCE = re.compile(r"(?<![\w/&;])#([1-9]\d{0,8})\b(?!;)")
_BOX = re.compile(r"\[([ xX])\]\s+")
_BOX_LINE = re.compile(r"^(\s*(?:>\s*)*(?:[-*+]|\d+[.)])\s+\[)([ xX])(\]\s)")


class _Renderer(RendererHTML):
    """Writes raw HTML as text, except for tags without attributes that can do nothing; comments vanish."""

    def html_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _harmless(tokens[idx].content)

    def html_inline(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _harmless(tokens[idx].content)

    def text(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Text, with `#12` as a link to that issue where the reader's repository is known."""
        escaped = html.escape(tokens[idx].content)
        depth = sum(token.nesting for token in tokens[:idx] if token.type in ("link_open", "link_close"))
        base = env.get("base")
        if not base or depth:
            return escaped
        return _REFERENCE.sub(rf'<a href="{html.escape(base)}/issues/\1">#\1</a>', escaped)

    def box(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """A check box; a button that names its line where the reader may tick it."""
        line, ticked = tokens[idx].meta["line"], tokens[idx].meta["ticked"]
        sign, word = ("☑", "Untick") if ticked else ("☐", "Tick")
        off = "" if env.get("may_tick") else " disabled"
        return f'<button name="line" value="{line}" title="{word}"{off}>{sign}</button>'


_MARKDOWN = MarkdownIt("commonmark", {"html": True, "linkify": False}, renderer_cls=_Renderer).enable(
    ["table", "strikethrough"]
)


def render(text: str, *, may_tick: bool = False, base: str = "") -> Markup:
    """Return `text` as HTML that can hold no script, form or style of its author.

    `base` is the path of the repository that `#12` refers to.
    """
    tokens = _MARKDOWN.parse(text)
    _mark_boxes(tokens)
    rendered: str = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {"may_tick": may_tick, "base": base})
    return Markup(rendered)  # noqa: S704 - everything in it was escaped or written by the renderer above


def has_boxes(text: str) -> bool:
    """Whether a text holds anything that can be ticked."""
    tokens = _MARKDOWN.parse(text)
    _mark_boxes(tokens)
    return any(child.type == "box" for token in tokens for child in token.children or [])


def toggle(text: str, line: int) -> str:
    """Return `text` with the box on a line (from 0) flipped; unchanged if there is none."""
    lines = text.split("\n")
    if 0 <= line < len(lines):
        lines[line] = _BOX_LINE.sub(
            lambda found: found[1] + (" " if found[2] in "xX" else "x") + found[3], lines[line], count=1
        )
    return "\n".join(lines)


def _mark_boxes(tokens: Sequence[Token]) -> None:
    """Replace `[ ]` at the start of list items by box tokens that know their line."""
    for index, token in enumerate(tokens):
        opens_item = index >= 2 and tokens[index - 2].type == "list_item_open"
        if token.type != "inline" or not opens_item or not token.children or token.map is None:
            continue
        first = token.children[0]
        found = _BOX.match(first.content) if first.type == "text" else None
        if found is None:
            continue
        box = Token("box", "", 0, meta={"line": token.map[0], "ticked": found[1] != " "})
        first.content = first.content[found.end() :]
        token.children.insert(0, box)
        tokens[index - 2].attrSet("class", "box")


def _harmless(raw: str) -> str:
    shown: list[str] = []
    end = 0
    for part in _HTML_PART.finditer(raw):
        shown.append(html.escape(raw[end : part.start()]))
        end = part.end()
        if part[0].startswith("<!--"):
            continue
        shown.append(part[0] if _HARMLESS.fullmatch(part[0]) else html.escape(part[0]))
    shown.append(html.escape(raw[end:]))
    return "".join(shown)
