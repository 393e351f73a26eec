"""Text from outside is shown and does nothing: judged by a Markdown parser that we did not write."""

from __future__ import annotations

import re

from hypothesis import assume, given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.core import ids
from bot.core.sanitize import code, escape, fence, inline, mermaid, truncate
from bot.core.sanitize import plain as plain_line

PIECES = [
    *"`*_{}[]()<>#+-.!|~@&:\\/\"'=\n\t $^1aF\r",
    "  ", "    ", "\n\n", "\n    ", "- ", "1. ", "> ", "# ", "```", "~~~", "````\n", "@octo", "@org/team", "a@b.de",
    "fixes #12", "GH-7", "o/r#3", "https://e.vil/x", "www.e.vil", "0123456789abcdef0123456789abcdef01234567",
    "<!--", "-->", "<!-- gitwright:status track=issue-1 -->", "<b>", "<img src=x onerror=y>", "![x](http://e.vil)",
    "[x](http://e.vil)", "[x]: http://e.vil", "&#64;octo", "&lt;", "<https://e.vil>", "---", "===", "| a | b |\n|---|---|\n",
    "\u200b", "\u202e", "\U000e0041", "\x00", "\u2028", "\x0b", "é", "😀", "javascript:alert(1)", "\ud800",
]  # fmt: skip
hostile = st.one_of(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.text(max_size=60))

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HARMLESS = {
    *(
        "paragraph_open",
        "paragraph_close",
        "inline",
        "text",
        "softbreak",
        "code_inline",
        "fence",
        "text_special",
    ),
    *("bullet_list_open", "bullet_list_close", "ordered_list_open", "ordered_list_close"),
    *("list_item_open", "list_item_close"),
}
ACTIVE = re.compile(
    r"(?<![\w`])@\w|(?<!\w)#[0-9]|\w#[0-9]|\bGH-[0-9]|://|\bwww\.|\b[0-9a-f]{40}\b", re.IGNORECASE
)


def tokens(text: str) -> list[Token]:
    flat: list[Token] = []
    for token in MARKDOWN.parse(text):
        flat += [token, *(token.children or [])]
    return flat


def visible_text(text: str) -> str:
    """Give what stands outside of code, where a forge looks for mentions, references and links."""
    parts = []
    for token in MARKDOWN.parse(text):
        for child in token.children or []:
            parts.append(child.content if child.type in ("text", "text_special") else "\ufffc")
        parts.append("\n")
    return "".join(parts)


def assert_harmless(shown: str) -> None:
    assert {token.type for token in tokens(shown)} <= HARMLESS
    assert not ACTIVE.search(visible_text(shown)), visible_text(shown)
    assert ids.parse_marker(shown) is None
    shown.encode()  # nothing that UTF-8 cannot hold


@given(hostile)
def test_whatever_comes_in_nothing_active_goes_out(text: str) -> None:
    assert_harmless(escape(text))


@given(hostile)
def test_one_line_stays_one_line_and_does_nothing(text: str) -> None:
    shown = inline(text)
    assert "\n" not in shown
    assert_harmless(shown)


@given(hostile)
def test_it_does_nothing_behind_our_own_words_either(text: str) -> None:
    assert_harmless(f"Stopped: {inline(text)} (see above)")
    assert_harmless(f"- {inline(text)}")


@given(hostile)
def test_a_table_cell_cannot_break_its_table(text: str) -> None:
    found = tokens(f"| a | b |\n|---|---|\n| {inline(text)} | end |\n")
    cells = [token for token in found if token.type == "td_open"]
    assert len(cells) == 2
    assert sum(token.type == "text" and token.content == "end" for token in found) >= 1


@given(hostile, st.text(max_size=10))
def test_a_code_block_holds_all_of_its_text(text: str, info: str) -> None:
    found = MARKDOWN.parse(f"{fence(text, info)}\nafter\n")
    assert [token.type for token in found] == ["fence", "paragraph_open", "inline", "paragraph_close"]


@given(hostile)
def test_a_code_span_is_one_span(text: str) -> None:
    shown = code(text)
    if shown:
        assert [token.type for token in tokens(f"a {shown} b")][2:] == [
            "text",
            "code_inline",
            "text",
            "paragraph_close",
        ]


@given(st.text(alphabet=st.sampled_from("abc defg.,()äö"), max_size=60))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assume(
        not any(re.fullmatch(r"[0-9a-f]{7,}", word) for word in re.split(r"[^a-z0-9]", text))
    )  # no commit ids
    assert inline(text) == " ".join(text.split())


@given(hostile, st.integers(200, 400))
def test_a_cut_text_keeps_its_marker_and_its_limit(text: str, limit: int) -> None:
    marker = "<!-- gitwright:status track=issue-12 -->"
    body = f"{marker}\n{escape(text * 20)}"
    shown = truncate(body, limit)
    assert len(shown) <= limit
    assert shown.startswith(marker)
    assert shown == body or "too long for one comment." in shown[-120:]


def test_a_code_block_that_is_cut_is_closed() -> None:
    shown = truncate("marker\n" + fence("x\n" * 500), 300)
    assert [token.type for token in MARKDOWN.parse(shown)][-1] == "paragraph_close"
    assert shown.count("```") == 2


def test_what_people_read() -> None:
    text = (
        "Hi @octo, this fixes #12 and acme/app#3.\n\n# Steps\n- call `foo()` with <None>\n"
        "1. see https://example.org/x\n```python\nx = 1\n```\n<!-- secret --> **bold**"
    )
    assert escape(text) == snapshot(
        """\
Hi `@octo`, this fixes `#12` and `acme/app#3`.

\\# Steps
- call `foo()` with &lt;None&gt;
1. see `https://example.org/x`
```python
x = 1
```
&lt;!-- secret --&gt; \\*\\*bold\\*\\*\
"""
    )


@given(hostile)
def test_a_mermaid_label_holds_no_syntax(text: str) -> None:
    label = mermaid(text)
    assert label
    assert not re.search(r"[\"<>\[\]{}|;#&`\n]", label)
    assert len(label) <= 40


@given(
    st.text()
    | st.lists(st.sampled_from(["#97", "@all", "GH-1", "fixes ", "o/r#3", "https://x.y/1", "\n"])).map(
        "".join
    )
)
def test_a_title_is_one_line_that_refers_to_nothing_and_nobody(text: str) -> None:
    shown = plain_line(text, 80)
    assert len(shown) <= 80
    assert len(shown.splitlines()) <= 1
    assert not re.search(r"[#@]\w|\bGH-\d|://", shown, re.IGNORECASE)


def test_a_title_keeps_its_words() -> None:
    assert plain_line("Fixes #97: ask @ada,\nsee https://x.y") == "Fixes 97: ask ada, see https: x.y"
