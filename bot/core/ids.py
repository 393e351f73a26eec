"""Owns the names that are derived, never stored: track ids, branches, markers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NewType, TypeAlias

Sha = NewType("Sha", str)
TrackId = NewType("TrackId", str)  # issue-<number> or issue-<number>-r<round>; free-form in local mode
TaskId = NewType("TaskId", str)  # ^[A-Z]{1,6}-[0-9]+$

TASK_ID = re.compile(r"[A-Z]{1,6}-[0-9]+")
TRACK_ID = re.compile(r"issue-([0-9]+)(?:-r([0-9]+))?")
LOCAL_TRACK_ID = re.compile(
    r"[A-Za-z0-9](?:[._]?[A-Za-z0-9-]){0,59}"
)  # good in branches, files and worktrees
SHA = re.compile(r"[0-9a-f]{40}")

REPOSITORY = "@repository"  # where the id of a track stands in the key of a repository's own line; no track is called so

MARKER_KINDS = ("status", "plan", "backlog", "task", "receipt", "answer", "problem")
_MARKER = re.compile(
    r"\A<!-- gitwright:(?P<kind>[a-z]+)(?: track=(?P<track>[\w.-]+))?"
    r"(?: task=(?P<task>[A-Z]{1,6}-[0-9]+))?(?: attempt=(?P<attempt>[0-9]+))? -->"
)
_SAID = re.compile(r"(comment|line)-([0-9]+)")
_KEY = re.compile(r"<!-- gitwright-key: [^\s>]+ -->")


@dataclass(frozen=True, slots=True)
class Marker:
    """What the first line of every text posted by the bot says of itself."""

    kind: str
    track: str | None = None
    task: str | None = None
    attempt: int | None = None

    def __str__(self) -> str:
        parts = [f"gitwright:{self.kind}"]
        parts += [
            f"{name}={value}"
            for name, value in (("track", self.track), ("task", self.task), ("attempt", self.attempt))
            if value is not None
        ]
        return f"<!-- {' '.join(parts)} -->"


def keyed(marker: Marker, key: str) -> str:
    """Give the first two lines of a text of which a track has several: the key tells them apart."""
    safe = "".join(c if c.isalnum() or c in "_.:/-" else "-" for c in key).replace("--", "-")
    return f"{marker}\n<!-- gitwright-key: {safe} -->"


def identity(text: str) -> str:
    """Give what a posted text is known by: its marker's line and, where it has one, its key's; CRLF is read too."""
    first, _, rest = text.replace("\r\n", "\n").partition("\n")
    second = rest.partition("\n")[0].rstrip()
    return f"{first.rstrip()}\n{second}" if _KEY.fullmatch(second) else first.rstrip()


def parse_marker(text: str) -> Marker | None:
    """Read the marker on a text's first line; trust it only when the bot is the text's author."""
    found = _MARKER.match(text)
    if found is None or found["kind"] not in MARKER_KINDS:
        return None
    attempt = found["attempt"]
    return Marker(found["kind"], found["track"], found["task"], int(attempt) if attempt else None)


Place: TypeAlias = Literal["comment", "line"]  # below an issue or a pull request, or on a line of one


def said_key(place: Place, id_: int) -> str:
    """Name the call of a command that somebody wrote."""
    return f"{place}-{id_}"


def said_in(key: str) -> tuple[Place, int] | None:
    """Say where a call was written, and the comment's id there; None for what was pressed or ticked."""
    found = _SAID.fullmatch(key)
    if found is None:
        return None
    return "line" if found[1] == "line" else "comment", int(found[2])


def track_id(issue: int, round_: int = 1) -> TrackId:
    """Name the track of an issue's round; the first round has no suffix."""
    return TrackId(f"issue-{issue}" if round_ <= 1 else f"issue-{issue}-r{round_}")


_OF_TRACK = re.compile(
    rf"(?:.+/)?(?P<track>{TRACK_ID.pattern})/(?:backlog(?:-[0-9]+)?|record(?:-[0-9]+)?|{TASK_ID.pattern}-a[0-9]+)"
)


def track_of_branch(branch: str) -> TrackId | None:
    """Name the track whose branch this would be, whatever its prefix; None where no branch of a track is called so."""
    found = _OF_TRACK.fullmatch(branch)
    return TrackId(found["track"]) if found else None


def repository_line(repo_id: int) -> str:
    """Name the line that a repository's own events and actions wait in, beside those of its tracks."""
    return f"{repo_id}/{REPOSITORY}"


def is_repository_line(key: str) -> bool:
    """Tell a repository's own line from a track."""
    return key.endswith(f"/{REPOSITORY}")


def backlog_branch(prefix: str, track: str, number: int = 1) -> str:
    """Name the branch that carries a track's backlog, or a later change of its contract."""
    return f"{prefix}/{track}/backlog" if number <= 1 else f"{prefix}/{track}/backlog-{number}"


def task_branch(prefix: str, track: str, task: str, attempt: int) -> str:
    """Name the branch of one attempt at a task."""
    return f"{prefix}/{track}/{task}-a{attempt}"
