"""Owns the reading of slash commands: the first line of a comment, and what was probably meant.

parse(body, verbs) -> Invocation(name, args, text) | NearMiss(typed, suggestion) | None; it never raises.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

WORD = "agent"

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_BEGINS = re.compile(r" {0,3}/")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)\s*")  # makes a heading of the line above
# What ends a paragraph and begins another block.
_INTERRUPTS = re.compile(r" {0,3}(?:[>#<]|`{3}|~{3}|[-*+] |1[.)] |(?:\* *+){3}|(?:_ *+){3})")
# Anybody's comment is read here, before anything is known of them: what a run took is not given back (`++`, `*+`).
_DELIMITERS = re.compile(
    r"[ ]{0,3}\|?(?:\s*+:?-++:?\s*+\|)*\s*+:?-++:?\s*+(?:\|\s*+)?"
)  # makes a table's head of it
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
# A command up to its verb, as it was written: comments may stand between them.
_HEAD = re.compile(
    r"\s*+/(?P<word>[^\W\d_]++)(?:\s++|<!--(?:(?!-->).)*+(?:-->|\Z))*+(?P<verb>(?:(?!<!--)\S)++)", re.DOTALL
)
_LINE = re.compile(r" {0,3}/(?P<word>[^\W\d_]+)(?P<glue>[-:_.]?)(?P<rest>(?:\s.*)?|[^\s].*)\Z")


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command as it was called: `args` are the words after the verb in its line that people see.

    `text` is all that follows the verb as it was written, with what people do not see.
    """

    name: str
    args: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """Something that was probably meant to be a command; `suggestion` is the whole line to write instead."""

    typed: str
    suggestion: str | None = None


def parse(body: str, verbs: Sequence[str]) -> Invocation | NearMiss | None:
    """Read the first non-blank line; None where it is no command, in code, in a quote or in an HTML comment."""
    lines = body.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    start = next((index for index, line in enumerate(lines) if _INVISIBLE.sub("", line).strip()), None)
    if start is None:
        return None
    raw = _INVISIBLE.sub("", lines[start]).expandtabs(4)
    rest = lines[start + 1 :]
    below = [_INVISIBLE.sub("", line).expandtabs(4) for line in rest]
    if not _BEGINS.match(raw) or _is_heading(below) or _is_table(raw, below[0] if below else ""):
        return None
    shown = "\n".join([raw, *rest])
    first = _COMMENT.sub(" ", shown).partition("\n")[0]
    found = _LINE.match(first.rstrip())
    if found is None:
        return None
    return _read(first.strip(), found, ("\n".join([lines[start], *rest]), shown), verbs)


def _is_heading(below: Sequence[str]) -> bool:
    """Tell whether the paragraph that these lines go on with is underlined (CommonMark 4.3)."""
    for line in below:
        if _UNDERLINE.fullmatch(line):
            return True
        if not line.strip() or _INTERRUPTS.match(line):
            return False
    return False


def _is_table(line: str, below: str) -> bool:
    """Tell whether the line is the head of a table: as many cells as there are delimiters below."""
    if "|" not in line or not _DELIMITERS.fullmatch(below):
        return False
    cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return len(cells) == len(below.strip().strip("|").split("|"))


def _read(
    typed: str, found: re.Match[str], written: Sequence[str], verbs: Sequence[str]
) -> Invocation | NearMiss | None:
    word, glue, rest = _plain(found["word"]), found["glue"], found["rest"]
    words = rest.split()
    verb = _plain(words[0]) if words else ""
    if word == WORD and not glue and (not rest or rest[0].isspace()):
        if not words:
            return Invocation("help")
        if verb in verbs:
            return Invocation(verb, tuple(words[1:]), _after(verb, written))
        return _near_verb(typed, verb, words[1:], verbs)
    return _near_word(typed, word, glue, words, verbs)


def _after(verb: str, written: Sequence[str]) -> str:
    """Give what follows the verb in the first way of writing it that has no invisible characters in the command itself."""
    for text in written:
        head = _HEAD.match(text)
        if head and _plain(head["word"]) == WORD and _plain(_INVISIBLE.sub("", head["verb"])) == verb:
            return text[head.end() :].strip()
    return ""


def _plain(word: str) -> str:
    return unicodedata.normalize("NFKC", word).casefold()


def _near_verb(typed: str, verb: str, args: Sequence[str], verbs: Sequence[str]) -> NearMiss:
    near = get_close_matches(verb.strip(":.,!`*_"), verbs, 1, 0.6)
    return NearMiss(typed, " ".join([f"/{WORD}", near[0], *args]) if near else None)


def _near_word(
    typed: str, word: str, glue: str, words: Sequence[str], verbs: Sequence[str]
) -> NearMiss | None:
    """Recognize `/agnt plan`, `/agents plan`, `/agent-plan` and `/agentplan`; other programs' commands are left alone."""
    if word.startswith(WORD) and (glue or word != WORD):
        joined = [word[len(WORD) :], *words] if not glue or word != WORD else list(words)
        joined = [part for part in joined if part]
        first = _plain(joined[0]) if joined else ""
        near = get_close_matches(first, verbs, 1, 0.75)
        if near and (glue or not words or _plain(words[0]) not in verbs):
            return NearMiss(typed, " ".join([f"/{WORD}", near[0], *joined[1:]]))
    if glue or not _is_typo(word) or not words:
        return None
    near = get_close_matches(_plain(words[0]), verbs, 1, 0.75)
    return NearMiss(typed, " ".join([f"/{WORD}", near[0], *words[1:]])) if near else None


def _is_typo(word: str) -> bool:
    """Say whether a word is the command's with one letter wrong, missing, added, or two swapped."""
    if word == WORD:
        return False
    if len(word) == len(WORD):
        wrong = [index for index in range(len(WORD)) if word[index] != WORD[index]]
        swapped = len(wrong) == 2 and word[wrong[0]] == WORD[wrong[1]] and word[wrong[1]] == WORD[wrong[0]]
        return len(wrong) == 1 or (swapped and wrong[1] == wrong[0] + 1)
    short, long = sorted((word, WORD), key=len)
    return len(long) - len(short) == 1 and any(
        long[:index] + long[index + 1 :] == short for index in range(len(long))
    )
