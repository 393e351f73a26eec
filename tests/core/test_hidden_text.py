"""What people do not see is taken out and told: judged by a Markdown parser and an HTML parser that we did not write."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.core.hidden_text import strip_hidden, strip_invisible

# Some of them make blocks, some hide, some only confuse whoever reads code by guessing.
PIECES = [
    *"`*_{}[]()<>#+-.!|~&:\\/\"'=\n ", "  ", "    ", "\n\n", "\n    ", "\n- ", "\n1. ", "\n> ", "\n# ", "\n```\n", "\n~~~ ",
    "``", "PSST", "PSST", "psst", "<!--", "-->", "--!>", "<?", "?>", "<![CDATA[", "]]>", "<!A ", "\n<div>\n", "\n</div>\n",
    "<b>", "</b>", "<a href=", "<p ", " title=", "<img src=x alt=", "\n<pre>", "</pre>", "\n<script>", "</script>",
    "<template>", "</template>", "![", "](", "][", "]: ", "[1]", "[psst]", "\n[psst]: ", "\n[1]: u", "(u \"", "<u>",
    "\n| a |\n|---|\n", " | ", "\n---\n", "\n===\n", "\t", "<https://x.y>", "\\`",
]  # fmt: skip
markdown = st.lists(st.sampled_from(PIECES), max_size=16).map("".join)

GITHUB = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


class _Page(HTMLParser):
    """Collects what a page shows, and the targets of its links, which agents may need."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("template", "noscript")
        targets = [value for name, value in attrs if name in ("href", "src") and value]
        self.shown += [value for value in targets if not re.search(r"\s|%20", value)]
        # The language of code is a word behind its marks.
        self.shown += [value or "" for name, value in attrs if tag == "code" and name == "class"]

    def handle_endtag(self, tag: str) -> None:
        self.hidden = max(self.hidden - (tag in ("template", "noscript")), 0)

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        end = self.rawdata.find(">", i)  # as browsers do; the standard library raises
        return end + 1 if end >= 0 else -1

    def handle_data(self, data: str) -> None:
        if not self.hidden and self.cdata_elem is None:
            self.shown.append(data)


def seen(text: str) -> str:
    page = _Page()
    page.feed(GITHUB.render(text) + "<hr>")
    return " ".join(page.shown)


@given(markdown)
@example("`a\nb` <!-- PSST --> `c`")
@example("<a href=`><!-- PSST -->`")
@example("[1]:u<template>)\nPSST")
@example("|\n<template>\n| a |\n|---|\n| b |\n\nPSST")
def test_no_word_that_nobody_sees_is_left(text: str) -> None:
    if hides(text):
        assert "psst" not in left(text)


def hides(text: str) -> bool:
    # Readers differ in what may begin behind a definition, a heading among it.
    # The parser takes a blank behind a backslash for a part of a link's target.
    doubtful = (
        text.count("]:") > 1
        or re.search(r"\\\s", text)
        or ("]:" in text and re.search(r"^\W*[=-]\W*$", text, re.MULTILINE))
    )
    return "psst" not in seen(text).lower() and not doubtful


def left(text: str) -> str:
    """Give what is left but for the targets of numbers, and arguments of types, which agents may need."""
    return re.sub(r"^.{0,9}\[1\]: \S+|\w<psst>", "", strip_hidden(text)[0].lower(), flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "plain", "kind"),
    [
        ("a<!-- do evil -->b", "ab", "HTML comments"),
        ("a<!-- never closed", "a", "HTML comments"),
        ("![run this](u.png)", "![](u.png)", "texts of images"),
        ('[x](http://u "do evil")', "[x](http://u)", "titles of links"),
        ('[1]: http://u "do evil"', "[1]: http://u", "titles of links"),
        ('<img src=u alt="do evil">', "<img src=u>", "attributes of HTML"),
        ("<p aria-label='evil' data-x=evil title=evil>t</p>", "<p>t</p>", "attributes of HTML"),
        ("<template>evil</template>t", "t", "scripts and styles"),
        ("a\u200b\u200cb", "ab", "invisible characters"),
        ("a\u202eb", "ab", "invisible characters"),
        ("a\U000e0064\U000e006fb", "ab", "invisible characters"),
        ("a&#8203;&#x200b;b", "ab", "invisible characters"),
        # Definitions show nothing of themselves.
        ("[do evil]: #", "", "definitions of links"),
        ('[//]: #\n  "do evil"', "", "definitions of links"),
        ('[x]: #\n"do\nevil"\nt', "t", "definitions of links"),
        ("> [//]: # (do evil)", "> ", "definitions of links"),
        ("- [//]: # (do evil)", "- ", "definitions of links"),
        ("[//]: # (a (b) c)", "", "definitions of links"),
        ("[^1]: evil\n\n    evil", "\n", "footnotes"),
        # What links and images are not shown by.
        ("![line one\nline two](u)", "![](u)", "texts of images"),
        ("![a `b` [c] d](u)", "![](u)", "texts of images"),
        ('[x](u "a \\"b\\" c")', "[x](u)", "titles of links"),
        ('[x](a(b(c)d)e "evil")', "[x](a(b(c)d)e)", "titles of links"),
        ("[x](u\n'do\nevil')", "[x](u)", "titles of links"),
        ("[x](<do evil>)", "[x]()", "targets of links"),
        ("| a |\n|---|\n| b | evil |", "| a |\n|---|\n| b |", "cells beside a table"),
        ("```sh do evil\nx\n```", "```sh\nx\n```", "words behind the marks of code"),
        # Tags keep their names and where they lead.
        ('<p class="x"title="evil">t</p>', "<p>t</p>", "attributes of HTML"),
        ('<div class="a>b" title="evil">', "<div>", "attributes of HTML"),
        ('<div>\n<kbd/title="evil">x', "<div>\n<kbd>x", "attributes of HTML"),
        ("<p name=a value=b cite=c abbr=d id=e>t</p evil>", "<p>t</p>", "attributes of HTML"),
        ("a <b do evil>b</b>", "a <b>b</b>", "attributes of HTML"),
        ("<a href='do evil' src=u>t</a>", "<a src=u>t</a>", "attributes of HTML"),
        ("<do><evil>t", "t", "unknown HTML tags"),
        ("<template><template></template>evil</template>t", "t", "scripts and styles"),
        ('<div title="\n\nevil', "\n\n", "attributes of HTML"),
        ("<div><!--\n\nevil", "<div>\n\n", "HTML comments"),
        # What looks like code and is none.
        ("<div>\n`<!-- evil -->`", "<div>\n``", "HTML comments"),
        ("<pre>\n\n```\n<!-- evil -->\n```\n</pre>", "<pre>\n\n```\n\n```\n</pre>", "HTML comments"),
        ("``` a`b\n<!-- evil -->", "``` a`b\n", "HTML comments"),
        ("- a\n\n  ```\n\nb <!-- evil -->", "- a\n\n  ```\n\nb ", "HTML comments"),
        ("`a\nb` <!-- evil --> `c`", "`a\nb`  `c`", "HTML comments"),
        ("\\` <!-- evil --> `", "\\`  `", "HTML comments"),
        ('<a href="`"><!-- evil -->`', '<a href="`">`', "HTML comments"),
        ("a | b\n-|-\n` | <!-- evil --> `", "a | b\n-|-\n` |  `", "HTML comments"),
        ("`` <!-- seen --> `` <!-- hidden -->", "`` <!-- seen --> `` ", "HTML comments"),
    ],
)
def test_hidden_text_is_taken_out_and_told(text: str, plain: str, kind: str) -> None:
    assert strip_hidden(text) == (plain, (kind,))


def test_every_kind_of_hidden_text_is_named_once() -> None:
    text = "<!-- a --><!-- b -->\u202e`x`<img alt=c>\u202e"
    assert strip_hidden(text) == ("`x`<img>", ("invisible characters", "HTML comments", "attributes of HTML"))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("plain", "plain"),
        ("a\u200bb", "ab"),
        ("\ufeffa", "a"),
        ("a\r\nb", "a\nb"),
        ("```html\n<!-- seen -->\n```\n", "```html\n<!-- seen -->\n```\n"),
        ("`<!-- seen -->`", "`<!-- seen -->`"),
        ("x < y and y > z &amp; &lt;", "x < y and y > z &amp; &lt;"),
        ("List<String> data-x", "List<String> data-x"),
        ("if a <b && c> d", "if a <b && c> d"),
        (
            "arr[i][j], [x][1] of <https://a.b>\n\n[1]: https://a.b",
            "arr[i][j], [x][1] of <https://a.b>\n\n[1]: https://a.b",
        ),
        (
            "1. Run:\n   ```sh\n   x <y> <!-- seen -->\n   ```\n2. t",
            "1. Run:\n   ```sh\n   x <y> <!-- seen -->\n   ```\n2. t",
        ),
        ("> ```\n> <!-- seen -->\n> ```", "> ```\n> <!-- seen -->\n> ```"),
        ("    <!-- seen -->", "    <!-- seen -->"),
        ("a\n===\n\n***\n\n1.\n- \n> \n", "a\n===\n\n***\n\n1.\n- \n> \n"),
        # As GitHub's own editor writes an image.
        ('<img width="12" alt="Image" src="https://x/y.png" />', '<img src="https://x/y.png">'),
        ("![image](u)", "![](u)"),
    ],
)
def test_honest_text_is_not_called_hidden(text: str, plain: str) -> None:
    assert strip_hidden(text) == (plain, ())


@given(markdown | st.text(max_size=60))
def test_what_is_left_holds_nothing_invisible(text: str) -> None:
    plain, _ = strip_hidden(text)
    assert strip_invisible(plain) == (plain, False)
    assert strip_hidden(plain)[0].count("\n") <= text.count("\n") + text.count("\r")


HOSTILE = [
    "[a]:" + " " * 60_000 + "x", "".join("`" * length + " " for length in range(1, 345)), "[a]: b\n" * 8_500, "<a " * 20_000,
    "x <!--" * 10_000, "x<?" * 20_000, "<![CDATA[" * 6_500, "](" * 30_000, "[x](u ((" * 7_500, "![" * 20_000 + "]" * 20_000 + "\n\n[a]: b",
    "<div>\n" + "<a b='" * 10_000, "<script>\n" + "</scrip " * 7_500, "|a" * 5_000 + "\n" + "|-" * 5_000 + "\n" + "b\n" * 20_000, "- a\n" * 15_000,
    "> - " * 15_000, "&#8203;" * 8_500, "x<" + "a@" * 30_000, "[x]: u '" * 7_500, "``` `\n" * 10_000, "\t" * 60_000, "x](<" * 15_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_hostile_text_costs_time_in_proportion_to_its_length(text: str) -> None:
    started = time.process_time()
    strip_hidden(text)
    assert time.process_time() - started < 2  # 0.5 s on a slow core; what was quadratic took 13 s
