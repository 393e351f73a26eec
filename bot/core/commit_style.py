"""Owns how a repository words its commits: found from the subjects on its default branch, and used for ours.

detect(subjects) -> Style; worded(style, title, kind, paths) -> a subject of at most LONGEST characters. Anything that is
not plain enough to be sure of counts as plain.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bot.core.planning import Kind
from bot.core.sanitize import plain

LOOKED_AT = 50  # subjects of the default branch, the newest
FEWEST = 5  # subjects below which nothing is a habit
HABIT = 0.6  # share of the subjects that must agree
LONGEST = 72  # characters of a subject

Form = Literal["plain", "conventional", "bracket", "area", "gitmoji"]
Change = Literal["feat", "fix", "docs", "test", "refactor", "build", "ci", "chore"]

_AREA = r"[A-Za-z0-9][A-Za-z0-9_./-]{0,29}"
_TYPES = "feat|feature|fix|bugfix|docs|doc|test|tests|refactor|perf|style|build|ci|chore|revert|deps"
_CONVENTIONAL = re.compile(rf"(?P<type>{_TYPES})(?:\((?P<area>{_AREA})\))?!?: +(?P<text>\S.*)", re.IGNORECASE)
_BRACKET = re.compile(rf"\[(?P<area>{_AREA})\] +(?P<text>\S.*)")
_AREA_FIRST = re.compile(rf"(?P<area>{_AREA}): +(?P<text>\S.*)")
_GITMOJI = re.compile(
    r"(?P<mark>:[a-z0-9_+-]{2,40}:|[\u2600-\u27bf\U0001f300-\U0001faff]\ufe0f?) *(?P<text>\S.*)"
)
_FORMS: tuple[tuple[Form, re.Pattern[str]], ...] = (
    ("conventional", _CONVENTIONAL),
    ("bracket", _BRACKET),
    ("gitmoji", _GITMOJI),
    ("area", _AREA_FIRST),
)
_MACHINES = re.compile(r"(?:Merge|Revert|fixup!|squash!|amend!|Bump) ")
# How repositories spell the same type of change; the first that was seen is taken.
_SPELLINGS: dict[Change, tuple[str, ...]] = {
    "feat": ("feat", "feature"),
    "fix": ("fix", "bugfix"),
    "docs": ("docs", "doc"),
    "test": ("test", "tests"),
    "refactor": ("refactor",),
    "build": ("build", "deps"),
    "ci": ("ci",),
    "chore": ("chore",),
}
_EMOJI: dict[Change, tuple[str, str]] = {
    "feat": (":sparkles:", "\u2728"),
    "fix": (":bug:", "\U0001f41b"),
    "docs": (":memo:", "\U0001f4dd"),
    "test": (":white_check_mark:", "\u2705"),
    "refactor": (":recycle:", "\u267b\ufe0f"),
    "build": (":package:", "\U0001f4e6\ufe0f"),
    "ci": (":construction_worker:", "\U0001f477"),
    "chore": (":wrench:", "\U0001f527"),
}
_FIRST_WORDS: dict[str, Change] = {
    **dict.fromkeys(("fix", "correct", "repair", "mend", "prevent", "avoid", "handle", "stop"), "fix"),
    **dict.fromkeys(
        ("refactor", "rename", "move", "extract", "simplify", "restructure", "split"), "refactor"
    ),
    **dict.fromkeys(("document", "describe", "explain"), "docs"),
    **dict.fromkeys(("test", "cover"), "test"),
    **dict.fromkeys(("upgrade", "update", "pin"), "chore"),
}
_DOCS = re.compile(r"(?:^|/)docs?/|\.(?:md|rst|adoc|txt)$", re.IGNORECASE)
_TESTS = re.compile(r"(?:^|/)(?:tests?|spec|__tests__)/|(?:^|/)(?:test_[^/]*|[^/]*[._](?:test|spec)\.[^/]+)$")


@dataclass(frozen=True, slots=True)
class Style:
    """A repository's habit; the default is what `git` itself recommends: plain, capitalised."""

    form: Form = "plain"
    lower: bool = False  # whether the words begin with a small letter
    types: tuple[str, ...] = ()  # of conventional commits, as they are spelt here
    areas: tuple[str, ...] = ()  # scopes and areas that are in use, the most frequent first
    scoped: bool = False  # whether conventional commits usually name a scope here
    signs: bool = False  # whether gitmoji are written as signs, not as `:codes:`


PLAIN = Style()


def detect(subjects: Iterable[str]) -> Style:
    """Find the habit in subjects, newest first; merges, reverts and what machines write are left out."""
    seen = [line.strip() for line in subjects]
    seen = [line for line in seen if line and not _MACHINES.match(line)][:LOOKED_AT]
    if len(seen) < FEWEST:
        return PLAIN
    for form, pattern in _FORMS:
        found = [match for line in seen if (match := pattern.fullmatch(line))]
        if len(found) >= HABIT * len(seen):
            return _style(form, found)
    return Style(lower=_lower(seen))


def _style(form: Form, found: Sequence[re.Match[str]]) -> Style:
    groups = [match.groupdict() for match in found]
    named = [each["area"] for each in groups if each.get("area")]
    areas = tuple(area for area, _ in Counter(named).most_common(20))
    kinds = tuple(
        kind for kind, _ in Counter(each["type"] for each in groups if "type" in each).most_common()
    )
    return Style(
        form=form,
        lower=_lower([each["text"] for each in groups]),
        types=kinds,
        areas=areas,
        scoped=len(named) >= HABIT * len(groups),
        signs=sum(not (each.get("mark") or ":").startswith(":") for each in groups) * 2 > len(groups),
    )


def _lower(texts: Sequence[str]) -> bool:
    """Tell whether most texts begin with a small letter; words that are code or names all through say nothing."""
    first = [text[0] for text in texts if text[:1].isalpha()]
    return sum(letter.islower() for letter in first) * 2 > len(first) if first else False


def worded(style: Style, title: str, kind: Kind, paths: Sequence[str], longest: int = LONGEST) -> str:
    """Word a title as this repository would: one line of at most `longest` characters in which nothing acts."""
    text = plain(title, limit=250).rstrip(" .") or "Change"
    if any(pattern.fullmatch(text) for form, pattern in _FORMS if form == style.form):
        return _cut(text, longest)  # a planner that knows the habit has worded it so already
    return _cut(_prefix(style, text, kind, paths) + _cased(text, lower=style.lower), longest)


def _prefix(style: Style, text: str, kind: Kind, paths: Sequence[str]) -> str:
    area = _area(style, paths)
    if style.form == "conventional":
        change = change_of(text, kind, paths)
        spelt = next((each for each in _SPELLINGS[change] if each in style.types), change)
        return f"{spelt}({area}): " if area and style.scoped else f"{spelt}: "
    if style.form == "gitmoji":
        return f"{_EMOJI[change_of(text, kind, paths)][style.signs]} "
    if not area:
        return ""
    return {"bracket": f"[{area}] ", "area": f"{area}: "}.get(style.form, "")


def change_of(title: str, kind: Kind, paths: Sequence[str]) -> Change:
    """Say what type of change a task is: by its kind, by what it touches, by its first word."""
    first = (title.split() or [""])[0].casefold()
    if kind == "documentation" or (paths and all(_DOCS.search(path) for path in paths)):
        return "docs"
    if paths and all(_TESTS.search(path) for path in paths):
        return "test"
    return _FIRST_WORDS.get(first, "feat")


def _area(style: Style, paths: Sequence[str]) -> str:
    """Choose the area in use here that most of the paths lie in; "" where none fits: a new one is not invented."""
    stems = ["/" + re.sub(r"\.[^./]*$", "", path) + "/" for path in paths]
    counts = {area: sum(f"/{area.strip('/')}/" in stem for stem in stems) for area in style.areas}
    best = max(counts.values(), default=0)
    return next((area for area in style.areas if counts[area] == best), "") if best else ""


def _cased(text: str, *, lower: bool) -> str:
    first = text.split(" ")[0]
    if not lower:
        return text[:1].upper() + text[1:] if first.islower() and first.isalpha() else text
    # Names and code (`HTTP`, `BacklogManager`) keep their capitals.
    return text[:1].lower() + text[1:] if first[1:].islower() or len(first) == 1 else text


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "\u2026"
