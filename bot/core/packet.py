"""Owns the task packet: at most 3,072 bytes of UTF-8 that a worker starts from, every line taken from somewhere.

ContextCompressor().compress(PacketInput(...), limit=3072) -> Packet(text, omitted) | TaskTooBig(needed, limit);
rank_files(query, {path: text}) -> [(path, score)]; ContextVerifier().verify(text, ...) -> [Finding].
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from bot.core import packet_issue, scopes
from bot.core.backlog_model import CONTEXT_LIMIT
from bot.core.hidden_text import strip_hidden, strip_invisible
from bot.core.packet_verify import ContextVerifier, Finding
from bot.core.ranking import rank_files, rank_symbols
from bot.core.secret_patterns import redact

__all__ = [
    "ContextCompressor",
    "ContextVerifier",
    "Finding",
    "Packet",
    "PacketInput",
    "TaskTooBig",
    "rank_files",
]

ISSUE_SHARE = 1100  # bytes that the issue may take while others still want them
LESSONS_SHARE = 400  # bytes of constraints and lessons
NEARBY_FILES = 5  # files beside the scope that are named
DAMPING = 0.3  # how much less a definition counts for each place its file is down the list
MANIFEST = 120  # bytes kept for the last line, which says what was left out


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketInput:
    """What a packet is made of; `files` are those worth showing, `ranked` names them best first (else by rank_files)."""

    title: str
    acceptance: tuple[str, ...]
    scope: tuple[str, ...] = ()
    test: str | None = None
    issue_title: str = ""
    issue_body: str = ""
    base_sha: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    ranked: tuple[str, ...] | None = None
    lessons: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()  # what the spec adds to the contract; they go before lessons
    spec: int = 1  # the version that they come from


@dataclass(frozen=True, slots=True)
class Packet:
    """The text, and one sentence for each kind of thing that did not fit."""

    text: str
    omitted: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return len(self.text.encode())


@dataclass(frozen=True, slots=True)
class TaskTooBig:
    """What can never be left out is larger than the limit: the task has to be split."""

    needed: int
    limit: int

    def __str__(self) -> str:
        return f"Title, acceptance and scope take {self.needed:,} bytes of {self.limit:,}: split the task."


@dataclass(frozen=True, slots=True)
class ContextCompressor:
    """Chooses what a worker must see; the same input gives the same bytes."""

    issue_share: int = ISSUE_SHARE
    nearby: int = NEARBY_FILES

    def compress(self, given: PacketInput, limit: int = CONTEXT_LIMIT) -> Packet | TaskTooBig:
        """Fill a packet: the contract whole, then issue, files of the scope with signatures, files nearby, lessons."""
        head = _head(given)
        needed = _size(head) + MANIFEST
        if needed > limit:
            return TaskTooBig(needed, limit)
        room = limit - needed
        slot = min(LESSONS_SHARE, room)
        constraints, lost = _fit(f"From version {given.spec} of the spec:", given.constraints, slot)
        lessons, lost_lessons = _fit("Learned before:", given.lessons, slot - _size(constraints))
        room -= _size(constraints) + _size(lessons)
        query = "\n".join((given.title, *given.acceptance, given.issue_title, given.issue_body))
        inside, nearby = self._files(given, query)
        body = strip_hidden(given.issue_body)[0]
        issue = packet_issue.extract(given.issue_title, body, query, min(self.issue_share, room))
        room -= _size(issue.lines)
        shown, lost_files, room = _fill_files(given, query, inside, nearby, room)
        if issue.left and room > 40:  # files left some room over
            issue = packet_issue.extract(given.issue_title, body, query, _size(issue.lines) + room)
        omitted = _manifest(issue.left, lost_files, lost, lost_lessons)
        lines = [*head, *issue.lines, *shown, *constraints, *lessons]
        text = "\n".join([*lines, *([f"Left out: {'; '.join(omitted)}."] if omitted else [])]) + "\n"
        return Packet(text, omitted)

    def _files(self, given: PacketInput, query: str) -> tuple[list[str], list[str]]:
        ranked = given.ranked
        if ranked is None:
            ranked = tuple(path for path, _ in rank_files(query, given.files))
        known = [path for path in ranked if path in given.files]
        inside = [path for path in known if scopes.in_scope(given.scope, path)]
        outside = [path for path in known if path not in set(inside)]
        # The plan's order counts among the files that it names itself.
        named = [path for path in given.scope if path in given.files]
        return [*dict.fromkeys([*named, *inside])], outside[: self.nearby]


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _clean(text: str) -> str:
    """Show a field of the contract, which is no Markdown: people read it as it is written."""
    return " ".join(redact(strip_invisible(text)[0]).split())


def _head(given: PacketInput) -> list[str]:
    lines = [f"# {_clean(given.title)}", "", "Done when:"]
    lines += [f"- {_clean(line)}" for line in given.acceptance]
    lines += ["", "Change only: " + ", ".join(f"`{path}`" for path in given.scope)] if given.scope else [""]
    if given.test:
        lines.append(f"Test: `{given.test}`")
    if given.base_sha:
        lines.append(f"Base: {given.base_sha}")
    return lines


def _fit(heading: str, texts: Sequence[str], room: int) -> tuple[list[str], int]:
    """List the texts that fit under their heading, in their order, and count the others."""
    taken = ["", heading]
    for text in texts:
        line = f"- {_clean(text)}"
        if _size([*taken, line]) <= room:
            taken.append(line)
    lost = len(texts) - (len(taken) - 2)
    return (taken if len(taken) > 2 else []), lost


def _fill_files(
    given: PacketInput, query: str, inside: Sequence[str], nearby: Sequence[str], room: int
) -> tuple[list[str], int, int]:
    """Name files and their best definitions while there is room: those of the scope first."""
    chosen: dict[str, list[tuple[int, str]]] = {}
    heading = ["", "Files (line: definition):"]
    room -= _size(heading)
    lost = 0
    for path in [*inside, *nearby]:
        cost = _size([path])
        if cost > room:
            lost += 1
            continue
        chosen[path] = []
        room -= cost
    for _, _, number, path, line in _candidates(given.files, query, list(chosen), set(inside)):
        if _size([line]) <= room:
            chosen[path].append((number, line))
            room -= _size([line])
    shown = [line for path, lines in chosen.items() for line in (path, *(text for _, text in sorted(lines)))]
    return ([*heading, *shown] if shown else []), lost, room + (0 if shown else _size(heading))


def _candidates(
    files: Mapping[str, str], query: str, paths: Sequence[str], inside: Collection[str]
) -> list[tuple[bool, float, int, str, str]]:
    """Give the definitions worth showing, best first: the scope's before all, others damped by their file's place."""
    found = []
    for place, path in enumerate(paths):
        for symbol, score in rank_symbols(query, path, files[path]):
            if score <= 0 and path not in inside:
                continue
            value = score if path in inside else score / (1 + DAMPING * place)
            line = f"  {symbol.line}: {_qualified(symbol.name, symbol.signature)}"
            found.append((path not in inside, -round(value, 9), symbol.line, path, line))
    return sorted(found)


def _qualified(name: str, signature: str) -> str:
    """Put the class in front of a method's name: `def Class.method(self)`."""
    short = name.rsplit(".", 1)[-1]
    return signature.replace(short, name, 1) if short != name else signature


def _manifest(issue_bytes: int, files: int, constraints: int, lessons: int) -> tuple[str, ...]:
    found = []
    if issue_bytes:
        found.append(f"{issue_bytes / 1000:.1f} kB of the issue's text")
    if files:
        found.append(f"{files} files")
    if constraints:
        found.append(f"{constraints} lines of the spec")
    if lessons:
        found.append(f"{lessons} lessons")
    return tuple(found)
