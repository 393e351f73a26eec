"""Owns check boxes in our texts: how one is written, which ones a person ticked, and which ticks were acted on.

line(box, label) -> str; changed(before, after) -> (ticked, unticked);
redrawn(body, write) -> str; fresh(track, box) -> bool; spent(track, box) -> Track.
A box carries its turn, the number of times that it was acted on: the same tick, told again or late, is known by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from bot.core.track import Track

MARK = r"<!-- box:(?P<kind>[a-z]{1,20})(?: (?P<about>[A-Z]{1,6}-[0-9]{1,9}))?(?: #(?P<turn>[0-9]{1,9}))? -->"
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_MARK = re.compile(MARK)
_LINE = re.compile(rf"[ ]{{0,3}}[-*] \[(?P<tick>[ xX])\] {MARK}")
_OFFERED = re.compile(rf"[ ]{{0,3}}[-*] \[[ xX]\] {MARK}(?P<words>.*)")
_SETTLED = re.compile(rf"[ ]{{0,3}}[-*] (?P<words>.*){MARK}")


@dataclass(frozen=True, slots=True)
class Box:
    """One box: what ticking it asks for, about which task or plan entry, and its turn."""

    kind: str
    about: str = ""
    turn: int = 0

    @property
    def name(self) -> str:
        return f"{self.kind} {self.about}".strip()

    def __str__(self) -> str:
        turn = f" #{self.turn}" if self.turn else ""
        return f"<!-- box:{self.name}{turn} -->"


def parse(mark: str) -> Box | None:
    """Read a box as it writes itself."""
    found = _MARK.fullmatch(mark)
    return _box(found) if found else None


def _box(found: re.Match[str]) -> Box:
    return Box(found["kind"], found["about"] or "", int(found["turn"] or 0))


def line(box: Box, label: str) -> str:
    """Write a box that nobody has ticked; `label` is Markdown on one line."""
    return f"- [ ] {box}{label}"


def settled(box: Box, label: str) -> str:
    """Write a line that was a box; the mark comes last, since a line that begins with it is no Markdown any more."""
    return f"- {label} {box}"


def changed(before: str, after: str) -> tuple[tuple[Box, ...], tuple[Box, ...]]:
    """Give the boxes that were ticked, and those that were unticked; one that was not there before is nobody's tick."""
    then, now = _boxes(before), _boxes(after)
    ticked = tuple(box for box, tick in now.items() if tick and then.get(box) is False)
    unticked = tuple(box for box, tick in now.items() if not tick and then.get(box) is True)
    return ticked, unticked


def redrawn(body: str, write: Callable[[Box, str], str]) -> str:
    """Write every line anew that belongs to a box, ticked, unticked or settled, from the box and its words."""
    lines = []
    for text, code in _lines(body):
        plain = text.rstrip("\r")
        found = None if code else _OFFERED.fullmatch(plain) or _SETTLED.fullmatch(plain)
        lines.append(write(_box(found), found["words"].strip()) if found else text)
    return "\n".join(lines)


def _boxes(body: str) -> Mapping[Box, bool]:
    found = (_LINE.match(text) for text, code in _lines(body) if not code)
    return {_box(each): each["tick"] != " " for each in found if each}


def _lines(body: str) -> Iterator[tuple[str, bool]]:
    """Give each line, and whether it is code in a fence: issues that are quoted in our texts show boxes there."""
    fence = ""
    for text in body.split("\n"):
        found = _FENCE.match(text)
        yield text, bool(fence)
        if found and not fence:
            fence = found[1]
        elif found and found[1].startswith(fence) and not text.strip().strip(fence[0]):
            fence = ""


def offered(track: Track, kind: str, about: str = "") -> Box:
    """Give the box as it is written now, in its present turn."""
    box = Box(kind, about)
    return replace(box, turn=dict(track.ticks).get(box.name, 0))


def fresh(track: Track, box: Box) -> bool:
    """Tell whether a tick was not acted on yet."""
    return box.turn >= dict(track.ticks).get(box.name, 0)


def spent(track: Track, box: Box) -> Track:
    """Remember that a tick was acted on: the box is written anew, in its next turn and unticked."""
    return replace(track, ticks=tuple({**dict(track.ticks), box.name: box.turn + 1}.items()))
