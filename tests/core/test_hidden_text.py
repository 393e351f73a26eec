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
    "<template>", "</template>", "<video>", "</video>", "<rp>", "</rp>", "\n<video>\n", "\n</p>\n", "<?x > ", "--", "![", "](", "][", "]: ", "[1]", "[psst]", "\n[psst]: ", "\n[1]: u", "(u \"", "<u>",
    "\n| a |\n|---|\n", " | ", "\n---\n", "\n===\n", "\t", "<https://x.y>", "\\`",
]  # fmt: skip
markdown = st.lists(st.sampled_from(PIECES), max_size=16).map("".join)

GITHUB = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


# GitHub shows these tags as words: github.github.com/gfm, 6.11.
FILTERED = re.compile(
    r"<(/?(?:title|textarea|style|xmp|iframe|noembed|noframes|script|plaintext)(?:\s|/?>))", re.IGNORECASE
)
VOID = ("img", "br", "hr", "input", "source", "wbr")
SPECIAL = (
    "p",
    "div",
    "pre",
    "table",
    "thead",
    "tbody",
    "tr",
    "td",
    "th",
    "ul",
    "ol",
    "li",
    "blockquote",
    "h1",
    "h2",
)


class _Page(HTMLParser):
    """Collects what a page shows, and the targets of its links, which agents may need."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []
        self.open: list[str] = []
        self.waiting: list[str] = []  # in a template: the sanitizer takes out its tags alone, unless it ends

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in SPECIAL and "p" in self.open and "template" not in self.open:
            self.handle_endtag("p")
        self.open += [] if tag in VOID else [tag]
        targets = [value for name, value in attrs if name in ("href", "src") and value]
        self.shown += [value for value in targets if not re.search(r"\s|%20", value)]
        # The language of code is a word behind its marks.
        self.shown += [value or "" for name, value in attrs if tag == "code" and name == "class"]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.open:
            return
        at = len(self.open) - 1 - self.open[::-1].index(tag)
        if tag not in SPECIAL and tag != "template" and any(inner in SPECIAL for inner in self.open[at:]):
            return
        del self.open[at:]
        if "template" not in self.open:
            self.shown += [] if tag == "template" else self.waiting
            self.waiting.clear()

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        end = self.rawdata.find(">", i)  # as browsers do; the standard library raises
        return end + 1 if end >= 0 else -1

    def handle_data(self, data: str) -> None:
        if not {"video", "rp"} & set(self.open) and self.cdata_elem is None:
            (self.waiting if "template" in self.open else self.shown).append(data)

    def words(self, page: str) -> str:
        self.feed(page + "<hr>")
        return " ".join(self.shown + self.waiting)


def seen(text: str) -> str:
    return _Page().words(FILTERED.sub(r"&lt;\1", GITHUB.render(text)))


@given(markdown)
@example("`a\nb` <!-- PSST --> `c`")
@example("<a href=`><!-- PSST -->`")
@example("<p psst|\n- |")
@example("1. <rp>T\n   >PSST")
@example("[psst]:\\")
@example("<\na|\n-|\n*\n<o\nPSST>")
@example("<video>\n\n1. </video>\nPSST")
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
        or re.search(r"^[\s>]*(?:[<~`#]|[-+*] |\d).*\|.*\n[\s>]*[|:-]", text, re.MULTILINE)
        or re.search(r"\]:.*\n?.*\n\W*<", text)
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
        ("<!-- never closed", "", "HTML comments"),
        ("a<!-- --><!-- do evil -->b", "ab", "HTML comments"),
        ("<!-- a\n\nb <x -- -->\n\nrest", "\n\nrest", "HTML comments"),
        ("![run this](u.png)", "![](u.png)", "texts of images"),
        ('[x](http://u "do evil")', "[x](http://u)", "titles of links"),
        ('[1]: http://u "do evil"', "[1]: http://u", "titles of links"),
        ('<img src=u alt="do evil">', "<img src=u>", "attributes of HTML"),
        ("<p aria-label='evil' data-x=evil title=evil>t</p>", "<p>t</p>", "attributes of HTML"),
        ("<template>evil</template>t", "t", "elements that are not shown"),
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
        ("<template><template></template>evil</template>t", "t", "elements that are not shown"),
        ("<div\nevil\n\nrest", "\n\nrest", "attributes of HTML"),
        # What holds words that no browser shows.
        ("<ruby>a<rp>evil</rp></ruby>", "<ruby>a<rp></rp></ruby>", "elements that are not shown"),
        ("a <rp>evil\n\nrest", "a <rp>\n\nrest", "elements that are not shown"),
        ("<video src=u>evil</video>t", "<video src=u></video>t", "elements that are not shown"),
        ("<video>\n\nevil\n\n</video>\n\nt", "<video>\n\n\n\n</video>\n\nt", "elements that are not shown"),
        ("a <video>evil `evil`\n\nrest", "a <video>\n\nrest", "elements that are not shown"),
        (
            "<p>\n<video src=u>evil\n</p>\n\nrest",
            "<p>\n<video src=u></p>\n\nrest",
            "elements that are not shown",
        ),
        ("- <video>\n  evil\n\nrest", "- <video>\n\nrest", "elements that are not shown"),
        ("- <video>\n\n  evil\n- rest", "- <video>\n\n  \n- rest", "elements that are not shown"),
        ("<template>\n\nevil\n\n</template>\n\nt", "\n\n\n\n\n\nt", "elements that are not shown"),
        ("The <template> element\n\nrest", "The  element\n\nrest", "elements that are not shown"),
        # What PHP and browsers end elsewhere.
        ("a <?php echo $a->b; ?> b", "a b; ?> b", "HTML comments"),
        ("<?php\n$a->b();\n?>\n\nrest", "b();\n?>\n\nrest", "HTML comments"),
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


@pytest.mark.parametrize(
    ("text", "plain", "kind"),
    [
        ('<div title="\n\nevil', "\n\n", "attributes of HTML"),
        ("<div><!--\n\nevil", "<div>\n\n", "HTML comments"),
        ("<!-- a --!> evil -->\n\nevil", "\n\n", "HTML comments"),
        ("<!-->\n\nevil\n\n-->", "\n\n\n\n", "HTML comments"),
        ("<div><script/x>\n\nevil", "<div>\n\n", "elements that are not shown"),
        ("a <!-- -- <b title='--> evil'>\n\nrest", "a \n\nrest", "HTML comments"),
        ("a <!-- -- ![--> evil](u)\n\nrest", "a \n\nrest", "HTML comments"),
        ("<video>\n\nevil", "<video>\n\n", "elements that are not shown"),
        ("<video>\n\na </video> evil", "<video>\n\n", "elements that are not shown"),
        ("<div><video><div></video>evil\n\nevil", "<div><video>\n\n", "elements that are not shown"),
        ("a <object><video>evil\n\nevil", "a <video>\n\n", "unknown HTML tags"),
        ("- <object><video>evil\n\nevil", "- <video>\n\n", "unknown HTML tags"),
        ("<div a\n\n<!--a='> -->evil'>", "\n\n", "attributes of HTML"),
    ],
)
def test_what_goes_with_unclear_html_is_told(text: str, plain: str, kind: str) -> None:
    shown, found = strip_hidden(text)
    assert (shown, found[0], found[-1]) == (plain, kind, "all that follows unclear HTML")


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


# As people write them, each followed by what is seen of it.
HONEST = [
    ("<!-- Please paste the output of `tool --version <path>` here -->", ""),
    ("<!--\nrun `npm ls --all` and read <https://example.com/docs>.\n-->", ""),
    ("<!-- ------ <b>Template</b> ------ -->", ""),
    ("<!--- Provide a general summary -- of <the> issue --->", ""),
    ("**OS** <!-- of `uname --all > <file>`, [x] or [ ] --> Linux 6", "**OS**  Linux 6"),
    ("a <!-- -- <https://a.b> --> b <!-- [x](u) --> c", "a  b  c"),
    ("[1]: https://a.b/c?x<y", "[1]: https://a.b/c?x<y"),
    ("[2]: https://a.b/(c)\n[3]: <https://a.b>", "[2]: https://a.b/(c)\n[3]: <https://a.b>"),
    ("[INFO]: starting \"server\" now", "[INFO]: starting \"server\" now"),
    ("[error]: https://x (a (b) c) <-- here", "[error]: https://x (a (b) c) <-- here"),
    ("The <script> element is not escaped.", "The <script> element is not escaped."),
    ("<script>alert('x < y')</script>\n<style>\nb { color: red }\n</style>",) * 2,
    ('<iframe src="u" title="seen"></iframe> and </textarea> & <title>',) * 2,
    ("A <template> without an end, and <noscript>.", "A  without an end, and ."),
    ("It fails with List<String> and Map<K>, if a <b && c> d, x<y, a << b, 1 <2> 3.",) * 2,
    ("Parsing stops at <!-- in the input, at <? and at <![CDATA[ too, <- here", ) * 2,
    ("Escape `<script>`, `<!--` and ``<b title=\"`\">``, please.",) * 2,
    ("I use <br> and <b>bold</b> <kbd>x</kbd>",) * 2,
    ("<details>\n<summary>Log</summary>\n\n```\n<!-- x -- <y> -->\n```\n\n</details>",) * 2,
    ("<details>\n<summary>Log</summary>\nError at <\n</details>",) * 2,
    ("```html\n<script>\n<!--\n<template>\n```", "```html\n<script>\n<!--\n<template>\n```"),
    ("    <video> <!-- x", "    <video> <!-- x"),
    ("<video src=\"https://a.b/c.mp4\"></video>",) * 2,
    ("<ruby>a<rp>(</rp><rt>b</rt><rp>)</rp></ruby>", "<ruby>a<rp></rp><rt>b</rt><rp></rp></ruby>"),
    ("<p align=center>\n<video src=u>\n</p>", "<p>\n<video src=u></p>"),
    ("- [ ] a <video> tag", "- [ ] a <video>"),
    ("- a <video> tag\n- b\n  1. <rp>\n  2. c", "- a <video>\n- b\n  1. <rp>\n  2. c"),
    ("| a <video> | b <!-- x --> |\n|---|---|\n| <script> | <T> |", "| a <video>| b  |\n|---|---|\n| <script> |  |"),
    ("<?php echo $a->b(); ?>", "b(); ?>"),
    ("<!DOCTYPE html>\n<html>\n<body>\nHello", "\n\n\nHello"),
    ("<div class=x>\nHello <span\n", "<div>\nHello"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "shown"), HONEST, ids=lambda text: repr(text[:24]))
def test_of_honest_text_what_is_seen_stays(text: str, shown: str) -> None:
    rows = [
        row.rstrip() for row in strip_hidden(f"## Steps\n\n{text}\n\nIt *crashes* on start.")[0].split("\n")
    ]
    assert (rows[0], rows[-1]) == ("## Steps", "It *crashes* on start.")
    assert "\n".join(rows[2:-2]).strip("\n") == "\n".join(row.rstrip() for row in shown.split("\n")).strip(
        "\n"
    )


@given(st.lists(st.sampled_from(HONEST), max_size=6), st.sampled_from(["", "- ", "> ", "### "]))
def test_words_between_honest_blocks_stay(blocks: list[tuple[str, str]], lead: str) -> None:
    text = "".join(f"{block}\n\n{lead}word {place}.\n\n" for place, (block, _) in enumerate(blocks))
    shown = strip_hidden(text)[0].split("\n")
    assert [row for row in shown if " of the" not in row and "word " in row] == [
        f"{lead}word {place}." for place in range(len(blocks))
    ]
    assert "all that follows unclear HTML" not in strip_hidden(text)[1]


@given(markdown | st.text(max_size=60))
def test_what_is_left_holds_nothing_invisible(text: str) -> None:
    plain, _ = strip_hidden(text)
    assert strip_invisible(plain) == (plain, False)
    assert strip_hidden(plain)[0].count("\n") <= text.count("\n") + text.count("\r")


HOSTILE = [
    "[a]:" + " " * 60_000 + "x", "".join("`" * length + " " for length in range(1, 345)), "[a]: b\n" * 8_500, "<a " * 20_000,
    "x <!--" * 10_000, "x<?" * 20_000, "<![CDATA[" * 6_500, "](" * 30_000, "[x](u ((" * 7_500, "![" * 20_000 + "]" * 20_000 + "\n\n[a]: b",
    "<div>\n" + "<a b='" * 10_000, "<script>\n" + "</scrip " * 7_500, "|a" * 5_000 + "\n" + "|-" * 5_000 + "\n" + "b\n" * 20_000, "- a\n" * 15_000,
    "> - " * 15_000, "&#8203;" * 8_500, "x<" + "a@" * 30_000, "[x]: u '" * 7_500, "``` `\n" * 10_000, "\t" * 60_000, "x](<" * 15_000, "<video>\n\n- <div>\n" * 4_000, "a <template>" * 5_000, "<!-- -- <a -->" * 4_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_hostile_text_costs_time_in_proportion_to_its_length(text: str) -> None:
    started = time.process_time()
    strip_hidden(text)
    assert time.process_time() - started < 2  # 0.5 s on a slow core; what was quadratic took 13 s
