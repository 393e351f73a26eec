"""A text that is too long loses what stands inside details first; what is left can be read."""

from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from markdown_it import MarkdownIt

from bot.core.cutting import NOTICE, fit
from bot.core.sanitize import fence

MARKER = "<!-- gitwright:plan track=issue-1 -->"


def details(name: str, body: str) -> str:
    return f"<details><summary>{name}</summary>\n\n{body}\n\n</details>"


def test_details_are_cut_before_what_everybody_reads() -> None:
    text = "\n\n".join(
        [
            MARKER,
            "Top.",
            details("Large", fence("line\n" * 300)),
            details("Small", "short"),
            "Commands below.",
        ]
    )
    shown = fit(text, 400)
    assert len(shown) <= 400
    assert shown.replace("line\n", "") == snapshot("""\
<!-- gitwright:plan track=issue-1 -->

Top.

<details><summary>Large</summary>

```
```

… cut here: too long for one comment.

</details>

<details><summary>Small</summary>

short

</details>

Commands below.\
""")


def test_where_that_is_not_enough_the_end_goes() -> None:
    shown = fit("\n\n".join([MARKER, "word\n" * 200, details("D", "x\n" * 300), "end\n" * 100]), 700)
    assert len(shown) <= 700
    assert shown.startswith(MARKER)
    assert shown.endswith(NOTICE)


def test_details_in_code_are_code() -> None:
    text = MARKER + "\n" + fence("<details>\n" + "x\n" * 100 + "</details>") + "\nEnd." * 3
    shown = fit(text, 200)
    assert len(shown) <= 200
    assert shown.count("```") == 2
    assert "End." not in shown


TAGS = ["<details>", "<details><summary>s</summary>", "<summary>t</summary>", "</details>"]
LINES = st.sampled_from([*TAGS, "```", "````", "```py", "", "word " * 20, "x", "\u00e9" * 40])


@given(st.lists(LINES, max_size=60), st.integers(200, 1500))
def test_whatever_is_cut_fits_keeps_its_top_and_leaves_no_code_open(lines: list[str], limit: int) -> None:
    text = "\n".join([MARKER, *lines])
    shown = fit(text, limit)
    assert len(shown) <= limit
    assert shown.startswith(MARKER)
    assert shown == text or NOTICE in shown
    if shown == text:
        return
    after = MarkdownIt("commonmark").parse(shown[shown.index(NOTICE) :])
    assert after[0].type == "paragraph_open"
