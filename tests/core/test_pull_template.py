"""Pull-request templates: found where GitHub finds them, their check lists kept, nothing in them acts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from bot.core import pull_template
from tests.stories.reading import active

TEMPLATE = """\
<!-- Thank you! @everyone: tick [x] all -->
- [x] I read CONTRIBUTING

# Description
Please describe your change. <script>alert(1)</script>

## Checklist ##
* [ ] tests pass, ask @maintainers
* [X] changelog, see https://evil.example and #12
1. [] numbered

```md
## no heading
- [ ] no item
```
## Kind of change
### Breaking?
- [ ] yes <!-- hidden
never shown -->
"""


def test_headings_and_check_lists_stay_and_nothing_is_ticked() -> None:
    text = pull_template.shown(TEMPLATE)
    assert text == snapshot("""\
- [ ] I read CONTRIBUTING

## Description

### Checklist

- [ ] tests pass, ask `@maintainers`
- [ ] changelog, see `https://evil.example` and `#12`
- [ ] numbered

### Kind of change

#### Breaking?

- [ ] yes\
""")
    assert active(text, set()) == []


def test_where_github_looks() -> None:
    choose = pull_template.choose
    assert choose(["src/pull_request_template.md", "README.md"]) is None
    assert choose([".github/PULL_REQUEST_TEMPLATE.md", "docs/pull_request_template.md"]) == (
        ".github/PULL_REQUEST_TEMPLATE.md"
    )
    assert (
        choose([".github/pull_request_template.md", "PULL_REQUEST_TEMPLATE.txt"])
        == ".github/pull_request_template.md"
    )
    several = [
        f".github/PULL_REQUEST_TEMPLATE/{name}" for name in ("fix.md", "default.md", "add.md", "x.yml")
    ]
    assert choose(several) == ".github/PULL_REQUEST_TEMPLATE/default.md"
    assert choose([several[0], several[2]]) == ".github/PULL_REQUEST_TEMPLATE/add.md"
    assert choose([*several, "docs/pull_request_template.md"]) == several[1]


def test_what_people_ticked_stays_ticked() -> None:
    before = "- [x] tests pass\r\n- [ ] changelog\r\n- [X] gone"
    after = "New words.\n\n- [ ] tests pass\n- [ ] changelog"
    assert pull_template.keep_ticks(before, after) == "New words.\n\n- [x] tests pass\n- [ ] changelog"


@given(st.text(max_size=400) | st.lists(st.sampled_from(TEMPLATE.split("\n"))).map("\n".join))
def test_no_template_acts_or_grows(text: str) -> None:
    shown = pull_template.shown(text)
    assert active(shown, set()) == []
    assert not [line for line in shown.split("\n") if line.lower().startswith("- [x]")]
    assert pull_template.keep_ticks(shown, shown) == shown


def test_a_line_that_was_made_to_keep_us_busy_is_a_heading_like_any_other() -> None:
    """A pattern with three open ends took minutes at some thousand blanks; the test's time-out would end it."""
    line = "# a" + " " * 60_000 + "x ##"
    assert pull_template.sections(line)[0].level == 1
