"""Commit style: the habit of a repository is found, followed, and never invented."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from bot.core.commit_style import LONGEST, PLAIN, Style, detect, worded

CONVENTIONAL = [
    "feat: add parser",
    "fix(api): close socket",
    "docs: say how",
    "chore: tidy",
    "feat(api): page",
]
FORMS = {
    "conventional": [f"feat(api): add {n}" for n in range(6)],
    "bracket": [f"[parser] Add {n}" for n in range(6)],
    "area": [f"net/http: add {n}" for n in range(6)],
    "gitmoji": [f":sparkles: Add {n}" for n in range(6)],
    "plain": [f"Add {n}" for n in range(6)],
}
SUBJECTS = st.lists(
    st.text(max_size=90) | st.sampled_from([s for each in FORMS.values() for s in each]), max_size=60
)
STYLES = st.builds(
    Style,
    form=st.sampled_from(sorted(FORMS)),
    lower=st.booleans(),
    types=st.just(("feature", "fix")),
    areas=st.just(("api", "parser")),
    scoped=st.booleans(),
    signs=st.booleans(),
)
PATHS = st.lists(
    st.sampled_from(["src/api/a.py", "docs/x.md", "tests/test_a.py", "parser.py", ""]), max_size=4
)


@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_habit_is_found_and_followed(form: str) -> None:
    style = detect(FORMS[form])
    assert style.form == form
    ours = worded(style, "Say goodbye", "simple", ["net/http/api/parser.py"])
    assert detect([ours] * 6).form == form


def test_what_is_written() -> None:
    asked = ("Say goodbye.", "simple", ["src/api/bye.py", "tests/test_bye.py"])
    found = {
        "conventional": worded(detect(FORMS["conventional"]), *asked),
        "few scopes": worded(detect(CONVENTIONAL), *asked),
        "no such area": worded(detect(FORMS["bracket"]), *asked),
        "bracket": worded(detect(FORMS["bracket"]), "Say goodbye", "simple", ["src/parser/bye.py"]),
        "area": worded(detect(FORMS["area"]), "Fix BacklogManager", "simple", ["net/http/bye.go"]),
        "signs": worded(detect([f"\u2728 Add {n}" for n in range(6)]), "Mend bye", "simple", ["bye.py"]),
        "small": worded(detect([f"add {n}" for n in range(6)]), "Say goodbye", "simple", []),
        "names keep their capitals": worded(detect(FORMS["conventional"]), "HTTP is spoken", "simple", []),
        "documents": worded(detect(CONVENTIONAL), "Say more", "documentation", ["README.md"]),
        "tests": worded(detect(CONVENTIONAL), "Say more", "simple", ["tests/test_bye.py"]),
        "worded so already": worded(detect(CONVENTIONAL), "fix(api): say more", "simple", []),
    }
    assert found == snapshot(
        {
            "conventional": "feat(api): say goodbye",
            "few scopes": "feat: say goodbye",
            "no such area": "Say goodbye",
            "bracket": "[parser] Say goodbye",
            "area": "net/http: fix BacklogManager",
            "signs": "🐛 Mend bye",
            "small": "say goodbye",
            "names keep their capitals": "feat: HTTP is spoken",
            "documents": "docs: say more",
            "tests": "test: say more",
            "worded so already": "fix(api): say more",
        }
    )


def test_too_little_too_mixed_or_made_by_machines_is_plain() -> None:
    assert detect([]) == PLAIN
    assert detect(CONVENTIONAL[:4]) == PLAIN
    assert detect([*CONVENTIONAL, *[f"Add {n}" for n in range(9)]]) == PLAIN
    assert detect([f"Merge pull request #{n} from a/b" for n in range(40)]) == PLAIN
    merges = [f"Merge branch '{n}'" for n in range(40)]
    assert detect([*merges, *CONVENTIONAL]).form == "conventional"


@given(SUBJECTS)
def test_whatever_the_history_holds_there_is_a_style(subjects: list[str]) -> None:
    style = detect(subjects)
    assert style == detect(list(subjects))
    assert all(len(area) <= 30 and "\n" not in area and "@" not in area for area in style.areas)


@given(STYLES, st.text(max_size=300), PATHS)
def test_a_subject_is_one_short_line_in_which_nothing_acts(
    style: Style, title: str, paths: list[str]
) -> None:
    subject = worded(style, title, "simple", paths)
    assert 0 < len(subject) <= LONGEST
    assert len(subject.splitlines()) == 1
    assert not re.search(r"[@#]\w", subject)


@given(STYLES, st.text("abc XYZ", min_size=1, max_size=40), PATHS)
def test_wording_twice_changes_nothing(style: Style, title: str, paths: list[str]) -> None:
    once = worded(style, title, "simple", paths)
    if style.form == "plain":
        assert worded(style, once, "simple", paths) == once
