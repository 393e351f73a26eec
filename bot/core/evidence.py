"""Owns what a run left to learn from, and the sentences that code writes about it.

Names, paths and output come out of a hostile zone: they are shown as code, without secrets and hidden text, and cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bot.core.hidden_text import strip_invisible
from bot.core.messy import MESSY_THRESHOLD
from bot.core.sanitize import code, fence, inline
from bot.core.secret_patterns import redact
from bot.core.similarity import T_MATCH, Document, Vectors, similarity

Reason = Literal["plan", "messy_run", "checks", "person"]

NAME_LIMIT = 120  # characters of a test's id or a path
NOTE_LIMIT = 600  # characters of a person's note
EXCERPT_LIMIT = 700  # bytes of a run's output
EXCERPT_LINE = 160  # characters of one line of it
SHOWN = 4  # names in one sentence

_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.*?[^`])\1(?!`)")
_RULE = re.compile(r"[A-Z][A-Z_]{0,39}")

_LOOP = "Do not repeat the same command without a change between"
_ADVICE = {
    "REPEAT": _LOOP,
    "REPEAT_ERR": _LOOP,
    "CYCLE": _LOOP,
    "ALTERNATE": _LOOP,
    "STATE_REPEAT": _LOOP,
    "NO_PROGRESS": "Change a file of the scope before you look any further",
    "EDIT_FAIL": "Read a file again before each edit of it",
    "SCOPE_DRIFT": "Stay with the files of the scope",
    "GOAL_DRIFT": "Stay with the requirements",
    "MONOLOGUE": "Act instead of writing messages",
    "BUDGET": "Make the smallest change first, in few steps",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of an attempt that did not get through; `output` and all names may be hostile."""

    attempt: int
    failing: tuple[str, ...] = ()  # ids of tests or names of checks
    output: str = ""
    outside: tuple[str, ...] = ()  # changed paths that the scope does not cover
    drift: str = ""  # the code of the rule that ended the run
    note: str = ""  # the words of a person who may write
    messy: float = 0.0
    reason: Reason | None = None  # None: worked out from the rest

    @property
    def why(self) -> Reason:
        if self.reason:
            return self.reason
        if self.note.strip():
            return "person"
        messy = self.drift or self.outside or self.messy >= MESSY_THRESHOLD
        return "checks" if self.failing and not messy else "messy_run"


def named(text: str, limit: int = NAME_LIMIT) -> str:
    """Show a name from outside as one code span, "" where nothing of it can be seen."""
    plain = " ".join(visible(text).split())
    return code(plain if len(plain) <= limit else f"{plain[: limit - 1]}…")


def spans(text: str) -> tuple[str, ...]:
    """Give the contents of the code spans of a line."""
    return tuple(found[2].strip() for found in _SPAN.finditer(text))


def listed(names: Sequence[str], shown: int = SHOWN) -> str:
    """Name some things in a sentence, and count the others."""
    seen = [name for name in map(named, dict.fromkeys(names)) if name]
    more = f" and {len(seen) - shown} more" if len(seen) > shown else ""
    return ", ".join(seen[:shown]) + more


def statement(text: str, limit: int = NOTE_LIMIT) -> str:
    """Show a sentence of people or of a plan as one line that does nothing."""
    plain = " ".join(visible(text).split())
    return inline(plain if len(plain) <= limit else f"{plain[: limit - 1].rstrip()}…")


def excerpt(output: str) -> str:
    """Quote the end of a run's output as a code block of at most EXCERPT_LIMIT bytes; "" where there is none."""
    kept: list[str] = []
    room = EXCERPT_LIMIT
    for line in reversed(visible(output).split("\n")):
        short = line.rstrip() if len(line) <= EXCERPT_LINE else f"{line[: EXCERPT_LINE - 1]}…"
        room -= len(short.encode()) + 1
        if room < 0:
            break
        kept.append(short)
    text = "\n".join(reversed(kept)).strip("\n")
    return fence(text, "text") if text.strip() else ""


def must_pass(name: str, attempt: int) -> str:
    return f"{named(name)} must pass; it failed in attempt {attempt}."


def outside_scope(scope: Sequence[str], outside: Sequence[str], attempt: int) -> str:
    allowed = listed(scope) or "the scope"
    return f"Do not change files outside {allowed}: attempt {attempt} changed {listed(outside)}."


def advice(rule: str) -> str:
    """Say what to do so that a rule of the drift detector does not stop the next run too."""
    return _ADVICE.get(rule, "Go another way than before")


def drift_rule(text: str) -> str:
    """Give the code of a drift rule, "" for what is none."""
    return text if _RULE.fullmatch(text) else ""


def drifted(rule: str, attempt: int) -> str:
    return f"{advice(rule)} (rule `{rule}` stopped attempt {attempt})."


def too_much(attempt: int, messy: float) -> str:
    return (
        f"Make the smallest change that meets the requirements and leave no scratch files: "
        f"attempt {attempt} was messy ({messy:.2f})."
    )


def alike(text: str, others: Iterable[str], files: Iterable[str] = ()) -> bool:
    """Say whether a sentence says what another one does: about the very same names, in similar words."""
    about = frozenset(spans(text)) | frozenset(files)
    rivals = [other for other in others if frozenset(spans(other)) | frozenset(files) == about]
    vectors = Vectors([text, *rivals])
    return any(
        similarity(Document(text, about), Document(other, about), vectors) >= T_MATCH for other in rivals
    )


def visible(text: str) -> str:
    """Take out what cannot be seen, then what must not be seen, and open no HTML comment."""
    plain = redact(strip_invisible(text.replace("\r\n", "\n").replace("\r", "\n"))[0])
    return re.sub("[\x85\u2028\u2029]", "\n", plain).replace("<!--", "<!- -").replace("-->", "- ->")
